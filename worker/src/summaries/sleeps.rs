//! `sleeps`: one summary a sleep event, sent tentatively during the night and again in the morning. The last
//! one received counts, whatever its duration.
//! Source: garmin-health-api.md 1.5 and 3.

use super::field::{
    Field, date, float_series, instant, integer, integer_series, list, object, open_object, text,
};
use super::{Rank, SummaryType};

const SCORE: &[Field] = &[integer("value"), text("qualifierKey")];

pub(super) const SLEEPS: SummaryType = SummaryType {
    key: "sleeps",
    table: "sleep_summary",
    identity: &["startTimeInSeconds"],
    rank: Rank::None,
    fields: &[
        text("summaryId"),
        date("calendarDate"),
        instant("startTimeInSeconds"),
        integer("startTimeOffsetInSeconds"),
        integer("durationInSeconds"),
        integer("totalNapDurationInSeconds"),
        integer("unmeasurableSleepInSeconds").or("unmeasurableSleepDurationInSeconds"),
        integer("deepSleepDurationInSeconds"),
        integer("lightSleepDurationInSeconds"),
        integer("remSleepInSeconds"),
        integer("awakeDurationInSeconds"),
        open_object("sleepLevelsMap"),
        text("validation"),
        integer_series("timeOffsetSleepSpo2"),
        float_series("timeOffsetSleepRespiration"),
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
        list("naps"),
    ],
};
