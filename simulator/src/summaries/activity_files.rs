//! `activityFiles`: where a workout's file can be fetched. Garmin never pushes the file itself.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{activities, activity_id};
use crate::chance::{happens, one_of};
use crate::device::{Record, Workout};
use crate::outbox::Outbox;
use crate::user::User;

pub(crate) const KEY: &str = "activityFiles";

/// Of what is known about the workout, this much is in a ping.
const FIELDS: [&str; 7] = [
    "startTimeInSeconds",
    "activityType",
    "activityName",
    "activityDescription",
    "deviceName",
    "manual",
    "isWebUpload",
];

/// A file of one kind, sometimes of a second one, and sometimes another URL for it.
pub(crate) fn post(user: &User, record: &Record, workout: &Workout, rng: &mut Rng, outbox: &mut Outbox) {
    let over = record.moment(workout.begins + workout.seconds);
    let mut file_types = vec![one_of(rng, &["FIT", "FIT", "FIT", "TCX", "GPX"])];
    if happens(rng, 0.1) {
        file_types.push("TCX");
    }
    for file_type in file_types {
        let older = user.access_token.is_some() || happens(rng, 0.1);
        let due = over + rng.i64(0..900);
        let mut ping = ping(user, record, workout, file_type, older, rng);
        outbox.post(due, KEY, ping.clone());
        if happens(rng, 0.1) {
            ping["callbackURL"] = callback_url(workout, rng);
            outbox.post(due + rng.i64(600..20_000), KEY, ping);
        }
    }
}

/// Older deliveries have no ids but the URL's, and little else.
fn ping(
    user: &User,
    record: &Record,
    workout: &Workout,
    file_type: &str,
    older: bool,
    rng: &mut Rng,
) -> Value {
    let mut ping = json!({"userId": user.id, "callbackURL": callback_url(workout, rng)});
    if !happens(rng, 0.01) {
        ping["fileType"] = json!(file_type);
    }
    if older {
        return ping;
    }
    ping["summaryId"] = json!(format!("{}-file", workout.activity_id));
    ping["activityId"] = activity_id(rng, workout.activity_id);
    for (name, value) in activities::fields(user, record, workout) {
        if FIELDS.contains(&name.as_str()) {
            ping[name] = value;
        }
    }
    ping
}

fn callback_url(workout: &Workout, rng: &mut Rng) -> Value {
    let (id, token) = (workout.activity_id, rng.u128(..));
    json!(format!("https://apis.garmin.com/wellness-api/rest/activityFile?id={id}&token={token:032x}"))
}
