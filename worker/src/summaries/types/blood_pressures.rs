//! `bloodPressures`: readings of a blood pressure cuff, or typed in.
//! Source: garmin-health-api.md 1.13.

use super::common::MEASUREMENT;
use crate::summaries::declaration::{SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, integer, text};

pub(super) const BLOOD_PRESSURES: SummaryType = SummaryType {
    key: "bloodPressures",
    table: "blood_pressure",
    meaning: "One row a user and reading of the blood pressure",
    identity: &[required("measurementTimeInSeconds")],
    fields: &[MEASUREMENT, READING],
    ..SUMMARY_TYPE
};

const READING: &[Field] = &[
    integer("systolic").means("mmHg", "Systolic blood pressure"),
    integer("diastolic").means("mmHg", "Diastolic blood pressure"),
    integer("pulse").means("1/min", "Pulse during the reading"),
    text("sourceType").means("", "MANUAL where it was typed in, DEVICE where a cuff sent it"),
];
