//! Law 3: the final database is a function of the set of notifications received. Deliver them in any order,
//! twice, in parts, by several workers: the rows are the same.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::garmin::{Field, Kind, Otherwise, SummaryType, TYPES, keys};
use apollo_tests::programs::RunningWorker;
use apollo_tests::property::holds;
use apollo_tests::site::Site;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::Union;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

const CASES: u32 = 64;

/// Types that meet in a case: few, so that each has many versions.
const TYPES_OF_A_CASE: usize = 3;

/// A notification, and how often and in how many parts it is delivered.
#[derive(Debug, Clone)]
struct Sent {
    /// Each with its top-level key.
    entries: Vec<(&'static str, Value)>,
    /// Few different moments, so that some notifications have the same.
    received_at: i64,
    /// Delivered whole so many times, …
    copies: usize,
    /// … and entry by entry, as replays of dead letters are, so many.
    split_copies: usize,
}

/// Entries that collide: few users, few identities, few ranks, few contents.
pub(super) fn entry(of: &'static SummaryType) -> impl Strategy<Value = (&'static str, Value)> {
    let is_telling =
        |field: &&Field| of.identifies(field) || of.rank.is_some_and(|rank| field.path == [rank]);
    let (telling, others): (Vec<&Field>, Vec<&Field>) =
        of.fields().filter(|field| field.path.len() == 1).partition(is_telling);
    // An activity is also told by its activityId.
    let telling = telling.into_iter().chain(others.iter().copied().filter(|it| it.kind == Kind::BigInteger));
    let telling: Vec<_> = telling.map(|field| (Just(field), any::<Index>())).collect();
    let other = (select(others), any::<Index>());
    (select(of.keys), 0..2u8, telling, prop::collection::vec(other, 0..3)).prop_map(
        move |(key, user, telling, others)| {
            let mut entry = Map::from_iter([("userId".to_owned(), json!(format!("user{user}")))]);
            for (field, index) in telling.iter().chain(&others) {
                let values = values(of, field);
                let value = values[index.index(values.len())].clone();
                entry.extend(value.map(|value| (field.name(), value)));
            }
            (key, Value::Object(entry))
        },
    )
}

/// The few values that a field has here; none for a missing one. An identity that would make a dead letter of
/// the entry is not among them.
fn values(of: &SummaryType, field: &Field) -> Vec<Option<Value>> {
    let fitting = match field.kind {
        Kind::Text => vec![json!("1"), json!("2")],
        Kind::Integer => vec![json!(1), json!(2), json!(2.0)],
        Kind::BigInteger => vec![json!(1), json!(2), json!("2")],
        Kind::Number => vec![json!(1.5), json!(2), json!(2.0)],
        Kind::Boolean => vec![json!(true), json!(false)],
        Kind::Date => vec![json!("2026-11-10"), json!("2026-11-11")],
        Kind::Moment => vec![json!(1_794_265_200), json!(1_794_265_200.5), json!(1_794_265_201)],
        Kind::IntegerMap | Kind::NumberMap => vec![json!({}), json!({"0": 1, "60": 95}), json!({"0": "x"})],
        Kind::List => vec![json!([]), json!([{"a": 1}])],
        Kind::OpenObject => vec![json!({}), json!({"deep": []})],
    };
    let is_needed = of.identity.iter().any(|(name, otherwise)| match otherwise {
        Otherwise::DeadLetter => field.path == [*name],
        Otherwise::ActivityId => field.path == ["activityId"],
        Otherwise::CallbackId => field.path == [*name],
        Otherwise::Empty | Otherwise::False => false,
    });
    let odd = [None, Some(Value::Null), Some(json!(["odd"]))];
    let odd = odd.into_iter().filter(|_| !is_needed);
    fitting.into_iter().map(Some).chain(odd).collect()
}

/// Notifications with entries of a few types.
fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let types: Vec<&SummaryType> = TYPES.iter().collect();
    subsequence(types, TYPES_OF_A_CASE).prop_flat_map(|types| {
        let entry = Union::new(types.into_iter().map(entry));
        let notification = (prop::collection::vec(entry, 1..12), 0..4i64, 0..3usize, 0..2usize).prop_map(
            |(entries, received_at, copies, split_copies)| Sent {
                entries,
                received_at: 1_794_300_000_000_000 + received_at,
                copies: if split_copies == 0 { copies.max(1) } else { copies },
                split_copies,
            },
        );
        prop::collection::vec(notification, 1..12)
    })
}

/// The messages that a notification is delivered as.
fn deliveries(case: &str, index: usize, sent: &Sent) -> Vec<(Envelope, Vec<u8>)> {
    let envelope = |entry_index: usize| Envelope {
        message_id: Uuid::from_u128(index as u128),
        first_entry_index: entry_index as u32,
        ..Envelope::of_arrival("dailies", Microseconds(sent.received_at), None)
    };
    let of_case = |(key, entry): &(&str, Value)| {
        let mut entry = entry.clone();
        let user_id = format!("{case}{}", entry["userId"].as_str().unwrap_or_default());
        entry["userId"] = json!(user_id);
        format!("{}: [{entry}]", json!(key))
    };
    // A repeated key counts each time, so every entry stands under a key of its own.
    let entries: Vec<String> = sent.entries.iter().map(of_case).collect();
    let whole = (envelope(0), format!("{{{}}}", entries.join(",")).into_bytes());
    let parts = entries.iter().enumerate();
    let parts = parts.map(|(index, entry)| (envelope(index), format!("{{{entry}}}").into_bytes()));
    let wholes = (0..sent.copies).map(|_| whole.clone());
    wholes.chain((0..sent.split_copies).flat_map(|_| parts.clone())).collect()
}

/// A database with workers before it.
struct Side {
    broker: Broker,
    site: Site,
    workers: Vec<RunningWorker>,
    published: AtomicUsize,
}

impl Side {
    async fn new(workers: usize, arguments: &[&str]) -> Result<Self> {
        let site = Site::new().await?;
        let mut running = Vec::new();
        for _ in 0..workers {
            running.push(site.worker(arguments).await?);
        }
        Ok(Self { broker: site.broker().await?, site, workers: running, published: AtomicUsize::new(0) })
    }

    /// Delivers, and returns the case's rows, versions included.
    async fn rows_after(
        &self,
        case: &str,
        messages: &[(Envelope, Vec<u8>)],
    ) -> Result<BTreeMap<&'static str, Vec<Value>>> {
        let publish = messages.iter().map(|(envelope, body)| self.broker.publish(envelope, body));
        futures_util::future::try_join_all(publish).await?;
        let published = self.published.fetch_add(messages.len(), Ordering::Relaxed) + messages.len();
        apollo_tests::wait::eventually("every delivery is acknowledged", async || {
            let mut stored = 0.0;
            for worker in &self.workers {
                stored += worker.stored().await.ok()?;
            }
            (stored >= published as f64).then_some(())
        })
        .await?;
        self.site.rows_of_users_like(case).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_any_repetition_and_any_split_give_the_same_rows() -> Result<()> {
    // Batches of a few messages, so that versions of one summary meet in one batch, in two, and at once.
    let small = ["--batch-messages", "3", "--prefetch", "4", "--batch-wait-ms", "1"];
    let shuffled = Side::new(2, &small).await?;
    let in_order = Side::new(1, &["--concurrency", "1"]).await?;
    let strategy = sent().prop_flat_map(|sent| {
        let deliveries = sent.iter().map(|sent| sent.copies + sent.split_copies * sent.entries.len()).sum();
        (Just(sent), Just((0..deliveries).collect::<Vec<usize>>()).prop_shuffle())
    });
    let versions: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    holds(CASES, &strategy, async |(sent, places)| {
        let case = Uuid::now_v7().simple().to_string();
        let once: Vec<Sent> =
            sent.iter().map(|sent| Sent { copies: 1, split_copies: 0, ..sent.clone() }).collect();
        let messages = |sent: &[Sent]| -> Vec<(Envelope, Vec<u8>)> {
            sent.iter().enumerate().flat_map(|(index, sent)| deliveries(&case, index, sent)).collect()
        };
        let mut delivered: Vec<_> = messages(&sent).into_iter().zip(&places).collect();
        delivered.sort_by_key(|(_, place)| **place);
        let delivered: Vec<_> = delivered.into_iter().map(|(message, _)| message).collect();
        let expected = in_order.rows_after(&case, &messages(&once)).await?;
        let found = shuffled.rows_after(&case, &delivered).await?;
        if found != expected {
            return Err(format!("found {found:?}\nexpected {expected:?}").into());
        }
        let mut versions = versions.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in sent.iter().flat_map(|sent| &sent.entries) {
            *versions.entry(key).or_default() += 1;
        }
        Ok(())
    });
    let versions = versions.into_inner()?;
    println!("entries compared: {versions:?}");
    let often = keys().all(|(key, _)| versions.get(key).is_some_and(|count| *count >= 10));
    assert!(often, "some type was hardly tried: {versions:?}");
    assert_eq!(in_order.broker.waiting("apollo.dead").await?, 0, "an entry was not compared");
    Ok(())
}
