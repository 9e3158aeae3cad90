//! `userMetrics`: fitness figures of a date; they have no start and no duration, and can come for past dates.
//! Source: garmin-health-api.md 1.8.

use super::common::SUMMARY_ID;
use crate::summaries::declaration::{SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, boolean, date, float, integer};

pub(super) const USER_METRICS: SummaryType = SummaryType {
    key: "userMetrics",
    table: "user_metrics",
    meaning: "One row a user and date: fitness figures",
    identity: &[required("calendarDate")],
    fields: &[METRICS],
    ..SUMMARY_TYPE
};

const METRICS: &[Field] = &[
    SUMMARY_ID,
    date("calendarDate").means("", "The day of the figures, by the user's clock; may be long past"),
    float("vo2Max").means("ml/kg/min", "Estimated maximal oxygen uptake when running"),
    float("vo2MaxCycling").means("ml/kg/min", "Estimated maximal oxygen uptake when cycling"),
    boolean("enhanced").means("", "Whether fitness_age comes from Garmin's newer model"),
    integer("fitnessAge").means("a", "Age in years of which this fitness would be typical"),
];
