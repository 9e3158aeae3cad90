//! `activityDetails`: an activity's course, sample by sample.
//! Source: garmin-health-api.md 1.17.

use super::activities::{ACTIVITY, ACTIVITY_ID};
use crate::summaries::declaration::{Missing, SUMMARY_TYPE, SummaryType, or};
use crate::summaries::field::{Field, list, object, text};

pub(super) const ACTIVITY_DETAILS: SummaryType = SummaryType {
    key: "activityDetails",
    table: "activity_detail",
    meaning: "One row a user and activity of up to a day: its course, sample by sample",
    identity: &[or("summaryId", Missing::ActivityId)],
    fields: &[DETAILS],
    ..SUMMARY_TYPE
};

const DETAILS: &[Field] = &[
    text("summaryId").means("", "The activity's id as text, with -detail behind"),
    ACTIVITY_ID,
    object("summary", ACTIVITY),
    list("samples").means(
        "",
        "Up to one a second, unevenly spaced, each with startTimeInSeconds and what the device measured \
         (latitudeInDegree, heartRate, speedMetersPerSecond, powerInWatts and more); activity_sample has \
         them as rows",
    ),
    list("laps").means(
        "",
        "Each with startTimeInSeconds; a lap ends where the next begins; activity_lap has them as rows",
    ),
];
