//! `allDayRespiration`: breath in quarters of an hour, waking or sleeping.

use serde_json::{Value, json};

use super::{fractional_moment, series};
use crate::device::{Record, SLICE_SECONDS};
use crate::user::User;

pub(crate) const KEY: &str = "allDayRespiration";

/// The slices of the day that the device has not sent whole, when it last sent the first `sent` seconds of the day and
/// now has `covered`. A slice that was cut by the last synchronisation is sent again.
pub(crate) fn summaries(user: &User, record: &Record, sent: u32, covered: u32) -> Vec<Value> {
    if !record.worn {
        return Vec::new();
    }
    (sent / SLICE_SECONDS..covered.div_ceil(SLICE_SECONDS))
        .map(|number| slice(user, record, number * SLICE_SECONDS, covered))
        .collect()
}

fn slice(user: &User, record: &Record, begins: u32, covered: u32) -> Value {
    let ends = (begins + SLICE_SECONDS).min(covered);
    let breaths = record.respiration(begins, ends).map(|(second, breaths)| (second - begins, breaths));
    json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}-respiration", user.summary_prefix, record.moment(begins)),
        "startTimeInSeconds": fractional_moment(user, record.moment(begins)),
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": ends - begins,
        "timeOffsetEpochToBreaths": series(breaths),
    })
}
