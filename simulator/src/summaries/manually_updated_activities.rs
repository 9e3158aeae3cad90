//! `manuallyUpdatedActivities`: workouts that the user has edited, or typed in without a device.

use fastrand::Rng;
use serde_json::{Value, json};

use super::activities;
use crate::chance::{happens, one_of};
use crate::device::{Record, Workout};
use crate::outbox::Outbox;
use crate::user::User;

pub(crate) const KEY: &str = "manuallyUpdatedActivities";

const HOUR: i64 = 3_600;

/// Some workouts are edited, some of them twice, and after some edits the device sends its own version again.
pub(crate) fn post_edits(
    user: &User,
    record: &Record,
    workout: &Workout,
    rng: &mut Rng,
    outbox: &mut Outbox,
) {
    if !happens(rng, 0.25) {
        return;
    }
    let mut due = record.moment(workout.begins + workout.seconds) + rng.i64(0..16 * HOUR);
    outbox.post(due, KEY, edited(user, record, workout, "renamed", rng));
    if happens(rng, 0.4) {
        due += rng.i64(0..4 * HOUR);
        outbox.post(due, KEY, edited(user, record, workout, "renamed again", rng));
    }
    if happens(rng, 0.2) {
        due += rng.i64(0..4 * HOUR);
        outbox.post(due, activities::KEY, activities::summary(user, record, workout, rng));
    }
}

fn edited(user: &User, record: &Record, workout: &Workout, how: &str, rng: &mut Rng) -> Value {
    let mut summary = activities::summary(user, record, workout, rng);
    summary["activityName"] = json!(format!("{} ({how})", workout.name));
    summary["activityType"] = json!(workout.sport.other_type);
    summary["manual"] = json!(true);
    without_steps(summary)
}

/// Garmin's table of this type has none.
fn without_steps(mut summary: Value) -> Value {
    if let Value::Object(fields) = &mut summary {
        fields.remove("steps");
    }
    summary
}

/// Now and then a workout that no device has seen.
pub(crate) fn post_created(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    if !happens(rng, 0.05) {
        return;
    }
    let activity_id = rng.u64(30_000_000_000..40_000_000_000);
    let begins = rng.u32(21_600..64_800);
    let mut summary = json!({
        "userId": user.id,
        "summaryId": activity_id.to_string(),
        "activityId": super::activity_id(rng, activity_id),
        "activityName": one_of(rng, &["Gym", "Yoga im Park", "Ski"]),
        "activityType": one_of(rng, &["STRENGTH_TRAINING", "YOGA", "RESORT_SKIING_SNOWBOARDING_WS"]),
        "startTimeInSeconds": record.moment(begins),
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": rng.u32(2..12) * 600,
        "activeKilocalories": rng.u32(80..700),
        "deviceName": "unknown",
        "manual": true,
        "isWebUpload": happens(rng, 0.5),
    });
    let due = record.moment(begins) + rng.i64(0..12 * HOUR);
    outbox.post(due, KEY, summary.clone());
    if happens(rng, 0.3) {
        summary["activityName"] = json!("Gym, at last");
        outbox.post(due + rng.i64(0..4 * HOUR), KEY, summary);
    }
}
