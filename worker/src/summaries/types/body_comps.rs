//! `bodyComps`: weight and body composition, from a scale or typed in.
//! Source: garmin-health-api.md 1.6.

use super::common::MEASUREMENT;
use crate::summaries::declaration::{SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, float, integer};

pub(super) const BODY_COMPS: SummaryType = SummaryType {
    key: "bodyComps",
    table: "body_composition",
    meaning: "One row a user and moment of weighing",
    identity: &[required("measurementTimeInSeconds")],
    fields: &[MEASUREMENT, COMPOSITION],
    ..SUMMARY_TYPE
};

const COMPOSITION: &[Field] = &[
    integer("weightInGrams").means("g", "Weight; the only value where it was typed in by hand"),
    integer("muscleMassInGrams").means("g", "Mass of the muscles"),
    integer("boneMassInGrams").means("g", "Mass of the bones"),
    float("bodyWaterInPercent").means("%", "Water's part of the weight"),
    float("bodyFatInPercent").means("%", "Fat's part of the weight"),
    float("bodyMassIndex").means("kg/m2", "Body mass index"),
];
