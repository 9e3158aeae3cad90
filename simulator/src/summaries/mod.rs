//! Garmin's summaries: one file a type, each cutting its JSON from what a device recorded.
//!
//! A new type is a file here with its key, and a line in [`crate::household`] that says when it is sent.

pub(crate) mod dailies;
pub(crate) mod epochs;
pub(crate) mod sleeps;
pub(crate) mod stress_details;
pub(crate) mod user_metrics;

use serde_json::{Map, Value};

/// A map of time offsets: whole seconds from the summary's start, as strings, to values.
fn series<T: Into<Value>>(points: impl Iterator<Item = (u32, T)>) -> Value {
    Value::Object(points.map(|(second, value)| (second.to_string(), value.into())).collect::<Map<_, _>>())
}

/// A summary's id as Garmin forms it: it changes as the summary grows, so it identifies no more than one version.
fn summary_id(prefix: &str, start: i64, duration: u32, suffix: &str) -> String {
    format!("{prefix}-{start:x}-{duration:x}{suffix}")
}
