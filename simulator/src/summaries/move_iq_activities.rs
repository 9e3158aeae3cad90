//! `moveIQActivities`: what the device has recognised as walking, running or cycling by itself.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::{happens, one_of};
use crate::device::{Record, SLICE_SECONDS};
use crate::outbox::Outbox;
use crate::user::User;

pub(crate) const KEY: &str = "moveIQActivities";

/// Up to two a day; some are first seen while they last.
pub(crate) fn post(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    if !user.device.move_iq || !record.worn {
        return;
    }
    let mut begins = rng.u32(25..40) * SLICE_SECONDS;
    for _ in 0..rng.u8(0..=2) {
        let seconds = rng.u32(10..40) * 60;
        let whole = summary(user, record, begins, seconds, rng);
        if happens(rng, 0.25) {
            let part = seconds / 2;
            let mut unfinished = whole.clone();
            unfinished["summaryId"] = summary_id(user, record, begins, part, &whole["activityType"]);
            unfinished["durationInSeconds"] = json!(part);
            outbox.post(record.moment(begins + part), KEY, unfinished);
        }
        outbox.post(record.moment(begins + seconds), KEY, whole);
        begins += rng.u32(5..20) * SLICE_SECONDS;
    }
}

fn summary(user: &User, record: &Record, begins: u32, seconds: u32, rng: &mut Rng) -> Value {
    let mut summary = json!({
        "userId": user.id,
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": record.moment(begins),
        "offsetInSeconds": record.offset,
        "durationInSeconds": seconds,
    });
    if !happens(rng, 0.01) {
        summary["activityType"] = json!(one_of(rng, &["walking", "Running", "cycling"]));
    }
    if happens(rng, 0.3) {
        summary["activitySubType"] = json!(one_of(rng, &["Hurdles", "commuting"]));
    }
    summary["summaryId"] = summary_id(user, record, begins, seconds, &summary["activityType"]);
    summary
}

/// It has no dash between its last parts.
fn summary_id(user: &User, record: &Record, begins: u32, seconds: u32, activity_type: &Value) -> Value {
    let activity_type = activity_type.as_str().unwrap_or_default();
    json!(format!("{}-{:x}{activity_type}{seconds:x}", user.summary_prefix, record.moment(begins)))
}
