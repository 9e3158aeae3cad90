//! Law 3: the final database is a function of the set of notifications received. Deliver them in any order,
//! twice, in parts, by several workers: the rows are the same.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::programs::RunningWorker;
use apollo_tests::site::Site;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

const CASES: u32 = 64;

/// A notification, and how often and in how many parts it is delivered.
#[derive(Debug, Clone)]
struct Sent {
    key: &'static str,
    entries: Vec<Value>,
    /// Few different moments, so that some notifications have the same.
    received_at: i64,
    /// Delivered whole so many times, …
    copies: usize,
    /// … and entry by entry, as replays of dead letters are, so many.
    split_copies: usize,
}

/// Entries that collide: few users, few starts, few durations, few contents.
fn entry(key: &'static str) -> impl Strategy<Value = Value> {
    let duration = prop_oneof![Just(json!(null)), Just(json!("x")), (0..3).prop_map(|it| json!(it * 900))];
    let content = prop_oneof![Just(json!(1)), Just(json!(2)), Just(json!("odd")), Just(json!(2.0))];
    let activity = prop_oneof![Just(json!("WALKING")), Just(json!("RUNNING")), Just(json!(null))];
    (0..2u8, 0..2u8, duration, content, activity).prop_map(
        move |(user, start, duration, content, activity)| {
            let mut entry = Map::new();
            entry.insert("userId".into(), json!(format!("user{user}")));
            entry.insert("durationInSeconds".into(), duration);
            match key {
                "userMetrics" => {
                    entry.insert("calendarDate".into(), json!(format!("2026-11-1{start}")));
                    entry.insert("vo2Max".into(), content);
                }
                "sleeps" => {
                    entry.insert("startTimeInSeconds".into(), json!(1_794_262_320 + i64::from(start)));
                    entry.insert("timeOffsetSleepSpo2".into(), json!({"0": content, "60": 95}));
                }
                _ => {
                    entry.insert("startTimeInSeconds".into(), json!(1_794_265_200 + i64::from(start) * 900));
                    entry.insert("activityType".into(), activity);
                    entry.insert("steps".into(), content.clone());
                    entry.insert("averageStressLevel".into(), content);
                }
            }
            Value::Object(entry)
        },
    )
}

fn sent() -> impl Strategy<Value = Sent> {
    prop::sample::select(&["dailies", "epochs", "sleeps", "stressDetails", "userMetrics"][..]).prop_flat_map(
        |key| {
            (prop::collection::vec(entry(key), 1..5), 0..4i64, 0..3usize, 0..2usize).prop_map(
                move |(entries, received_at, copies, split_copies)| Sent {
                    key,
                    entries,
                    received_at: 1_794_300_000_000_000 + received_at,
                    copies: if split_copies == 0 { copies.max(1) } else { copies },
                    split_copies,
                },
            )
        },
    )
}

/// The messages that a notification is delivered as. The first of them is whole.
fn deliveries(case: &str, index: usize, sent: &Sent) -> Vec<(Envelope, Vec<u8>)> {
    let envelope = |entry_index: usize| Envelope {
        message_id: Uuid::from_u128(index as u128),
        first_entry_index: entry_index as u32,
        ..Envelope::of_arrival(sent.key, Microseconds(sent.received_at), None)
    };
    let of_case = |entry: &Value| {
        let mut entry = entry.clone();
        let user_id = format!("{case}{}", entry["userId"].as_str().unwrap_or_default());
        entry["userId"] = json!(user_id);
        entry
    };
    let whole = json!({sent.key: sent.entries.iter().map(of_case).collect::<Vec<_>>()});
    let parts = sent.entries.iter().enumerate().map(|(index, entry)| {
        (envelope(index), json!({sent.key: [of_case(entry)]}).to_string().into_bytes())
    });
    let wholes = (0..sent.copies).map(|_| (envelope(0), whole.to_string().into_bytes()));
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
        let mut rows = self.site.rows().await?;
        for rows in rows.values_mut() {
            rows.retain(|row| row["user_id"].as_str().is_some_and(|user| user.starts_with(case)));
        }
        Ok(rows)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_any_repetition_and_any_split_give_the_same_rows() -> Result<()> {
    // Batches of a few messages, so that versions of one summary meet in one batch, in two, and at once.
    let small = ["--batch-messages", "3", "--prefetch", "4", "--batch-wait-ms", "1"];
    let shuffled = Side::new(2, &small).await?;
    let in_order = Side::new(1, &["--concurrency", "1"]).await?;
    let runtime = tokio::runtime::Handle::current();
    let strategy = prop::collection::vec(sent(), 1..12).prop_flat_map(|sent| {
        let places: Vec<usize> =
            (0..sent.iter().map(|sent| sent.copies + sent.split_copies * 4).sum()).collect();
        (Just(sent), Just(places).prop_shuffle())
    });
    tokio::task::block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        runner
            .run(&strategy, |(sent, places)| {
                let case = Uuid::now_v7().simple().to_string();
                let once: Vec<Sent> =
                    sent.iter().map(|sent| Sent { copies: 1, split_copies: 0, ..sent.clone() }).collect();
                let messages = |sent: &[Sent]| -> Vec<(Envelope, Vec<u8>)> {
                    sent.iter().enumerate().flat_map(|(index, sent)| deliveries(&case, index, sent)).collect()
                };
                let mut delivered: Vec<_> = messages(&sent).into_iter().zip(&places).collect();
                delivered.sort_by_key(|(_, place)| **place);
                let delivered: Vec<_> = delivered.into_iter().map(|(message, _)| message).collect();
                let outcome = runtime.block_on(async {
                    let expected = in_order.rows_after(&case, &messages(&once)).await?;
                    Ok::<_, apollo_tests::Error>((shuffled.rows_after(&case, &delivered).await?, expected))
                });
                let (found, expected) = outcome.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(found, expected);
                Ok(())
            })
            .map_err(|error| error.to_string().into())
    })
}
