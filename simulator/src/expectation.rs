//! What the database must hold after a sequence of notifications.
//!
//! Garmin's rule: an entry of the same user, type and start time as an earlier one replaces it, whole, when its duration
//! is equal or longer; nights and fitness have no such duration, and there the entry received last counts. An
//! [`Expectation`] applies it to notifications in the order of reception, one entry at a time, with no thought of speed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use crate::columns::Row;
use crate::columns::{row_of, whole};
use crate::plan::Group;

/// The schema of all tables below.
pub const SCHEMA: &str = "garmin_wellness";

/// A summary type: where it is stored, and which version of a summary counts.
#[derive(Debug)]
pub struct SummaryType {
    /// Garmin's top-level key.
    pub key: &'static str,
    /// The table within [`SCHEMA`].
    pub table: &'static str,
    /// The columns that identify a row.
    pub identity: &'static [&'static str],
    winner: Winner,
}

/// Which of two versions of a summary counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Winner {
    /// The longer one; of equally long ones the one received last.
    Longest,
    /// The one received last.
    Latest,
}

/// The types that the simulator sends.
pub static SUMMARY_TYPES: [SummaryType; 5] = [
    SummaryType {
        key: "dailies",
        table: "daily_summary",
        identity: &["user_id", "start_time"],
        winner: Winner::Longest,
    },
    SummaryType {
        key: "epochs",
        table: "epoch_summary",
        identity: &["user_id", "start_time", "activity_type"],
        winner: Winner::Longest,
    },
    SummaryType {
        key: "sleeps",
        table: "sleep_summary",
        identity: &["user_id", "start_time"],
        winner: Winner::Latest,
    },
    SummaryType {
        key: "stressDetails",
        table: "stress_summary",
        identity: &["user_id", "start_time"],
        winner: Winner::Longest,
    },
    SummaryType {
        key: "userMetrics",
        table: "user_metrics",
        identity: &["user_id", "calendar_date"],
        winner: Winner::Latest,
    },
];

impl SummaryType {
    /// What identifies that row among its table's; `None` if a column is missing.
    pub(crate) fn key_of(&self, row: &Row) -> Option<RowKey> {
        let text = |column: &&str| row.get(*column)?.as_str().map(str::to_owned);
        self.identity.iter().map(text).collect()
    }
}

/// The values of a row's identity, in the order of [`SummaryType::identity`].
pub type RowKey = Vec<String>;

/// A body that the simulator would not send, and whose rows it therefore cannot foretell.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// The body is not what a notification is.
    #[error("the body is no JSON object of lists of objects")]
    NotANotification(#[source] serde_json::Error),
    /// A summary without user, time or date.
    #[error("a summary in {key} does not say what it is about: {identity:?} are needed")]
    NoIdentity {
        /// Garmin's top-level key.
        key: &'static str,
        /// The columns that identify a row.
        identity: &'static [&'static str],
    },
}

/// The rows that must be there, by table. Start with none and let it [`receive`](Self::receive).
#[derive(Debug, Default)]
pub struct Expectation {
    tables: BTreeMap<&'static str, BTreeMap<RowKey, Row>>,
}

impl Expectation {
    /// After every notification of the household has been acknowledged, in order.
    pub fn of_group(group: &Group) -> Result<Self, ExpectationError> {
        let mut expectation = Self::default();
        for notification in group.notifications() {
            expectation.receive(&notification.body)?;
        }
        Ok(expectation)
    }

    /// Takes the next notification in. Keys of types that the simulator does not send are passed over.
    pub fn receive(&mut self, body: &[u8]) -> Result<(), ExpectationError> {
        let mut lists: BTreeMap<String, Vec<Map<String, Value>>> =
            serde_json::from_slice(body).map_err(ExpectationError::NotANotification)?;
        for summary_type in &SUMMARY_TYPES {
            for summary in lists.remove(summary_type.key).unwrap_or_default() {
                self.receive_summary(summary_type, &summary)?;
            }
        }
        Ok(())
    }

    /// The rows of a table, in the order of their identities.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Row> {
        self.tables.get(table).into_iter().flat_map(BTreeMap::values)
    }

    /// The rows of a table, to be compared one by one.
    pub(crate) fn keyed_rows(&self, table: &str) -> BTreeMap<&RowKey, &Row> {
        self.tables.get(table).into_iter().flatten().collect()
    }

    fn receive_summary(
        &mut self,
        summary_type: &'static SummaryType,
        summary: &Map<String, Value>,
    ) -> Result<(), ExpectationError> {
        let mut row = row_of(summary);
        if summary_type.identity.contains(&"activity_type") {
            row.entry("activity_type").or_insert_with(|| "".into());
        }
        let key = summary_type
            .key_of(&row)
            .ok_or(ExpectationError::NoIdentity { key: summary_type.key, identity: summary_type.identity })?;
        let rows = self.tables.entry(summary_type.table).or_default();
        let shorter = |stored: &Row| duration(&row) < duration(stored);
        let stale = summary_type.winner == Winner::Longest && rows.get(&key).is_some_and(shorter);
        if !stale {
            rows.insert(key, row);
        }
        Ok(())
    }
}

/// A missing duration counts as none.
fn duration(row: &Row) -> i64 {
    match row.get("duration_in_seconds") {
        Some(Value::Number(seconds)) => whole(seconds).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after<const N: usize>(bodies: [Value; N]) -> Expectation {
        let mut expectation = Expectation::default();
        for body in bodies {
            expectation.receive(body.to_string().as_bytes()).unwrap();
        }
        expectation
    }

    fn column<T>(
        expectation: &Expectation,
        table: &str,
        column: &str,
        read: fn(&Value) -> Option<T>,
    ) -> Vec<T> {
        expectation.rows(table).map(|row| read(&row[column]).unwrap()).collect()
    }

    fn steps(expectation: &Expectation) -> Vec<i64> {
        column(expectation, "daily_summary", "steps", Value::as_i64)
    }

    fn daily(seconds: Value, steps: i64) -> Value {
        json!({"dailies": [{"userId": "a", "startTimeInSeconds": 0, "durationInSeconds": seconds, "steps": steps}]})
    }

    fn sleep(seconds: i64) -> Value {
        json!({"sleeps": [{"userId": "a", "startTimeInSeconds": 0, "durationInSeconds": seconds}]})
    }

    #[test]
    fn a_longer_day_replaces_a_shorter_one_and_not_the_reverse() {
        assert_eq!(steps(&after([daily(json!(60), 1), daily(json!(90), 2)])), [2]);
        assert_eq!(steps(&after([daily(json!(90), 2), daily(json!(60), 1)])), [2]);
    }

    #[test]
    fn of_equally_long_days_the_last_received_counts() {
        assert_eq!(steps(&after([daily(json!(60), 1), daily(json!(60), 2)])), [2]);
        assert_eq!(steps(&after([daily(json!(60), 1), daily(json!(60), 2), daily(json!(60), 1)])), [1]);
    }

    #[test]
    fn a_duration_counts_as_a_number_however_it_is_written() {
        assert_eq!(steps(&after([daily(json!(144.0), 1), daily(json!(144), 2)])), [2]);
        assert_eq!(steps(&after([daily(json!(144), 1), daily(json!(144.0), 2)])), [2]);
        assert_eq!(steps(&after([daily(json!(144.0), 1), daily(json!(143), 2)])), [1]);
    }

    #[test]
    fn a_replacement_is_whole_not_a_merge() {
        let with_floors = json!({"dailies": [{"userId": "a", "startTimeInSeconds": 0, "durationInSeconds": 1, "floorsClimbed": 3}]});
        let expectation = after([with_floors, daily(json!(2), 5)]);
        assert!(expectation.rows("daily_summary").all(|row| !row.contains_key("floors_climbed")));
    }

    #[test]
    fn the_night_received_last_counts_even_when_it_is_shorter() {
        let expectation = after([sleep(60), sleep(90), sleep(60)]);
        assert_eq!(column(&expectation, "sleep_summary", "duration_in_seconds", Value::as_i64), [60]);
    }

    #[test]
    fn the_metrics_of_a_date_received_last_count() {
        let metrics = |age: i64| json!({"userMetrics": [{"userId": "a", "calendarDate": "2026-11-10", "fitnessAge": age}]});
        let expectation = after([metrics(31), metrics(30)]);
        assert_eq!(column(&expectation, "user_metrics", "fitness_age", Value::as_i64), [30]);
    }

    #[test]
    fn epochs_of_one_slice_differ_by_activity_type() {
        let epoch = |activity: &str, seconds: i64| json!({"userId": "a", "startTimeInSeconds": 0, "activityType": activity, "durationInSeconds": seconds});
        let expectation = after([
            json!({"epochs": [epoch("WALKING", 900), epoch("SEDENTARY", 300)]}),
            json!({"epochs": [epoch("SEDENTARY", 900), epoch("WALKING", 300)]}),
        ]);
        assert_eq!(column(&expectation, "epoch_summary", "duration_in_seconds", Value::as_i64), [900, 900]);
    }

    #[test]
    fn of_two_versions_in_one_body_the_later_place_counts() {
        let day = |steps: i64| json!({"userId": "a", "startTimeInSeconds": 0, "durationInSeconds": 60, "steps": steps});
        assert_eq!(steps(&after([json!({"dailies": [day(1), day(2)]})])), [2]);
    }

    #[test]
    fn a_summary_about_nothing_is_refused() {
        let mut expectation = Expectation::default();
        let refused = expectation.receive(br#"{"sleeps": [{"userId": "a"}]}"#);
        assert!(matches!(refused, Err(ExpectationError::NoIdentity { key: "sleeps", .. })));
        assert!(matches!(expectation.receive(b"[]"), Err(ExpectationError::NotANotification(_))));
    }
}
