//! `pulseox`: blood oxygen saturation. All-day readings and spot checks are entries of their own, which may
//! share a start.
//! Source: garmin-health-api.md 1.9.

use super::common::SPAN_OF_A_DAY;
use crate::summaries::declaration::{DURATION, Missing, SUMMARY_TYPE, SummaryType, or, required};
use crate::summaries::field::{Field, boolean, integer_series};

pub(super) const PULSEOX: SummaryType = SummaryType {
    key: "pulseox",
    table: "pulse_ox_summary",
    meaning: "One row a user, start and kind of measurement (all day or on demand): blood oxygen saturation",
    identity: &[required("startTimeInSeconds"), or("onDemand", Missing::False)],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, READINGS],
    ..SUMMARY_TYPE
};

const READINGS: &[Field] = &[
    integer_series("timeOffsetSpo2Values")
        .means("%", "Blood oxygen saturation; a spot check's offset may lie beyond its duration, which is 0"),
    boolean("onDemand").means("", "Whether the user asked for this reading (a spot check)"),
];
