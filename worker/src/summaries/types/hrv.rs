//! `hrv`: heart rate variability during sleep.
//! Source: garmin-health-api.md 1.12.

use super::common::SPAN_OF_A_DAY;
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, integer, integer_series};

pub(super) const HRV: SummaryType = SummaryType {
    key: "hrv",
    table: "hrv_summary",
    meaning: "One row a user and night: heart rate variability during sleep",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, VARIABILITY],
    ..SUMMARY_TYPE
};

const VARIABILITY: &[Field] = &[
    integer("lastNightAvg").means("ms", "Average of the night"),
    integer("lastNight5MinHigh").means("ms", "Highest average of 5 minutes in the night"),
    integer_series("hrvValues").means("ms", "Heart rate variability (RMSSD) of 5 minutes each"),
];
