//! `moveIQActivities`: movement that the device took for an activity without being told.
//! Source: garmin-health-api.md 1.19.

use super::common::{self, CALENDAR_DATE, START_TIME, SUMMARY_ID};
use crate::summaries::declaration::{DURATION, Missing, SUMMARY_TYPE, SummaryType, or, required};
use crate::summaries::field::{Field, integer, text};

pub(super) const MOVE_IQ_ACTIVITIES: SummaryType = SummaryType {
    key: "moveIQActivities",
    table: "move_iq_summary",
    meaning: "One row a user, start and kind of movement that the device took for an activity by itself",
    identity: &[required("startTimeInSeconds"), or("activityType", Missing::Empty)],
    rank: DURATION,
    fields: &[MOVEMENT],
    ..SUMMARY_TYPE
};

const MOVEMENT: &[Field] = &[
    SUMMARY_ID,
    CALENDAR_DATE,
    START_TIME,
    integer("offsetInSeconds")
        .means("s", "What to add to UTC to get the user's clock; missing means unknown, not UTC"),
    common::DURATION,
    text("activityType").means("", "Kind of movement, such as walking or Running, in any case of letters"),
    text("activitySubType").means("", "Kind within that kind, such as Hurdles"),
];
