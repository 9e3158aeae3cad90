//! `dailies`: one summary a user and calendar day, sent again after each sync during the day.
//! Source: garmin-health-api.md 1.3.

use super::common::SPAN_OF_A_DAY;
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, float, integer, integer_series, text};

pub(super) const DAILIES: SummaryType = SummaryType {
    key: "dailies",
    table: "daily_summary",
    meaning: "One row a user and calendar day, from local midnight to midnight",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, MOVEMENT, HEART_RATE_AND_STRESS, GOALS],
    ..SUMMARY_TYPE
};

/// Also in `thirdPartyDailies`.
pub(super) const MOVEMENT: &[Field] = &[
    text("activityType").means("", "WALKING or GENERIC, of no meaning for a day"),
    integer("steps").means("", "Steps taken"),
    float("distanceInMeters").means("m", "Distance covered"),
    integer("pushes").means("", "Pushes of the wheelchair; wheelchair mode only"),
    float("pushDistanceInMeters").means("m", "Distance covered in the wheelchair; wheelchair mode only"),
    integer("pushesGoal").means("", "The day's goal of pushes; wheelchair mode only"),
    integer("activeTimeInSeconds").means("s", "Time spent active"),
    integer("activeKilocalories").means("kcal", "Energy burnt by being active, without resting energy"),
    integer("bmrKilocalories").means("kcal", "Resting energy (basal metabolic rate) burnt so far that day"),
    integer("consumedCalories").means("kcal", "Energy eaten, from a linked food app; older data only"),
    integer("netKilocaloriesGoal").means("kcal", "Goal of eaten less burnt energy; older data only"),
    integer("moderateIntensityDurationInSeconds").means("s", "Time active at 3 to 6 MET"),
    integer("vigorousIntensityDurationInSeconds").means("s", "Time active at more than 6 MET"),
    integer("floorsClimbed").means("", "Floors climbed"),
];

const HEART_RATE_AND_STRESS: &[Field] = &[
    integer("minHeartRateInBeatsPerMinute").means("1/min", "Lowest heart rate of the day"),
    integer("maxHeartRateInBeatsPerMinute").means("1/min", "Highest heart rate of the day"),
    integer("averageHeartRateInBeatsPerMinute")
        .means("1/min", "Average heart rate over the last seven days, not of the day"),
    integer("restingHeartRateInBeatsPerMinute").means("1/min", "Resting heart rate of the day"),
    integer_series("timeOffsetHeartRateSamples").means("1/min", "Heart rate, up to one sample each 15 s"),
    integer("averageStressLevel")
        .means("", "Average stress level, 1 to 100; -1 where there was too little data"),
    integer("maxStressLevel").means("", "Highest stress level, 1 to 100; 0 where the average is -1"),
    integer("stressDurationInSeconds").means("s", "Time with stress, a level of 26 to 100"),
    integer("restStressDurationInSeconds").means("s", "Time at rest, a stress level of 1 to 25"),
    integer("activityStressDurationInSeconds")
        .means("s", "Time in which stress could not be measured because the user was moving"),
    integer("lowStressDurationInSeconds").means("s", "Time with a stress level of 26 to 50"),
    integer("mediumStressDurationInSeconds").means("s", "Time with a stress level of 51 to 75"),
    integer("highStressDurationInSeconds").means("s", "Time with a stress level of 76 to 100"),
    text("stressQualifier")
        .means("", "calm, balanced, stressful, very_stressful or unknown, also with _awake behind"),
    integer("bodyBatteryChargedValue").means("", "Points of body battery gained during the day"),
    integer("bodyBatteryDrainedValue").means("", "Points of body battery lost during the day"),
];

/// Also in `thirdPartyDailies`.
pub(super) const GOALS: &[Field] = &[
    integer("stepsGoal").means("", "The day's goal of steps"),
    integer("intensityDurationGoalInSeconds")
        .means("s", "The goal of time at moderate or higher intensity, probably the week's"),
    integer("floorsClimbedGoal").means("", "The day's goal of floors"),
    text("source").means("", "Who recorded the day if it was not a Garmin device, such as FITBIT"),
];
