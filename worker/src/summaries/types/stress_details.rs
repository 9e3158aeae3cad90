//! `stressDetails`: stress level and body battery of one day, sent again as it grows.
//! Source: garmin-health-api.md 1.7.

use super::common::SPAN_OF_A_DAY;
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, instant, integer, integer_series, list, object, text};

pub(super) const STRESS_DETAILS: SummaryType = SummaryType {
    key: "stressDetails",
    table: "stress_summary",
    meaning: "One row a user and day: stress level and body battery",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, STRESS_AND_BODY_BATTERY],
    ..SUMMARY_TYPE
};

const STRESS_AND_BODY_BATTERY: &[Field] = &[
    integer("averageStressLevel")
        .means("", "Average stress level, 1 to 100; -1 where there was too little data"),
    integer("maxStressLevel").means("", "Highest stress level, 1 to 100; 0 where the average is -1"),
    integer_series("timeOffsetStressLevelValues").means(
        "",
        "Stress level, 0 to 100, each 3 minutes; or -1 off wrist, -2 too much motion, -3 not enough data, \
         -4 recovering from exercise, -5 unidentified (older devices: only -1, off wrist or not enough data, \
         and -2)",
    ),
    integer_series("timeOffsetBodyBatteryValues").means("", "Body battery, 0 to 100, each 3 minutes"),
    object("bodyBatteryDynamicFeedbackEvent", FEEDBACK),
    list("bodyBatteryActivityEvents").or("bodyBatteryActivityEventList").means(
        "",
        "What charged or drained the body battery, each with eventType, eventStartTimeInSeconds, \
         eventStartTimeOffsetInSeconds, duration, bodyBatteryImpact and more; body_battery_event has them \
         as rows",
    ),
];

const FEEDBACK: &[Field] = &[
    instant("eventStartTimeInSeconds").means("", "When the body battery's feedback was given"),
    text("bodyBatteryLevel").means("", "The body battery's level then: VERY_LOW, LOW, MODERATE or HIGH"),
];
