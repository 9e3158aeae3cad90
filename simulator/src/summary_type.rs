//! Garmin's summary types: where each is stored, what identifies a row, and which version counts.

use serde_json::{Map, Value};

use crate::columns::{Row, whole};

/// A summary type.
#[derive(Debug)]
pub struct SummaryType {
    /// The top-level keys under which Garmin sends it.
    pub keys: &'static [&'static str],
    /// The table within the schema [`crate::expectation::SCHEMA`].
    pub table: &'static str,
    /// The columns that identify a row.
    pub identity: &'static [&'static str],
    pub(crate) winner: Winner,
}

/// Which of two versions of a summary counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The longer one; of equally long ones the one received last.
    Longest,
    /// The one received last.
    Latest,
    /// The one with the later `lastUpdatedTimeInSeconds`; of equally late ones the one received last.
    LastUpdated,
}

const BY_START: &[&str] = &["user_id", "start_time"];
const BY_START_AND_ACTIVITY: &[&str] = &["user_id", "start_time", "activity_type"];
const BY_MEASUREMENT: &[&str] = &["user_id", "measurement_time"];
const BY_ID: &[&str] = &["user_id", "summary_id"];

/// Where the two keys of activities meet; a column says which of them a row came under.
pub(crate) const ACTIVITY_TABLE: &str = "activity_summary";

/// The key of what users have changed by hand.
pub(crate) const MANUALLY_UPDATED: &str = "manuallyUpdatedActivities";

/// The types that the simulator sends.
pub static SUMMARY_TYPES: [SummaryType; 18] = [
    summary_type(&["dailies"], "daily_summary", BY_START, Winner::Longest),
    summary_type(&["thirdPartyDailies"], "third_party_daily_summary", BY_START, Winner::Longest),
    summary_type(&["epochs"], "epoch_summary", BY_START_AND_ACTIVITY, Winner::Longest),
    summary_type(&["sleeps"], "sleep_summary", BY_START, Winner::Latest),
    summary_type(&["bodyComps"], "body_composition", BY_MEASUREMENT, Winner::Latest),
    summary_type(&["stressDetails"], "stress_summary", BY_START, Winner::Longest),
    summary_type(&["userMetrics"], "user_metrics", &["user_id", "calendar_date"], Winner::Latest),
    summary_type(&["pulseox"], "pulse_ox_summary", &["user_id", "start_time", "on_demand"], Winner::Longest),
    summary_type(&["allDayRespiration"], "respiration_summary", BY_START, Winner::Longest),
    summary_type(&["healthSnapshot"], "health_snapshot", BY_START, Winner::Longest),
    summary_type(&["hrv"], "hrv_summary", BY_START, Winner::Longest),
    summary_type(&["bloodPressures"], "blood_pressure", BY_MEASUREMENT, Winner::Latest),
    summary_type(&["skinTemp"], "skin_temperature", BY_START, Winner::Longest),
    summary_type(&["activities", MANUALLY_UPDATED], ACTIVITY_TABLE, BY_ID, Winner::Latest),
    summary_type(&["activityDetails"], "activity_detail", BY_ID, Winner::Latest),
    summary_type(
        &["activityFiles"],
        "activity_file",
        &["user_id", "summary_id", "file_type"],
        Winner::Latest,
    ),
    summary_type(&["moveIQActivities"], "move_iq_summary", BY_START_AND_ACTIVITY, Winner::Longest),
    summary_type(
        &["mct", "menstrualCycleTracking"],
        "menstrual_cycle_summary",
        &["user_id", "period_start_date"],
        Winner::LastUpdated,
    ),
];

const fn summary_type(
    keys: &'static [&'static str],
    table: &'static str,
    identity: &'static [&'static str],
    winner: Winner,
) -> SummaryType {
    SummaryType { keys, table, identity, winner }
}

/// The values of a row's identity, in the order of [`SummaryType::identity`].
pub type RowKey = Vec<String>;

impl SummaryType {
    /// The type that Garmin sends under that top-level key.
    pub(crate) fn of_key(key: &str) -> Option<&'static Self> {
        SUMMARY_TYPES.iter().find(|summary_type| summary_type.keys.contains(&key))
    }

    /// Fills in what counts as the identity where the summary does not tell it.
    pub(crate) fn complete(&self, row: &mut Row, summary: &Map<String, Value>) {
        for column in self.identity.iter().filter(|column| **column != "user_id") {
            if !row.contains_key(*column)
                && let Some(value) = instead_of(column, summary)
            {
                row.insert((*column).to_owned(), value);
            }
        }
    }

    /// What identifies that row among its table's; `None` if a column is missing.
    pub(crate) fn key_of(&self, row: &Row) -> Option<RowKey> {
        let text = |column: &&str| match row.get(*column)? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(answer) => Some(answer.to_string()),
            _ => None,
        };
        self.identity.iter().map(text).collect()
    }
}

impl Winner {
    /// Whether `new`, received after `stored`, does not count.
    pub(crate) fn is_stale(self, new: &Row, stored: &Row) -> bool {
        match self {
            Self::Latest => false,
            Self::Longest => duration(new) < duration(stored),
            Self::LastUpdated => last_update(new) < last_update(stored),
        }
    }
}

/// A missing duration counts as none.
fn duration(row: &Row) -> i64 {
    match row.get("duration_in_seconds") {
        Some(Value::Number(seconds)) => whole(seconds).unwrap_or(0),
        _ => 0,
    }
}

/// Instants are in the order of their texts. A missing one counts as Unix time 0.
fn last_update(row: &Row) -> &str {
    row.get("last_updated_time").and_then(Value::as_str).unwrap_or("1970-01-01T00:00:00+00:00")
}

fn instead_of(column: &str, summary: &Map<String, Value>) -> Option<Value> {
    match column {
        "activity_type" | "file_type" => Some("".into()),
        "on_demand" => Some(false.into()),
        "summary_id" => id_in_callback_url(summary).or_else(|| activity_id(summary)).map(Value::from),
        _ => None,
    }
}

/// The `id` of `…/activityFile?id=N&token=T`.
fn id_in_callback_url(summary: &Map<String, Value>) -> Option<String> {
    let (_, query) = summary.get("callbackURL")?.as_str()?.split_once('?')?;
    query.split('&').find_map(|parameter| parameter.strip_prefix("id=")).map(str::to_owned)
}

fn activity_id(summary: &Map<String, Value>) -> Option<String> {
    match summary.get("activityId")? {
        Value::String(digits) => Some(digits.clone()),
        Value::Number(id) => Some(whole(id)?.to_string()),
        _ => None,
    }
}
