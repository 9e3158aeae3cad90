//! `sleeps`: one summary a sleep event, sent tentatively during the night and again in the morning. The last
//! one received counts, whatever its duration.
//! Source: garmin-health-api.md 1.5 and 3.

use super::common::{START_TIME, START_TIME_OFFSET, SUMMARY_ID};
use crate::summaries::declaration::{SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{
    Field, date, float_series, integer, integer_series, list, object, open_object, text,
};

pub(super) const SLEEPS: SummaryType = SummaryType {
    key: "sleeps",
    table: "sleep_summary",
    meaning: "One row a user and sleep event; a night that was analysed anew may begin at another moment and \
              stand beside its older version",
    identity: &[required("startTimeInSeconds")],
    fields: &[NIGHT, STAGES, MEASURED, SCORES, NAPS],
    ..SUMMARY_TYPE
};

const NIGHT: &[Field] = &[
    SUMMARY_ID,
    date("calendarDate").means("", "The day of waking, by the user's clock"),
    START_TIME,
    START_TIME_OFFSET,
    integer("durationInSeconds").means(
        "s",
        "Time asleep only, deep and light and REM: start_time and this do not add up to the night's end, \
         which is its last stage's end",
    ),
    integer("totalNapDurationInSeconds").means("s", "Time of the day's naps together"),
];

const STAGES: &[Field] = &[
    integer("unmeasurableSleepInSeconds")
        .or("unmeasurableSleepDurationInSeconds")
        .means("s", "Time in which sleep could not be measured, not part of the duration"),
    integer("deepSleepDurationInSeconds").means("s", "Time in deep sleep"),
    integer("lightSleepDurationInSeconds").means("s", "Time in light sleep"),
    integer("remSleepInSeconds").means("s", "Time in REM sleep"),
    integer("awakeDurationInSeconds").means("s", "Time awake during the night, not part of the duration"),
    open_object("sleepLevelsMap").means(
        "",
        "For each stage that occurred (deep, light, rem, awake, unmeasurable) a list of periods, each with \
         startTimeInSeconds and endTimeInSeconds; sleep_levels_sample has them as rows",
    ),
    text("validation").means(
        "",
        "How far the night is confirmed: MANUAL, DEVICE, OFF_WRIST, AUTO_TENTATIVE, AUTO_FINAL, AUTO_MANUAL, \
         ENHANCED_TENTATIVE or ENHANCED_FINAL, in any case of letters",
    ),
];

const MEASURED: &[Field] = &[
    integer_series("timeOffsetSleepSpo2").means("%", "Blood oxygen saturation during sleep"),
    float_series("timeOffsetSleepRespiration").means("1/min", "Breaths per minute during sleep"),
];

const SCORES: &[Field] = &[
    object("overallSleepScore", SCORE),
    object(
        "sleepScores",
        &[
            object("totalDuration", SCORE),
            object("stress", SCORE),
            object("awakeCount", SCORE),
            object("remPercentage", SCORE),
            object("restlessness", SCORE),
            object("lightPercentage", SCORE),
            object("deepPercentage", SCORE),
        ],
    ),
];

const SCORE: &[Field] = &[
    integer("value").means("", "Garmin's score, 0 to 100"),
    text("qualifierKey").means("", "Garmin's score in a word: EXCELLENT, GOOD, FAIR or POOR"),
];

const NAPS: &[Field] = &[list("naps").means(
    "",
    "The day's naps, each with napStartTimeInSeconds, napOffsetInSeconds, napDurationInSeconds and \
     napValidation; sleep_nap has them as rows",
)];
