//! `skinTemp`: how far the skin's temperature during sleep was from the user's usual one.
//! Source: garmin-health-api.md 1.14.

use super::common::SPAN_OF_A_DAY;
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, float};

pub(super) const SKIN_TEMP: SummaryType = SummaryType {
    key: "skinTemp",
    table: "skin_temperature",
    meaning: "One row a user and stretch of time in which the skin's temperature was measured",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, DEVIATION],
    ..SUMMARY_TYPE
};

const DEVIATION: &[Field] = &[float("avgDeviationCelsius")
    .means("°C", "Average deviation from the user's own baseline, not a temperature; may be negative")];
