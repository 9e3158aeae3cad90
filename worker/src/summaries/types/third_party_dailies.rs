//! `thirdPartyDailies`: days that another maker's device recorded. What Garmin measures by its own methods
//! (heart rate, stress, body battery) is not among their fields.
//! Source: garmin-health-api.md 1.3.

use super::common::SPAN_OF_A_DAY;
use super::dailies::{GOALS, MOVEMENT};
use crate::summaries::declaration::{DURATION, SUMMARY_TYPE, SummaryType, required};

pub(super) const THIRD_PARTY_DAILIES: SummaryType = SummaryType {
    key: "thirdPartyDailies",
    table: "third_party_daily_summary",
    meaning: "One row a user and calendar day that another maker's device recorded; only a day's latest \
              source is sent, and none where a Garmin device recorded the day",
    identity: &[required("startTimeInSeconds")],
    rank: DURATION,
    fields: &[SPAN_OF_A_DAY, MOVEMENT, GOALS],
    ..SUMMARY_TYPE
};
