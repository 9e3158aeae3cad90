//! `userMetrics`: fitness figures of a date; they have no start and no duration, and can come for past dates.
//! Source: garmin-health-api.md 1.8.

use super::field::{boolean, date, float, integer, text};
use super::{Rank, SummaryType};

pub(super) const USER_METRICS: SummaryType = SummaryType {
    key: "userMetrics",
    table: "user_metrics",
    identity: &["calendarDate"],
    rank: Rank::None,
    fields: &[
        text("summaryId"),
        date("calendarDate"),
        float("vo2Max"),
        float("vo2MaxCycling"),
        boolean("enhanced"),
        integer("fitnessAge"),
    ],
};
