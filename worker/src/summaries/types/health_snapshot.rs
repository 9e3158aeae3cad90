//! `healthSnapshot`: two minutes in which several measurements were taken at once, at the user's wish.
//! Source: garmin-health-api.md 1.11.

use super::common::{self, CALENDAR_DATE, START_TIME, START_TIME_OFFSET, SUMMARY_ID};
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, list};

pub(super) const HEALTH_SNAPSHOT: SummaryType = SummaryType {
    key: "healthSnapshot",
    table: "health_snapshot",
    meaning: "One row a user and health snapshot, two minutes of several measurements at once",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SNAPSHOT],
    ..SUMMARY_TYPE
};

const SNAPSHOT: &[Field] = &[
    SUMMARY_ID,
    CALENDAR_DATE,
    START_TIME,
    START_TIME_OFFSET.or("offsetStartTimeInSeconds"),
    common::DURATION,
    list("summaries").means(
        "",
        "One for each measurement, each with summaryType (heart_rate, respiration, stress, spo2, rmssd_hrv, \
         sdrr_hrv), minValue, maxValue, avgValue, and epochSummaries, values by seconds from the start; \
         health_snapshot_summary and health_snapshot_sample have them as rows",
    ),
];
