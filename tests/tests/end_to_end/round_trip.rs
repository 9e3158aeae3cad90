//! Law 4: what comes in can be read back in full. Random bodies of every type go through the receiver and the
//! worker, and every entry is told again from its row, equal to what was sent.
//!
//! How it is told again, and the few differences that are meant, stand in [`apollo_tests::rebuild`]. The fields
//! come from `garmin-fields.tsv`. Numbers of more than 1,000 digits, NUL characters and deep nesting are dead
//! letters by design, so they come in the second property only.

mod entries;
mod values;

use apollo_shared::endpoint::Endpoint;
use apollo_tests::broker::Broker;
use apollo_tests::garmin::{SummaryType, keys};
use apollo_tests::json::{Json, Spelling};
use apollo_tests::programs::{RunningReceiver, RunningWorker};
use apollo_tests::property::holds;
use apollo_tests::rebuild::{as_kept, differences, entry_of};
use apollo_tests::site::Site;
use apollo_tests::{Error, Result};
use entries::{Entry, Fitness, TOKEN, entry};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;
use values::{any_json, text};

/// A body: lists of entries, and what stands under keys that Garmin does not have.
#[derive(Clone)]
struct Body {
    lists: Vec<Vec<Entry>>,
    unknown: Vec<(String, Json)>,
}

/// An entry a line.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.lists.iter().flatten();
        entries
            .try_for_each(|entry| writeln!(f, "\n{} ({:?}): {:?}", entry.key, entry.spelling, entry.json))?;
        self.unknown.iter().try_for_each(|(key, value)| writeln!(f, "\n{key:?}: {value:?}"))
    }
}

/// Bodies with a few entries of every type.
fn body(fitness: Fitness) -> impl Strategy<Value = Body> {
    let lists: Vec<_> =
        keys().map(|(key, of)| prop::collection::vec(entry(key, of, fitness), 0..9)).collect();
    let unknown = prop::collection::vec((text(), any_json()), 0..3).prop_map(|mut unknown| {
        unknown.retain(|(key, _)| Endpoint::of_key(key).is_none());
        unknown
    });
    (lists.prop_shuffle(), unknown).prop_map(|(lists, unknown)| Body { lists, unknown })
}

/// An entry as it was sent.
struct Sent {
    key: &'static str,
    user_id: String,
    json: Json,
    text: String,
}

impl Sent {
    /// With a user of its own, so that it meets no other version.
    fn new(Entry { key, json, spelling }: &Entry) -> Self {
        let user_id = format!("{}-ü\"\\", Uuid::now_v7());
        let mut members = vec![("userId".to_owned(), Json::text(user_id.clone()))];
        if let Json::Object(others) = json {
            members.extend(others.iter().cloned());
        }
        let json = Json::Object(members);
        Self { key, user_id, text: json.to_text(*spelling), json }
    }

    fn summary_type(&self) -> Result<&'static SummaryType> {
        SummaryType::of_key(self.key).ok_or_else(|| format!("no type has the key {}", self.key).into())
    }

    /// It as the body of a message of its own, which a dead letter is.
    fn alone(&self) -> String {
        format!("{{\"{}\": [{}]}}", self.key, self.text)
    }

    /// Sees that `row` tells all of it.
    fn is_told_by(&self, row: &Json) -> Result<()> {
        let summary_type = self.summary_type()?;
        let sent = as_kept(summary_type, &self.json);
        let found = as_kept(summary_type, &entry_of(summary_type, row)?);
        let mut differences = differences(&sent, &found);
        if let Some(manually_updated) = row.get("manually_updated")
            && *manually_updated != Json::Boolean(self.key == "manuallyUpdatedActivities")
        {
            differences.push(format!("manually_updated is {manually_updated:?} under {}", self.key));
        }
        if format!("{row:?}").contains(TOKEN) {
            differences.push("a token is kept with the data".to_owned());
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(format!("{}\n  sent: {:?}\n  {}", self.key, self.json, differences.join("\n  ")).into())
    }
}

/// A receiver and a worker, and how much went through them.
struct Way {
    site: Site,
    broker: Broker,
    receiver: RunningReceiver,
    worker: RunningWorker,
    messages: AtomicUsize,
    entries: AtomicUsize,
}

impl Way {
    async fn new() -> Result<Self> {
        let site = Site::new().await?;
        let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
        let (broker, messages, entries) = (site.broker().await?, AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { site, broker, receiver, worker, messages, entries })
    }

    /// Sends a body and waits until it is stored. Returns its text and its entries.
    async fn send(&self, body: &Body) -> Result<(String, Vec<Sent>)> {
        let mut members: Vec<String> = Vec::new();
        let mut all = Vec::new();
        for list in body.lists.iter().filter(|list| !list.is_empty()) {
            let sent: Vec<Sent> = list.iter().map(Sent::new).collect();
            let texts: Vec<&str> = sent.iter().map(|sent| sent.text.as_str()).collect();
            members.push(format!("\"{}\":[{}]", list[0].key, texts.join(", ")));
            all.extend(sent);
        }
        let unknown = body.unknown.iter();
        members.extend(unknown.map(|(key, value)| {
            let key = Json::text(key.as_str()).to_text(Spelling::Plain);
            format!("{key}: {}", value.to_text(Spelling::Plain))
        }));
        let text = format!("{{{}}}", members.join(",\n"));
        if !all.is_empty() {
            self.receiver.accept("/api_client/garmin", text.clone()).await?;
            let messages = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
            self.worker.has_stored(messages).await?;
            self.entries.fetch_add(all.len(), Ordering::Relaxed);
        }
        Ok((text, all))
    }

    /// The rows of the users of `sent`, by user.
    async fn rows(&self, sent: &[Sent]) -> Result<BTreeMap<String, Json>> {
        let users: Vec<String> = sent.iter().map(|sent| sent.user_id.clone()).collect();
        let mut rows = BTreeMap::new();
        for row in self.site.exact_rows_of_users(&users).await? {
            let user_id = row.get("user_id").and_then(Json::as_text).unwrap_or_default().to_owned();
            if rows.insert(user_id, row).is_some() {
                return Err("one entry has become two rows".into());
            }
        }
        Ok(rows)
    }

    /// The bodies of the dead letters, which are taken away.
    async fn dead_letters(&self) -> Result<Vec<String>> {
        let dead = self.broker.take_all("apollo.dead").await?;
        Ok(dead.into_iter().map(|letter| String::from_utf8_lossy(&letter.body).into_owned()).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_of_every_type_is_told_again_from_its_row() -> Result<()> {
    let way = Way::new().await?;
    holds(64, &body(Fitness::Storable), async |body| {
        let (text, sent) = way.send(&body).await?;
        let rows = way.rows(&sent).await?;
        for sent in &sent {
            let row = rows.get(&sent.user_id).ok_or_else(|| format!("no row: {} {}", sent.key, sent.text));
            sent.is_told_by(row.map_err(Error::from)?)?;
        }
        // The keys that no table takes are in the notification, which is kept as it came.
        let kept = way.site.newest_notification().await?;
        let kept = kept.map(|message| String::from_utf8_lossy(&message.body).into_owned());
        if sent.is_empty() || kept.as_ref() == Some(&text) {
            Ok(())
        } else {
            Err(format!("kept: {kept:?}").into())
        }
    });
    assert_eq!(way.dead_letters().await?, Vec::<String>::new());
    let entries = way.entries.load(Ordering::Relaxed);
    println!("{entries} entries under {} keys told again from their rows", keys().count());
    assert!(entries >= 2_000, "only {entries} entries");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_told_by_a_row_is_a_dead_letter_with_its_bytes() -> Result<()> {
    let way = Way::new().await?;
    let counts = (AtomicUsize::new(0), AtomicUsize::new(0));
    holds(12, &body(Fitness::Any), async |body| {
        let (_, sent) = way.send(&body).await?;
        let rows = way.rows(&sent).await?;
        let mut dead = way.dead_letters().await?;
        for sent in &sent {
            match rows.get(&sent.user_id) {
                Some(row) => {
                    sent.is_told_by(row)?;
                    counts.0.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    let alone = sent.alone();
                    let place = dead.iter().position(|letter| *letter == alone);
                    dead.swap_remove(place.ok_or_else(|| format!("neither row nor dead letter: {alone}"))?);
                    counts.1.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if dead.is_empty() { Ok(()) } else { Err(format!("dead letters that nobody sent: {dead:?}").into()) }
    });
    let (rows, dead) = (counts.0.into_inner(), counts.1.into_inner());
    println!("{rows} rows and {dead} dead letters");
    assert!(rows > 100 && dead > 100, "{rows} rows and {dead} dead letters: one side is hardly tried");
    Ok(())
}

#[test]
fn numbers_are_compared_by_their_value_and_to_the_last_digit() -> Result<()> {
    for (one, other, equal) in [
        ("144", "1.44e2", true),
        ("0.10", "1E-1", true),
        ("-0.0", "0", true),
        ("1e-300", "0.1e-299", true),
        ("100", "1", false),
        ("-1", "1", false),
        ("1e400", "1e401", false),
        ("0.12345678901234567891", "0.12345678901234567890", false),
    ] {
        assert_eq!(Json::parse(one)? == Json::parse(other)?, equal, "{one} {other}");
    }
    Ok(())
}
