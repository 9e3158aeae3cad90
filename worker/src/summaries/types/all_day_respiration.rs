//! `allDayRespiration`: breathing rate in blocks of 15 minutes.
//! Source: garmin-health-api.md 1.10.

use super::common::SPAN;
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, float_series};

pub(super) const ALL_DAY_RESPIRATION: SummaryType = SummaryType {
    key: "allDayRespiration",
    table: "respiration_summary",
    meaning: "One row a user and block of 15 minutes: breathing rate",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN, BREATHS],
    ..SUMMARY_TYPE
};

const BREATHS: &[Field] = &[float_series("timeOffsetEpochToBreaths")
    .means("1/min", "Breaths per minute, in steps of a minute or more")];
