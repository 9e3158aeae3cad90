//! A notification's body, taken apart: rows for the tables, and what goes elsewhere.
//!
//! One bad entry harms only itself (design.md, law 5), so the body is first cut into entries without looking
//! into them, and each is then read alone.

use super::batch::{Row, Version};
use super::body::{Body, Content, UNKNOWN, USER_ID, cut, endpoint_of, entries, is_gap, user_of};
use super::entry::{self, Entry, Members, Rejection};
use super::{Registry, SummaryType};
use crate::message::{Message, Outgoing, Part, PartValue, Reason};
use apollo_shared::endpoint::Endpoint;
use apollo_shared::topology::Lane;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a notification holds.
#[derive(Debug, Default)]
pub struct Notification {
    /// Rows, each with the place of its table in the registry.
    pub rows: Vec<(usize, Row)>,
    /// Dead letters and pings, to be published.
    pub outgoing: Vec<Outgoing>,
    /// Entries about accounts, to be published whoever they are about.
    pub accounts: Vec<Outgoing>,
    /// Whom its entries are about, those that are not summaries and malformed ones too.
    pub user_ids: BTreeSet<String>,
    /// Entries that no table takes yet, by key: kept raw.
    pub kept_raw: BTreeMap<&'static str, u64>,
    /// Entries that became dead letters, by key.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Unknown fields, by key.
    pub unknown_fields: BTreeMap<&'static str, u64>,
}

/// Dead letters that one message may become. Beyond that it becomes a single one as a whole, for a body of
/// `[0,0,0,…]` would fill memory and queue with letters two hundred times its size. What is good in it is
/// stored all the same, and harmless when it comes again.
const MOST_DEAD_LETTERS: usize = 1000;

/// How a notification is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Whether the raw notification is stored too; where it is not, what no table takes becomes a dead letter, for
    /// nothing may be lost.
    pub raw_is_kept: bool,
    /// Whether entries may have been taken out of it: a `null` is then no malformed entry, but nothing.
    pub has_gaps: bool,
}

/// Takes `message` apart.
#[must_use]
pub fn read(registry: &Registry, message: &Message, reading: Reading) -> Notification {
    let mut reader = Reader {
        registry,
        message,
        reading,
        next_index: message.envelope.first_entry_index,
        dead_letters: Vec::new(),
        found: Notification::default(),
    };
    match cut(&message.body) {
        Ok(members) => members.into_iter().for_each(|(key, content)| match content {
            Content::Summaries(endpoint, entries) => reader.read_entries(endpoint, key, entries),
            Content::Other(value) => reader.read_other(key, value),
        }),
        Err(error) => {
            let error = format!("the body is not a JSON object: {error}");
            reader.dead_letters.push(message.dead(Reason::NotANotification, &error));
            *reader.found.rejected.entry(UNKNOWN).or_default() += 1;
        }
    }
    reader.finish()
}

/// The entry at `index` of a message's body, counted as [`Version::entry_index`] is.
#[must_use]
pub fn dead_entry(message: &Message, index: u32, reason: Reason, error: &str) -> Option<Outgoing> {
    let Body(members) = serde_json::from_slice(&message.body).ok()?;
    let entries = members.iter().flat_map(|(key, value)| {
        let entries = entries(value).unwrap_or_default();
        entries.into_iter().map(move |entry| (key, entry))
    });
    let (key, entry) =
        entries.into_iter().nth(index.checked_sub(message.envelope.first_entry_index)? as usize)?;
    let part = Part { key: key.get(), value: PartValue::Entry(entry), entry_index: index };
    Some(message.dead_part(&part, reason, error))
}

struct Reader<'a> {
    registry: &'a Registry,
    message: &'a Message,
    reading: Reading,
    next_index: u32,
    dead_letters: Vec<Outgoing>,
    found: Notification,
}

impl Reader<'_> {
    fn read_other(&mut self, key: &RawValue, value: &RawValue) {
        if self.is_gap(value) {
            return;
        }
        let whole = Part { key: key.get(), value: PartValue::Whole(value), entry_index: self.next_index };
        let entries = entries(value);
        let count = entries.as_ref().map_or(0, |entries| entries.len() as u32);
        match (endpoint_of(key), entries) {
            (None, entries) => {
                self.next_index += count;
                self.keep_raw(UNKNOWN, &whole, &entries.unwrap_or_else(|| vec![value]));
            }
            (Some(endpoint), None) => {
                self.note(user_of(value));
                let error = format!("the value of {} is not a list", endpoint.key);
                self.reject(endpoint.key, &whole, Reason::NotAList, &error);
            }
            (Some(endpoint), Some(entries)) if endpoint.lane == Lane::Account => {
                self.next_index += count;
                entries.into_iter().for_each(|entry| self.note(user_of(entry)));
                self.found.accounts.push(self.message.forwarded(&whole, endpoint.routing_key()));
            }
            (Some(endpoint), Some(entries)) => self.read_entries(endpoint, key, entries),
        }
    }

    fn read_entries(&mut self, endpoint: &'static Endpoint, key: &RawValue, entries: Vec<&RawValue>) {
        for entry in entries {
            let value = PartValue::Entry(entry);
            let part = Part { key: key.get(), value, entry_index: self.next_index };
            self.next_index += 1;
            self.read_entry(endpoint, &part, entry);
        }
    }

    fn read_entry(&mut self, endpoint: &'static Endpoint, part: &Part<'_>, raw: &RawValue) {
        if self.is_gap(raw) {
            return;
        }
        let members = match entry::open(raw) {
            Ok(members) => members,
            Err(rejection) => {
                self.note(user_of(raw));
                return self.reject_entry(endpoint, part, &rejection);
            }
        };
        self.note(members.get(USER_ID).and_then(entry::string));
        let table = self.registry.position(endpoint.key);
        let announces = is_ping(&members);
        if announces && !table.is_some_and(|table| self.summary_type(table).pings_are_summaries) {
            return self.forward(endpoint, part);
        }
        match table {
            None => self.keep_raw(endpoint.key, part, &[raw]),
            Some(table) => match self.read_summary(table, endpoint.key, part, members) {
                Err(rejection) => self.reject_entry(endpoint, part, &rejection),
                Ok(()) if announces => self.forward(endpoint, part),
                Ok(()) => {}
            },
        }
    }

    fn is_gap(&self, value: &RawValue) -> bool {
        self.reading.has_gaps && is_gap(value)
    }

    /// Notes whom an entry is about.
    fn note(&mut self, user_id: Option<Cow<'_, str>>) {
        if let Some(user_id) = user_id
            && !self.found.user_ids.contains(user_id.as_ref())
        {
            self.found.user_ids.insert(user_id.into_owned());
        }
    }

    fn summary_type(&self, table: usize) -> &'static SummaryType {
        self.registry.tables()[table].summary_type
    }

    fn read_summary(
        &mut self,
        position: usize,
        key: &'static str,
        part: &Part<'_>,
        members: Members<'_>,
    ) -> Result<(), Rejection> {
        let table = &self.registry.tables()[position];
        let Entry { values, unknown_fields } = entry::read(table, key, members)?;
        let version = Version {
            rank: Row::rank(table, &values),
            received_at: self.message.envelope.received_at.0,
            message_id: self.message.envelope.message_id,
            entry_index: part.entry_index,
        };
        self.found.rows.push((position, Row::new(table, &values, version)));
        if unknown_fields > 0 {
            *self.found.unknown_fields.entry(key).or_default() += unknown_fields;
        }
        Ok(())
    }

    /// What a ping announces is fetched by another lane.
    fn forward(&mut self, endpoint: &Endpoint, part: &Part<'_>) {
        self.found.outgoing.push(self.message.forwarded(part, format!("pull.{}", endpoint.key)));
    }

    fn reject_entry(&mut self, endpoint: &'static Endpoint, part: &Part<'_>, rejection: &Rejection) {
        self.reject(endpoint.key, part, Reason::MalformedEntry, &rejection.to_string());
    }

    /// What no table takes is in the raw notification, or else becomes a dead letter.
    fn keep_raw(&mut self, key: &'static str, part: &Part<'_>, entries: &[&RawValue]) {
        entries.iter().for_each(|entry| self.note(user_of(entry)));
        let present = entries.iter().filter(|entry| !self.is_gap(entry)).count();
        if self.reading.raw_is_kept {
            *self.found.kept_raw.entry(key).or_default() += present as u64;
        } else if present > 0 || entries.is_empty() {
            let error = format!("no table takes {} yet, and raw notifications are not kept", part.key);
            self.reject(key, part, Reason::UnknownKey, &error);
        }
    }

    fn reject(&mut self, key: &'static str, part: &Part<'_>, reason: Reason, error: &str) {
        if self.dead_letters.len() <= MOST_DEAD_LETTERS {
            self.dead_letters.push(self.message.dead_part(part, reason, error));
        }
        *self.found.rejected.entry(key).or_default() += 1;
    }

    fn finish(mut self) -> Notification {
        if self.dead_letters.len() > MOST_DEAD_LETTERS {
            let error = format!(
                "{} entries are malformed, so the message is kept as a whole; what is good in it is stored",
                self.found.rejected.values().sum::<u64>()
            );
            self.dead_letters = vec![self.message.dead(Reason::MalformedEntry, &error)];
        }
        self.found.outgoing.append(&mut self.dead_letters);
        self.found
    }
}

/// An entry with a `callbackURL` holds no data but says where to fetch it (garmin-health-api.md 2.2).
fn is_ping(members: &Members<'_>) -> bool {
    members.get("callbackURL").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Destination;
    use apollo_shared::envelope::{Envelope, Microseconds};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read_body(body: &str, raw_is_kept: bool) -> Notification {
        let message = Message {
            envelope: Envelope::of_arrival("dailies", Microseconds(1_794_265_200_000_000), None),
            routing_key: "push.dailies".to_owned(),
            body: body.as_bytes().to_vec(),
        };
        let reading = Reading { raw_is_kept, has_gaps: false };
        let found = read(&Registry::new(), &message, reading);
        assert_eq!(found.user_ids, super::super::body::user_ids(body.as_bytes()));
        found
    }

    /// Any JSON, with the keys and values of real entries more often than by chance.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(json!("2026-11-10")),
            Just(json!(1_794_265_200)),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            let key = prop_oneof![
                prop::sample::select(
                    &["userId", "startTimeInSeconds", "calendarDate", "sleepScores", "stress", "value", "15"]
                        [..]
                )
                .prop_map(str::to_owned),
                prop::sample::select(&["timeOffsetHeartRateSamples", "naps", "callbackURL"][..])
                    .prop_map(str::to_owned),
                ".{0,4}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_entry_comes_to_exactly_one_end(
            bodies in prop::collection::vec(
                (prop::sample::select(&["dailies", "epochs", "healthSnapshot", "activityDetails", "mct", "solarIntensity", "odd"][..]),
                 prop::collection::vec(value(), 0..5)),
                0..4,
            ),
            raw_is_kept: bool,
        ) {
            let members: Vec<String> =
                bodies.iter().map(|(key, entries)| format!("{}: {}", json!(key), json!(entries))).collect();
            let found = read_body(&format!("{{{}}}", members.join(",")), raw_is_kept);
            // An unknown key becomes a dead letter as a whole, and is counted as one.
            let entries: usize = bodies
                .iter()
                .map(|(key, entries)| if *key == "odd" && !raw_is_kept { 1 } else { entries.len() })
                .sum();
            let kept_raw: u64 = found.kept_raw.values().sum();
            prop_assert_eq!(found.rows.len() + found.outgoing.len() + kept_raw as usize, entries);
            let dead = found.outgoing.iter().filter(|it| matches!(it.destination, Destination::Dead { .. }));
            let rejected: u64 = found.rejected.values().sum();
            prop_assert_eq!(dead.count() as u64, rejected);
        }
    }

    #[test]
    fn a_row_knows_its_place_in_the_body_over_all_keys() {
        let metrics = r#"{"userId": "u", "calendarDate": "2026-11-10"}"#;
        let daily = r#"{"userId": "u", "startTimeInSeconds": 1}"#;
        let body = format!(r#"{{"userMetrics": [{metrics}, 5], "dailies": [{daily}]}}"#);
        let found = read_body(&body, true);
        let places: Vec<u32> = found.rows.iter().map(|(_, row)| row.version.entry_index).collect();
        assert_eq!(places, [0, 2]);
        assert_eq!(found.outgoing[0].envelope.first_entry_index, 1);
    }

    #[test]
    fn the_ping_of_an_activity_file_is_a_row_and_is_fetched() {
        let url = "https://apis.garmin.com/wellness-api/rest/activityFile?token=secret&id=20411873355";
        let file = format!(r#"{{"userId": "u", "fileType": "FIT", "callbackURL": "{url}"}}"#);
        let found = read_body(&format!(r#"{{"activityFiles": [{file}]}}"#), true);
        assert_eq!((found.rows.len(), found.outgoing.len()), (1, 1));
        let row = &found.rows[0].1.encoded;
        let holds = |text: &str| row.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds("20411873355") && !holds("secret") && !holds("callbackURL"));
        let forwarded = String::from_utf8(found.outgoing[0].body.clone()).unwrap();
        assert!(forwarded.contains(url), "it is fetched as announced: {forwarded}");

        let nameless = r#"{"activityFiles": [{"userId": "u", "callbackURL": "https://apis.garmin.com/"}]}"#;
        let found = read_body(nameless, true);
        assert!(matches!(found.outgoing[..], [Outgoing { destination: Destination::Dead { .. }, .. }]));
    }

    #[test]
    fn a_flood_of_malformed_entries_is_one_dead_letter_and_its_good_ones_are_stored() {
        let good = r#"{"userId": "u", "startTimeInSeconds": 1}"#;
        let body = format!(r#"{{"dailies": [{good}{}]}}"#, ",0".repeat(5000));
        let found = read_body(&body, true);
        assert_eq!((found.rows.len(), found.rejected["dailies"]), (1, 5000));
        assert_eq!(found.outgoing.len(), 1);
        assert_eq!(found.outgoing[0].body, body.as_bytes());
    }

    #[test]
    fn a_repeated_top_level_key_counts_each_time() {
        let daily = |start: u32| format!(r#"[{{"userId": "u", "startTimeInSeconds": {start}}}]"#);
        let found = read_body(&format!(r#"{{"dailies": {}, "dailies": {}}}"#, daily(1), daily(2)), true);
        assert_eq!(found.rows.len(), 2);
    }

    #[test]
    fn a_key_that_is_no_text_harms_only_itself() {
        let daily = r#"{"userId": "u", "startTimeInSeconds": 1}"#;
        let body = format!(r#"{{"\ud800": [1], "dailies": [{daily}], "d\u0061ilies": [{daily}, 5]}}"#);
        let found = read_body(&body, true);
        assert_eq!((found.rows.len(), found.kept_raw[UNKNOWN]), (2, 1));
        assert_eq!(found.outgoing[0].body, br#"{"d\u0061ilies": [5]}"#);
        let letters: Vec<_> = read_body(&body, false).outgoing.into_iter().map(|it| it.body).collect();
        assert_eq!(letters[0], br#"{"\ud800": [1]}"#);
    }

    #[test]
    fn a_body_that_is_no_object_is_one_dead_letter() {
        let found = read_body("[1, 2", true);
        assert_eq!((found.outgoing.len(), found.outgoing[0].body.as_slice()), (1, b"[1, 2".as_slice()));
    }
}
