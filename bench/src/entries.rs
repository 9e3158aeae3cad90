//! Notifications of one type, as many as wanted: the simulator's entries, each once, for ever more users.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use apollo_simulator::plan::Plan;
use serde_json::{Value, json};

/// The users whose entries are copied.
const MODELS: Plan = Plan { users: 200, days: 2, seed: 7, sample_interval_seconds: None };

/// The fields that tell one summary of a user from another, for most types.
const IDENTITY: &[&str] = &[
    "userId",
    "startTimeInSeconds",
    "measurementTimeInSeconds",
    "calendarDate",
    "activityType",
    "onDemand",
    "periodStartDate",
];
/// For activities, which may be given another time later.
const IDENTITY_OF_ACTIVITIES: &[&str] = &["userId", "summaryId"];

/// How notifications of one type are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// Garmin's top-level key.
    pub(crate) key: &'a str,
    /// A notification ends with the entry that makes it so large.
    pub(crate) bytes: usize,
    /// Entries of a notification, at most.
    pub(crate) entries: usize,
    /// Seconds added to each entry's duration, for a greater version of it.
    pub(crate) longer: u64,
    /// Of so many entries one is sent.
    pub(crate) one_of: usize,
}

/// A body, and what is in it.
pub(crate) struct Body {
    pub(crate) json: String,
    pub(crate) entries: u64,
    /// Users who may not have been in an earlier one.
    pub(crate) user_ids: Vec<String>,
}

impl Shape<'_> {
    /// Bodies with `summaries` entries in all, of which no two are versions of one summary.
    ///
    /// # Errors
    /// The simulator sends nothing of the type.
    pub(crate) fn bodies(self, summaries: u64) -> Result<impl Iterator<Item = Body>> {
        let models = models(self.key, self.longer)?;
        ensure!(!models.is_empty(), "the simulator sends no {}", self.key);
        let key = self.key.to_owned();
        let mut entries = (0u64..)
            .flat_map(move |copy| models.clone().into_iter().map(move |entry| of_copy(entry, copy)))
            .step_by(self.one_of.max(1))
            .take(usize::try_from(summaries).context("too many summaries")?)
            .peekable();
        Ok(std::iter::from_fn(move || {
            entries.peek()?;
            let mut body = Body { json: format!("{{{}:[", json!(key)), entries: 0, user_ids: Vec::new() };
            while let Some((user_id, rest)) = entries.next() {
                body.json.push_str(&format!("{{\"userId\":\"{user_id}\",{rest}"));
                body.entries += 1;
                body.user_ids.push(user_id);
                if body.json.len() >= self.bytes
                    || body.entries >= self.entries as u64
                    || entries.peek().is_none()
                {
                    break;
                }
                body.json.push(',');
            }
            body.json.push_str("]}");
            Some(body)
        }))
    }
}

/// An entry that is written already, but for whom it is about.
#[derive(Clone)]
struct Model {
    user_id: String,
    rest: Arc<str>,
}

/// The entry as that of a user of the copy with this number: the user's id, and what follows it in the entry.
fn of_copy(Model { user_id, rest }: Model, copy: u64) -> (String, Arc<str>) {
    (format!("{user_id}-{copy}"), rest)
}

/// The simulator's entries of a type, of each summary one version.
fn models(key: &str, longer: u64) -> Result<Vec<Model>> {
    let identity = if key.starts_with("activit") { IDENTITY_OF_ACTIVITIES } else { IDENTITY };
    let mut seen = BTreeSet::new();
    let mut models = Vec::new();
    for notification in MODELS.groups().flat_map(|group| group.notifications()) {
        if !notification.summaries.contains_key(key) {
            continue;
        }
        let mut body: Value = serde_json::from_slice(&notification.body)?;
        let Some(Value::Array(entries)) = body.get_mut(key).map(Value::take) else { continue };
        for mut entry in entries {
            let identity: Vec<String> = identity.iter().map(|field| entry[field].to_string()).collect();
            if !seen.insert(identity) {
                continue;
            }
            let Some(Value::String(user_id)) = entry.as_object_mut().and_then(|entry| entry.remove("userId"))
            else {
                continue;
            };
            if let Some(duration) = entry.get("durationInSeconds").and_then(Value::as_u64) {
                entry["durationInSeconds"] = (duration + longer).into();
            }
            let rest = entry.to_string();
            models.push(Model { user_id, rest: rest[1..].into() });
        }
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_summaries_come_as_wanted_and_none_twice() {
        let shape = Shape { key: "userMetrics", bytes: 4000, entries: 100, longer: 0, one_of: 1 };
        let bodies: Vec<Body> = shape.bodies(1000).unwrap().collect();
        assert_eq!(bodies.iter().map(|body| body.entries).sum::<u64>(), 1000);
        let mut summaries = BTreeSet::new();
        for body in &bodies {
            let json: Value = serde_json::from_str(&body.json).unwrap();
            for entry in json["userMetrics"].as_array().unwrap() {
                summaries.insert((entry["userId"].to_string(), entry["calendarDate"].to_string()));
            }
        }
        assert_eq!(summaries.len(), 1000);
    }
}
