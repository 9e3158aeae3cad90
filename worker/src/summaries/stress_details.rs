//! `stressDetails`: stress level and body battery of one day, sent again as it grows.
//! Source: garmin-health-api.md 1.7.

use super::field::{date, instant, integer, integer_series, list, object, text};
use super::{Rank, SummaryType};

pub(super) const STRESS_DETAILS: SummaryType = SummaryType {
    key: "stressDetails",
    table: "stress_summary",
    identity: &["startTimeInSeconds"],
    rank: Rank::Duration,
    fields: &[
        text("summaryId"),
        date("calendarDate"),
        instant("startTimeInSeconds"),
        integer("startTimeOffsetInSeconds"),
        integer("durationInSeconds"),
        integer("averageStressLevel"),
        integer("maxStressLevel"),
        integer_series("timeOffsetStressLevelValues"),
        integer_series("timeOffsetBodyBatteryValues"),
        object(
            "bodyBatteryDynamicFeedbackEvent",
            &[instant("eventStartTimeInSeconds"), text("bodyBatteryLevel")],
        ),
        list("bodyBatteryActivityEvents").or("bodyBatteryActivityEventList"),
    ],
};
