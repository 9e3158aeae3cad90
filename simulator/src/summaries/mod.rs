//! Garmin's summaries: one file a type, each cutting its JSON from what a device recorded.
//!
//! A new type is a file here with its key, a line in [`crate::open_day`] that says when it is sent, and an entry in
//! [`crate::summary_type`]. What grows has a function `summary` of the moment; what is complete at once has a function
//! `post` that puts it, and its later versions, into the outbox.

pub(crate) mod activities;
pub(crate) mod activity_details;
pub(crate) mod activity_files;
pub(crate) mod all_day_respiration;
pub(crate) mod blood_pressures;
pub(crate) mod body_comps;
pub(crate) mod dailies;
pub(crate) mod epochs;
pub(crate) mod health_snapshot;
pub(crate) mod hrv;
pub(crate) mod manually_updated_activities;
pub(crate) mod mct;
pub(crate) mod move_iq_activities;
pub(crate) mod pulseox;
pub(crate) mod skin_temp;
pub(crate) mod sleeps;
pub(crate) mod stress_details;
pub(crate) mod third_party_dailies;
pub(crate) mod user_metrics;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::chance::happens;
use crate::user::User;

/// A map of time offsets: whole seconds from the summary's start, as strings, to values.
fn series<T: Into<Value>>(points: impl Iterator<Item = (u32, T)>) -> Value {
    Value::Object(points.map(|(second, value)| (second.to_string(), value.into())).collect::<Map<_, _>>())
}

/// A summary's id as Garmin forms it: it changes as the summary grows, so it identifies no more than one version.
fn summary_id(prefix: &str, start: i64, duration: u32, suffix: &str) -> String {
    format!("{prefix}-{start:x}-{duration:x}{suffix}")
}

/// Documented as text, delivered as a number mostly.
fn activity_id(rng: &mut Rng, id: u64) -> Value {
    if happens(rng, 0.2) { json!(id.to_string()) } else { json!(id) }
}

/// A moment in Unix seconds, as a float with the part of a second that the device's clock is ahead, if it writes floats.
fn fractional_moment(user: &User, moment: i64) -> Value {
    match user.device.fraction_of_start {
        Some(fraction) => json!(moment as f64 + fraction),
        None => json!(moment),
    }
}
