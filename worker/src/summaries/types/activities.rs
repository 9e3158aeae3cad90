//! `activities` and `manuallyUpdatedActivities`: an activity as a whole. The second key carries those that a
//! user created or edited by hand, and replaces what came under the first.
//! Source: garmin-health-api.md 1.15, 1.16 and 3.

use crate::summaries::declaration::{Missing, SUMMARY_TYPE, SecondKey, SummaryType, or};
use crate::summaries::field::{Field, big_integer, boolean, float, instant, integer, text};

pub(super) const ACTIVITIES: SummaryType = SummaryType {
    key: "activities",
    second_key: Some(SecondKey {
        key: "manuallyUpdatedActivities",
        column: "manually_updated",
        meaning: "Whether this version came as manuallyUpdatedActivities: the user created or edited the \
                  activity on the web or a phone",
    }),
    table: "activity_summary",
    meaning: "One row a user and activity that was recorded or entered",
    identity: &[or("summaryId", Missing::ActivityId)],
    fields: &[ACTIVITY],
    ..SUMMARY_TYPE
};

/// Also the `summary` within `activityDetails`.
pub(super) const ACTIVITY: &[Field] = &[
    text("summaryId").means("", "The activity's id as text"),
    ACTIVITY_ID,
    text("activityName").means("", "Name, which the user may choose"),
    text("activityDescription").means("", "What the user wrote about it"),
    text("activityType").means("", "Kind of activity, such as RUNNING; new ones come without notice"),
    instant("startTimeInSeconds").means("", "When the activity began"),
    integer("startTimeOffsetInSeconds")
        .means("s", "What to add to UTC to get the user's clock; missing means unknown, not UTC"),
    integer("durationInSeconds").means("s", "Duration of the activity"),
    integer("averageHeartRateInBeatsPerMinute").means("1/min", "Average heart rate"),
    float("maxHeartRateInBeatsPerMinute").means("1/min", "Highest heart rate"),
    float("averageSpeedInMetersPerSecond").means("m/s", "Average speed"),
    float("maxSpeedInMetersPerSecond").means("m/s", "Highest speed"),
    float("averagePaceInMinutesPerKilometer").means("min/km", "Average pace"),
    float("maxPaceInMinutesPerKilometer").means("min/km", "Fastest pace"),
    float("averageRunCadenceInStepsPerMinute").means("1/min", "Average of steps per minute"),
    float("maxRunCadenceInStepsPerMinute").means("1/min", "Most steps per minute"),
    float("averageBikeCadenceInRoundsPerMinute").means("1/min", "Average of the crank's rounds per minute"),
    float("maxBikeCadenceInRoundsPerMinute").means("1/min", "Most rounds of the crank per minute"),
    float("averageSwimCadenceInStrokesPerMinute").means("1/min", "Average of strokes per minute"),
    float("averagePushCadenceInPushesPerMinute").means("1/min", "Average of wheelchair pushes per minute"),
    float("maxPushCadenceInPushesPerMinute").means("1/min", "Most wheelchair pushes per minute"),
    integer("pushes").means("", "Pushes of the wheelchair"),
    integer("activeKilocalories")
        .means("kcal", "Energy burnt, including resting energy (unlike this field of a day)"),
    float("distanceInMeters").means("m", "Distance covered"),
    integer("numberOfActiveLengths").means("", "Lengths swum in a pool"),
    float("startingLatitudeInDegree").means("°", "Latitude of the start"),
    float("startingLongitudeInDegree").means("°", "Longitude of the start"),
    integer("steps").means("", "Steps taken"),
    float("totalElevationGainInMeters").means("m", "All ascents together"),
    float("totalElevationLossInMeters").means("m", "All descents together"),
    text("deviceName").means("", "Model of the device; unknown where the activity was typed in"),
    boolean("isParent")
        .means("", "Whether it is a multisport activity, whose legs are activities of their own"),
    text("parentSummaryId").means("", "Of a leg, the summary_id of its multisport activity"),
    boolean("manual")
        .means("", "Whether the user typed it in; of a manually updated one also whether the user edited it"),
    boolean("isWebUpload").means("", "Whether it came as a file that the user uploaded in a browser"),
];

/// Common to an activity, its details and its files.
pub(super) const ACTIVITY_ID: Field = big_integer("activityId")
    .means("", "Garmin's id of the activity; its summary, details and files share it");
