//! `epochs`: slices of 15 minutes, one entry for each activity type within a slice.
//! Source: garmin-health-api.md 1.4.

use super::common::{START_TIME, START_TIME_OFFSET, SUMMARY_ID};
use crate::summaries::declaration::{DURATION, Missing, SUMMARY_TYPE, SummaryType, or, required};
use crate::summaries::field::{Field, float, integer, text};

pub(super) const EPOCHS: SummaryType = SummaryType {
    key: "epochs",
    table: "epoch_summary",
    meaning: "One row a user, slice of 15 minutes and activity type within it",
    identity: &[required("startTimeInSeconds"), or("activityType", Missing::Empty)],
    rank: DURATION,
    fields: &[SLICE, MOVEMENT],
    ..SUMMARY_TYPE
};

const SLICE: &[Field] = &[
    SUMMARY_ID,
    START_TIME,
    START_TIME_OFFSET,
    integer("durationInSeconds").means("s", "Time covered by the slice; below 900 where a sync cut it short"),
];

const MOVEMENT: &[Field] = &[
    text("activityType").means("", "WALKING, RUNNING, WHEELCHAIR_PUSH, SEDENTARY, GENERIC, SLEEP or another"),
    integer("activeTimeInSeconds")
        .means("s", "The slice's part that was of this activity type; all types' together fill the slice"),
    integer("steps").means("", "Steps taken"),
    integer("pushes").means("", "Pushes of the wheelchair; wheelchair mode only"),
    float("distanceInMeters").means("m", "Distance covered"),
    float("pushDistanceInMeters").means("m", "Distance covered in the wheelchair; wheelchair mode only"),
    integer("activeKilocalories").means("kcal", "Energy burnt by being active, without resting energy"),
    float("met").means("MET", "Metabolic equivalent of task: energy used as a multiple of that at rest"),
    text("intensity").means("", "SEDENTARY, ACTIVE or HIGHLY_ACTIVE"),
    float("meanMotionIntensity").means("", "Average of the intensity of motion, 0 to 7"),
    float("maxMotionIntensity").means("", "Highest intensity of motion, 0 to 7"),
];
