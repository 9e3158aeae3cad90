//! `activityFiles`: the file that a device recorded. It comes as a ping only; the ping is the summary.
//!
//! `callbackURL`, where the file is to be fetched, is a secret: it is no field here, and is stored nowhere.
//! Source: garmin-health-api.md 1.18.

use super::activities::ACTIVITY_ID;
use crate::summaries::declaration::{Missing, SUMMARY_TYPE, SummaryType, or};
use crate::summaries::field::{Field, boolean, instant, text};

pub(super) const ACTIVITY_FILES: SummaryType = SummaryType {
    key: "activityFiles",
    table: "activity_file",
    meaning: "One row a user, activity and type of file that was announced",
    identity: &[or("summaryId", Missing::CallbackId), or("fileType", Missing::Empty)],
    pings_are_summaries: true,
    fields: &[FILE],
    ..SUMMARY_TYPE
};

const FILE: &[Field] = &[
    text("summaryId").means("", "The activity's id as text, with -file behind; older ones without"),
    ACTIVITY_ID,
    text("fileType")
        .means("", "FIT, TCX or GPX as Garmin says; what is labelled GPX has turned out to be FIT"),
    instant("startTimeInSeconds").means("", "When the activity began"),
    text("activityType").means("", "Kind of activity, such as RUNNING; new ones come without notice"),
    text("activityName").means("", "Name, which the user may choose"),
    text("activityDescription").means("", "What the user wrote about it"),
    text("deviceName").means("", "Model of the device; unknown where the activity was typed in"),
    boolean("manual").means("", "Whether the user typed it in"),
    boolean("isWebUpload").means("", "Whether it came as a file that the user uploaded in a browser"),
];
