//! What the database must hold after a sequence of notifications.
//!
//! Garmin's rule: an entry of the same user, type and start time as an earlier one replaces it, whole, when its duration
//! is equal or longer. What has no duration that grows is replaced by what is received last, and a menstrual cycle by
//! what was updated last ([`SUMMARY_TYPES`] tells them apart). An [`Expectation`] applies it to notifications in
//! the order of reception, one entry at a time, with no thought of speed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub use crate::columns::Row;
use crate::columns::row_of;
use crate::plan::Group;
use crate::summary_type::{ACTIVITY_TABLE, MANUALLY_UPDATED};
pub use crate::summary_type::{RowKey, SUMMARY_TYPES, SummaryType};

/// The schema of all tables.
pub const SCHEMA: &str = "garmin_wellness";

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
        key: String,
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
        let Lists(lists) = serde_json::from_slice(body).map_err(ExpectationError::NotANotification)?;
        for (key, summaries) in &lists {
            let Some(summary_type) = SummaryType::of_key(key) else { continue };
            for summary in summaries {
                self.receive_summary(summary_type, key, summary)?;
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
        key: &str,
        summary: &Map<String, Value>,
    ) -> Result<(), ExpectationError> {
        let SummaryType { table, identity, winner, .. } = summary_type;
        let mut row = row_of(summary);
        summary_type.complete(&mut row, summary);
        if *table == ACTIVITY_TABLE {
            row.insert("manually_updated".to_owned(), (key == MANUALLY_UPDATED).into());
        }
        let row_key = summary_type
            .key_of(&row)
            .ok_or_else(|| ExpectationError::NoIdentity { key: key.to_owned(), identity })?;
        let rows = self.tables.entry(table).or_default();
        if !rows.get(&row_key).is_some_and(|stored| winner.is_stale(&row, stored)) {
            rows.insert(row_key, row);
        }
        Ok(())
    }
}

/// A body's lists by key, in the order in which they stand there: of two versions in one body the later counts as
/// received later, also when they stand under two keys.
struct Lists(Vec<(String, Vec<Map<String, Value>>)>);

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Lists;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of lists")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lists, A::Error> {
                let mut lists = Vec::new();
                while let Some(list) = map.next_entry()? {
                    lists.push(list);
                }
                Ok(Lists(lists))
            }
        }

        deserializer.deserialize_map(InOrder)
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
    fn an_activity_is_one_row_under_both_keys_and_the_last_received_counts() {
        let sent = json!({"activities": [{"userId": "a", "summaryId": "7", "activityId": 7, "steps": 1}]});
        let edited = json!({"manuallyUpdatedActivities": [{"userId": "a", "activityId": "7"}]});
        let row = |expectation: Expectation| {
            let rows: Vec<_> = expectation.rows("activity_summary").cloned().collect();
            Value::from(rows)
        };
        assert_eq!(
            row(after([sent.clone(), edited.clone()])),
            json!([{"user_id": "a", "summary_id": "7", "activity_id": 7, "manually_updated": true}])
        );
        assert_eq!(
            row(after([edited, sent])),
            json!([{"user_id": "a", "summary_id": "7", "activity_id": 7, "steps": 1, "manually_updated": false}])
        );
    }

    #[test]
    fn of_two_keys_in_one_body_the_later_counts_whatever_its_name() {
        let mut expectation = Expectation::default();
        let body = br#"{
            "manuallyUpdatedActivities": [{"userId": "a", "summaryId": "7"}],
            "activities": [{"userId": "a", "summaryId": "7"}]
        }"#;
        expectation.receive(body).unwrap();
        let updated = column(&expectation, "activity_summary", "manually_updated", Value::as_bool);
        assert_eq!(updated, [false]);
    }

    #[test]
    fn of_a_cycle_what_was_updated_last_counts_under_either_key() {
        let version = |key: &str, updated: Value, day: i64| json!({key: [{"userId": "a", "periodStartDate": "2026-10-30", "lastUpdatedTimeInSeconds": updated, "dayInCycle": day}]});
        let day =
            |expectation| column(&expectation, "menstrual_cycle_summary", "day_in_cycle", Value::as_i64);
        let (newer, older) =
            (version("mct", json!(90), 2), version("menstrualCycleTracking", json!(60.0), 1));
        assert_eq!(day(after([older.clone(), newer.clone()])), [2]);
        assert_eq!(day(after([newer.clone(), older.clone()])), [2]);
        let unknown = version("mct", Value::Null, 0);
        assert_eq!(day(after([older, unknown.clone()])), [1]);
        assert_eq!(day(after([unknown.clone(), version("mct", Value::Null, 3)])), [3]);
        assert_eq!(day(after([newer, version("mct", json!(90), 4)])), [4]);
    }

    #[test]
    fn a_files_row_holds_nothing_of_its_url_but_a_missing_id() {
        let url = |token: &str| {
            format!("https://apis.garmin.com/wellness-api/rest/activityFile?id=7&token={token}")
        };
        let older = json!({"activityFiles": [{"userId": "a", "callbackURL": url("secret")}]});
        let newer = json!({"activityFiles": [{"userId": "a", "callbackURL": url("other"), "summaryId": "7-file", "fileType": "FIT"}]});
        let rows: Vec<_> = after([older.clone(), newer, older]).rows("activity_file").cloned().collect();
        assert_eq!(
            Value::from(rows),
            json!([
                {"user_id": "a", "summary_id": "7", "file_type": ""},
                {"user_id": "a", "summary_id": "7-file", "file_type": "FIT"}
            ])
        );
    }

    #[test]
    fn a_spot_check_stands_beside_the_day_that_it_shares_its_start_with() {
        let reading = |fields: Value| {
            let mut reading = json!({"userId": "a", "startTimeInSeconds": 0, "durationInSeconds": 0});
            reading["onDemand"] = fields;
            json!({"pulseox": [reading]})
        };
        let missing = json!({"pulseox": [{"userId": "a", "startTimeInSeconds": 0.0}]});
        let expectation = after([reading(json!(true)), missing, reading(json!(false))]);
        let on_demand = column(&expectation, "pulse_ox_summary", "on_demand", Value::as_bool);
        assert_eq!(on_demand, [false, true]);
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
        assert!(matches!(refused, Err(ExpectationError::NoIdentity { key, .. }) if key == "sleeps"));
        assert!(matches!(expectation.receive(b"[]"), Err(ExpectationError::NotANotification(_))));
    }
}
