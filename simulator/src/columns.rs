//! How one JSON summary of Garmin's becomes the columns of one row.
//!
//! Told from the *shape* of the JSON and the naming rules alone. A list of fields for each type would be the worker's
//! registry written a second time, with the same misunderstandings; this way a field that the worker forgot, misspelt or
//! put elsewhere shows as a difference.
//!
//! | shape | columns |
//! |---|---|
//! | text, number, boolean | one column, named in snake_case |
//! | a moment (`startTimeInSeconds`) | one column `start_time`, an instant |
//! | a map of time offsets (`timeOffset…`, `hrvValues`) | `…_offsets` and `…_values`, in the order of the offsets |
//! | `sleepLevelsMap`, a list | one jsonb column, as sent |
//! | any other object with something in it | its members' columns, with its name in front |
//! | `activityId` as text | a number |
//! | a second spelling of a field | the column of the first |
//! | a field that Garmin does not document; null; an empty object | `extra`, under Garmin's names |
//! | an access token, a callback URL | nothing: they are secrets |
//!
//! Values are written as PostgreSQL's `to_jsonb` writes them in a session whose time zone is UTC.

use heck::ToSnakeCase;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

/// Column names and their values as JSON; a column that is NULL is absent.
pub type Row = Map<String, Value>;

/// The one field in all notifications that no document of Garmin's knows.
pub(crate) const NOVELTY: &str = "simulatedNovelty";

/// An object whose keys are open, kept whole.
const KEPT_WHOLE: &str = "sleepLevelsMap";

/// Secrets, which are not stored.
const NEVER_STORED: [&str; 2] = ["userAccessToken", "callbackURL"];

/// Where documents disagree about a name: the other one, and the one that the column is named after.
const OTHER_SPELLINGS: [(&str, &str); 3] = [
    ("unmeasurableSleepDurationInSeconds", "unmeasurableSleepInSeconds"),
    ("offsetStartTimeInSeconds", "startTimeOffsetInSeconds"),
    ("bodyBatteryActivityEventList", "bodyBatteryActivityEvents"),
];

/// How `to_jsonb` writes a timestamptz of whole seconds.
const INSTANT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");

/// How `to_jsonb` writes any other timestamptz.
const FRACTIONAL_INSTANT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:1+]+00:00");

/// The row in which a summary is stored.
pub(crate) fn row_of(summary: &Map<String, Value>) -> Row {
    let mut columns = Columns::default();
    columns.take_object(&[], summary);
    let Columns { mut row, extra } = columns;
    if !extra.is_empty() {
        row.insert("extra".to_owned(), Value::Object(extra));
    }
    row
}

#[derive(Default)]
struct Columns {
    row: Row,
    extra: Map<String, Value>,
}

impl Columns {
    /// `path` are Garmin's names of the objects around these fields.
    fn take_object(&mut self, path: &[&str], fields: &Map<String, Value>) {
        for (name, value) in fields {
            self.take(path, name, value);
        }
    }

    fn take(&mut self, path: &[&str], name: &str, value: &Value) {
        let path_of_field = [path, &[name]].concat();
        let name = first_spelling(name);
        let column = |name: &str| [path, &[name]].concat().join("_").to_snake_case();
        match value {
            _ if NEVER_STORED.contains(&name) => {}
            _ if name == NOVELTY => self.keep_extra(&path_of_field, value),
            Value::Null => self.keep_extra(&path_of_field, value),
            Value::Object(samples) if is_series(name) => self.take_series(&path_of_field, samples),
            Value::Object(fields) if name != KEPT_WHOLE => match fields.is_empty() {
                true => self.keep_extra(&path_of_field, value),
                false => self.take_object(&path_of_field, fields),
            },
            Value::String(digits) if name == "activityId" => match digits.parse::<i64>() {
                Ok(id) => self.set(column(name), json!(id)),
                Err(_) => self.keep_extra(&path_of_field, value),
            },
            Value::Number(seconds) if is_moment(name) => match instant(seconds) {
                Some(instant) => self.set(column(name.trim_end_matches("InSeconds")), instant),
                None => self.keep_extra(&path_of_field, value),
            },
            _ => self.set(column(name), value.clone()),
        }
    }

    /// Samples that are no numbers are no part of the series.
    fn take_series(&mut self, path: &[&str], samples: &Map<String, Value>) {
        let mut points = Vec::with_capacity(samples.len());
        for (offset, value) in samples {
            match offset.parse::<i64>() {
                Ok(offset) if value.is_number() => points.push((offset, value)),
                _ => self.keep_extra(&[path, &[offset]].concat(), value),
            }
        }
        points.sort_by_key(|(offset, _)| *offset);
        let (offsets, values): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        let snake_case = path.join("_").to_snake_case();
        let name = snake_case.strip_prefix("time_offset_").unwrap_or(&snake_case);
        let name = name.strip_suffix("_values").or_else(|| name.strip_suffix("_samples")).unwrap_or(name);
        self.set(format!("{name}_offsets"), json!(offsets));
        self.set(format!("{name}_values"), json!(values));
    }

    fn set(&mut self, column: String, value: Value) {
        self.row.insert(column, value);
    }

    fn keep_extra(&mut self, path: &[&str], value: &Value) {
        let Some((name, objects)) = path.split_last() else { return };
        let mut kept = &mut self.extra;
        for object in objects {
            let inner = kept.entry(*object).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else { return };
            kept = inner;
        }
        kept.insert((*name).to_owned(), value.clone());
    }
}

fn first_spelling(name: &str) -> &str {
    OTHER_SPELLINGS.iter().find(|(other, _)| *other == name).map_or(name, |(_, first)| first)
}

/// Times of a start, a measurement or an update are moments; `activeTimeInSeconds` and the like are durations, and
/// `offsetStartTimeInSeconds` is an offset.
pub(crate) fn is_moment(name: &str) -> bool {
    let moments = ["startTimeInSeconds", "measurementTimeInSeconds", "lastUpdatedTimeInSeconds"];
    let name = first_spelling(name);
    moments.contains(&name) || name.ends_with("StartTimeInSeconds")
}

/// Whether its value is a map from offsets in seconds to numbers.
pub(crate) fn is_series(name: &str) -> bool {
    name.starts_with("timeOffset") || name == "hrvValues"
}

/// Garmin documents the start of some summaries as a float, and PostgreSQL counts microseconds.
fn instant(seconds: &serde_json::Number) -> Option<Value> {
    let microseconds = match whole(seconds) {
        Some(seconds) => i128::from(seconds) * 1_000_000,
        None => (seconds.as_f64()? * 1e6).round() as i128,
    };
    let instant = OffsetDateTime::from_unix_timestamp_nanos(microseconds * 1_000).ok()?;
    let format = if instant.nanosecond() == 0 { INSTANT } else { FRACTIONAL_INSTANT };
    Some(Value::String(instant.format(format).ok()?))
}

/// The number if it has no fractional part, however it is written: 144 and 144.0.
pub(crate) fn whole(number: &serde_json::Number) -> Option<i64> {
    let from_float = || number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64);
    number.as_i64().or_else(from_float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(summary: Value) -> Value {
        let Value::Object(fields) = summary else { panic!("a summary is an object") };
        Value::Object(row_of(&fields))
    }

    #[test]
    fn scalars_keep_their_names_in_snake_case() {
        assert_eq!(
            row(json!({"userId": "a", "vo2MaxCycling": 52.0, "remSleepInSeconds": 60, "enhanced": true})),
            json!({"user_id": "a", "vo2_max_cycling": 52.0, "rem_sleep_in_seconds": 60, "enhanced": true})
        );
    }

    #[test]
    fn moments_are_instants_and_durations_are_not() {
        assert_eq!(
            row(json!({
                "startTimeInSeconds": 1_794_265_200, "startTimeOffsetInSeconds": 3600,
                "activeTimeInSeconds": 20, "durationInSeconds": 144.0
            })),
            json!({
                "start_time": "2026-11-09T23:00:00+00:00", "start_time_offset_in_seconds": 3600,
                "active_time_in_seconds": 20, "duration_in_seconds": 144.0
            })
        );
    }

    #[test]
    fn a_fixed_object_is_flattened_and_an_open_one_kept() {
        assert_eq!(
            row(json!({
                "bodyBatteryDynamicFeedbackEvent": {"eventStartTimeInSeconds": 0, "bodyBatteryLevel": "HIGH"},
                "sleepScores": {"totalDuration": {"qualifierKey": "FAIR"}},
                "sleepLevelsMap": {"deep": [{"startTimeInSeconds": 1}]},
                "naps": [{"napDurationInSeconds": 60}]
            })),
            json!({
                "body_battery_dynamic_feedback_event_event_start_time": "1970-01-01T00:00:00+00:00",
                "body_battery_dynamic_feedback_event_body_battery_level": "HIGH",
                "sleep_scores_total_duration_qualifier_key": "FAIR",
                "sleep_levels_map": {"deep": [{"startTimeInSeconds": 1}]},
                "naps": [{"napDurationInSeconds": 60}]
            })
        );
    }

    #[test]
    fn a_series_is_two_arrays_in_the_order_of_its_offsets() {
        assert_eq!(
            row(json!({
                "timeOffsetHeartRateSamples": {"1020": 61, "15": 60.0, "120": 62},
                "timeOffsetStressLevelValues": {},
                "timeOffsetSleepSpo2": {"0": 95}
            })),
            json!({
                "heart_rate_offsets": [15, 120, 1020], "heart_rate_values": [60.0, 62, 61],
                "stress_level_offsets": [], "stress_level_values": [],
                "sleep_spo2_offsets": [0], "sleep_spo2_values": [95]
            })
        );
    }

    #[test]
    fn what_is_unknown_or_null_goes_to_extra_under_garmins_names() {
        assert_eq!(
            row(json!({
                "steps": null,
                "simulatedNovelty": {"a": 1},
                "overallSleepScore": {"value": 78, "simulatedNovelty": {"b": 2}},
                "sleepScores": {"stress": {"simulatedNovelty": 3}},
                "timeOffsetHeartRateSamples": {"15": null, "30": 60}
            })),
            json!({
                "overall_sleep_score_value": 78,
                "heart_rate_offsets": [30], "heart_rate_values": [60],
                "extra": {
                    "steps": null,
                    "simulatedNovelty": {"a": 1},
                    "overallSleepScore": {"simulatedNovelty": {"b": 2}},
                    "sleepScores": {"stress": {"simulatedNovelty": 3}},
                    "timeOffsetHeartRateSamples": {"15": null}
                }
            })
        );
    }

    #[test]
    fn every_kind_of_moment_is_an_instant_to_the_microsecond() {
        assert_eq!(
            row(json!({
                "startTimeInSeconds": 1_794_265_200.5, "measurementTimeInSeconds": 1_794_265_200.0,
                "lastUpdatedTimeInSeconds": 0, "offsetInSeconds": 3600
            })),
            json!({
                "start_time": "2026-11-09T23:00:00.5+00:00", "measurement_time": "2026-11-09T23:00:00+00:00",
                "last_updated_time": "1970-01-01T00:00:00+00:00", "offset_in_seconds": 3600
            })
        );
    }

    #[test]
    fn series_are_named_after_what_they_hold() {
        let samples = json!({"300": 47});
        assert_eq!(
            row(
                json!({"hrvValues": samples, "timeOffsetEpochToBreaths": samples, "timeOffsetSpo2Values": samples})
            ),
            json!({
                "hrv_offsets": [300], "hrv_values": [47],
                "epoch_to_breaths_offsets": [300], "epoch_to_breaths_values": [47],
                "spo2_offsets": [300], "spo2_values": [47]
            })
        );
    }

    #[test]
    fn two_spellings_are_one_column() {
        assert_eq!(
            row(json!({
                "unmeasurableSleepDurationInSeconds": 60, "offsetStartTimeInSeconds": -18_000,
                "bodyBatteryActivityEventList": [{"eventType": "NAP"}]
            })),
            json!({
                "unmeasurable_sleep_in_seconds": 60, "start_time_offset_in_seconds": -18_000,
                "body_battery_activity_events": [{"eventType": "NAP"}]
            })
        );
        assert_eq!(
            row(json!({"unmeasurableSleepDurationInSeconds": null})),
            json!({"extra": {"unmeasurableSleepDurationInSeconds": null}})
        );
    }

    #[test]
    fn an_empty_object_goes_to_extra() {
        assert_eq!(
            row(json!({
                "pregnancySnapshot": {},
                "sleepScores": {"awakeCount": {}, "stress": {"qualifierKey": "GOOD"}},
                "samples": []
            })),
            json!({
                "sleep_scores_stress_qualifier_key": "GOOD",
                "samples": [],
                "extra": {"pregnancySnapshot": {}, "sleepScores": {"awakeCount": {}}}
            })
        );
    }

    #[test]
    fn an_activity_id_is_a_number_however_it_is_written() {
        let stored = json!({"activity_id": 20_411_873_355_i64, "summary_activity_id": 20_411_873_355_i64});
        let sent = json!({"activityId": "20411873355", "summary": {"activityId": 20_411_873_355_i64}});
        assert_eq!(row(sent), stored);
        assert_eq!(row(json!({"activityId": "new"})), json!({"extra": {"activityId": "new"}}));
    }

    #[test]
    fn secrets_are_stored_nowhere() {
        assert_eq!(
            row(json!({
                "userAccessToken": "secret", "userId": "a", "callbackURL": "https://secret",
                "summary": {"userAccessToken": "secret", "activityName": "Gym"}
            })),
            json!({"user_id": "a", "summary_activity_name": "Gym"})
        );
    }
}
