//! Law 6: what is received after a participant has withdrawn is stored nowhere, whichever comes first.

mod erasure;

use super::convergence::entry;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::garmin::{SummaryType, TYPES};
use apollo_tests::programs::{RunningWorker, SECRETS_KEYS};
use apollo_tests::property::holds;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::store::accounts;
use apollo_worker::store::archive::Sealed;
use apollo_worker::summaries::Registry;
use apollo_worker::withdrawal::{Removed, Withdrawal};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::Union;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xtask::stack::of_tests;

/// When the users of these tests withdraw, in microseconds since 1970: not so long ago that the raw notification
/// would be dropped.
fn end() -> i64 {
    Microseconds::now().0 - 3_600_000_000
}

fn moment(microseconds: i64) -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1000)?)
}

/// Puts on record that a user withdrew at `end`.
pub(super) async fn withdraw(site: &Site, user_id: &str, end: i64) -> Result<()> {
    let mut transaction = site.pool.begin().await?;
    accounts::deregister(&mut transaction, user_id, moment(end)?).await?;
    Ok(transaction.commit().await?)
}

/// Puts on record that a user consented at `moment`.
async fn consent(site: &Site, user_id: &str, at: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO garmin_oauth.user_id (user_id, registered_at) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET active = true, registered_at = excluded.registered_at",
    )
    .bind(user_id)
    .bind(moment(at)?)
    .execute(&site.pool)
    .await?;
    Ok(())
}

fn keyring() -> Result<Keyring> {
    Ok(Keyring::new(&SecretsConfig { keys: SECRETS_KEYS.into() })?)
}

pub(super) async fn purge(site: &Site, user_id: &str) -> Result<Removed> {
    let withdrawal = Withdrawal::new(site.pool.clone(), Arc::new(keyring()?), Arc::new(Registry::new()))?;
    Ok(withdrawal.purge(user_id, &CancellationToken::new()).await?)
}

/// Erases a subject behind whom is the user u, who has withdrawn.
pub(super) async fn erase(site: &Site, subject_id: &str) -> Result<Removed> {
    let withdrawal = Withdrawal::new(site.pool.clone(), Arc::new(keyring()?), Arc::new(Registry::new()))?;
    Ok(withdrawal.erase(subject_id, "u", &CancellationToken::new(), |_| {}).await?)
}

/// Publishes a notification, and waits until the worker has acknowledged `messages` in all.
async fn deliver(
    broker: &Broker,
    worker: &RunningWorker,
    received_at: i64,
    body: &Value,
    messages: usize,
) -> Result<()> {
    publish(broker, received_at, body).await?;
    worker.has_stored(messages).await
}

async fn publish(broker: &Broker, received_at: i64, body: &Value) -> Result<()> {
    let envelope = Envelope::of_arrival("dailies", Microseconds(received_at), None);
    broker.publish(&envelope, body.to_string().as_bytes()).await
}

fn daily(user_id: &str, duration: i64) -> Value {
    json!({"userId": user_id, "startTimeInSeconds": 1_794_265_200, "durationInSeconds": duration})
}

/// The bodies of the notifications that are kept as received, in the order of their ids.
async fn kept(site: &Site) -> Result<Vec<Value>> {
    let all =
        "SELECT message_id, received_at, endpoint, body FROM garmin_raw.notification ORDER BY message_id";
    let sealed: Vec<Sealed> = sqlx::query_as(all).fetch_all(&site.pool).await?;
    let keyring = keyring()?;
    sealed.iter().map(|it| Ok(serde_json::from_slice(&it.open(&keyring)?.body)?)).collect()
}

async fn noted(site: &Site) -> Result<Vec<Option<Vec<String>>>> {
    let all = "SELECT user_ids FROM garmin_raw.notification ORDER BY message_id";
    Ok(sqlx::query_scalar(all).fetch_all(&site.pool).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_received_after_a_withdrawal_is_stored_nowhere() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&["--lanes", "summaries"]).await?);
    let end = end();
    withdraw(&site, "u", end).await?;
    let malformed = json!({"userId": "u", "x": 1});
    let ping = json!({"userId": "u", "callbackURL": "https://apis.garmin.com/wellness-api/rest/x?token=t"});
    let body = json!({
        "dailies": [daily("u", 60), daily("v", 60), malformed, ping],
        "sleeps": {"userId": "u"},
        "solarIntensity": [{"userId": "u"}],
        "ofTheFuture": [{"userId": "u"}, {"userId": "v"}],
        "deregistrations": [{"userId": "u"}],
    });
    deliver(&broker, &worker, end + 1, &body, 1).await?;
    deliver(&broker, &worker, end + 1, &json!({"dailies": [daily("u", 60)], "epochs": []}), 2).await?;

    let rows = site.rows_of("daily_summary").await?;
    let of: Vec<_> = rows.iter().map(|row| (&row["user_id"], &row["entry_index"])).collect();
    assert_eq!(of, [(&json!("v"), &json!(1))], "its place in the notification as it came");
    let left = json!({
        "dailies": [null, daily("v", 60), null, null],
        "sleeps": null,
        "solarIntensity": [null],
        "ofTheFuture": [null, {"userId": "v"}],
        "deregistrations": [null],
    });
    assert_eq!(kept(&site).await?, [left]);
    assert_eq!(noted(&site).await?, [Some(vec!["v".to_owned()])]);
    assert_eq!(broker.waiting("apollo.dead").await?, 0);
    assert_eq!(broker.waiting("apollo.pull").await?, 0);
    let account = broker.take_all("apollo.account").await?;
    assert_eq!(account.len(), 1, "a message about the account is forwarded");
    assert_eq!(account[0].json()?, json!({"deregistrations": [{"userId": "u"}]}));
    for (key, count) in [("dailies", 4.0), ("sleeps", 1.0), ("solarIntensity", 1.0), ("unknown", 1.0)] {
        let label = format!("type=\"{key}\"");
        let found = worker.metric("apollo_worker_summaries_total", &[&label, "withdrawn"]).await?;
        assert_eq!(found, count, "{key}");
    }
    let raw =
        worker.metric("apollo_worker_summaries_total", &["type=\"unknown\"", "outcome=\"raw\""]).await?;
    assert_eq!(raw, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_raw_makes_no_dead_letter_of_a_withdrawn_user_either() -> Result<()> {
    let site = Site::new().await?;
    let broker = site.broker().await?;
    let worker = site.worker(&["--raw-retention-days", "0"]).await?;
    let end = end();
    withdraw(&site, "u", end).await?;
    let odd = json!({"ofTheFuture": [{"userId": "u"}, {"userId": "v"}], "dailies": [{"userId": "u"}]});
    deliver(&broker, &worker, end + 1, &odd, 1).await?;
    let dead = broker.take_all("apollo.dead").await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].json()?, json!({"ofTheFuture": [null, {"userId": "v"}]}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_before_and_after_a_new_consent_is_stored() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let end = end();
    consent(&site, "u", end - 10).await?;
    withdraw(&site, "u", end).await?;
    let entry = |start: i64| json!({"dailies": [{"userId": "u", "startTimeInSeconds": start}]});
    deliver(&broker, &worker, end, &entry(1), 1).await?;
    consent(&site, "u", end + 100).await?;
    deliver(&broker, &worker, end + 1, &entry(2), 2).await?;
    deliver(&broker, &worker, end + 99, &entry(3), 3).await?;
    deliver(&broker, &worker, end + 100, &entry(4), 4).await?;
    let rows = site.rows_of("daily_summary").await?;
    let starts: Vec<_> = rows.iter().map(|row| &row["start_time"]).collect();
    assert_eq!(starts, [&json!("1970-01-01T00:00:01+00:00"), &json!("1970-01-01T00:00:04+00:00")]);
    assert_eq!(kept(&site).await?, [entry(1), entry(4)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_deregistration_takes_away_what_came_after_it_and_brings_back_what_came_before() -> Result<()>
{
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let end = end();
    let both = |duration| json!({"dailies": [daily("u", duration), daily("v", duration)]});
    deliver(&broker, &worker, end - 1, &both(60), 1).await?;
    deliver(&broker, &worker, end + 1, &both(120), 2).await?;
    deliver(&broker, &worker, end + 2, &json!({"sleeps": [{"userId": "u", "startTimeInSeconds": 1}]}), 3)
        .await?;
    // As versions stored it that did not note whose entries a notification holds.
    sqlx::raw_sql("UPDATE garmin_raw.notification SET user_ids = NULL").execute(&site.pool).await?;

    withdraw(&site, "u", end).await?;
    let removed = purge(&site, "u").await?;
    let rows = [("garmin_wellness.daily_summary", 1), ("garmin_wellness.sleep_summary", 1)];
    assert_eq!(removed.rows, rows.map(|(table, rows)| (table.to_owned(), rows)).into());
    assert_eq!((removed.notifications_changed, removed.notifications_deleted), (1, 1));
    let dailies = site.rows_of("daily_summary").await?;
    let durations: BTreeMap<_, _> =
        dailies.iter().map(|row| (row["user_id"].as_str(), row["duration_in_seconds"].as_i64())).collect();
    assert_eq!(durations, BTreeMap::from([(Some("u"), Some(60)), (Some("v"), Some(120))]));
    assert!(site.rows_of("sleep_summary").await?.is_empty());
    assert_eq!(kept(&site).await?, [both(60), json!({"dailies": [null, daily("v", 120)]})]);
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(noted(&site).await?, [names(&["u", "v"]), names(&["v"])]);

    let rows = site.rows().await?;
    assert_eq!(purge(&site, "u").await?, Removed::default(), "nothing is left to take away");
    assert_eq!(site.rows().await?, rows);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_interrupted_before_it_read_again_does_so_the_next_time() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let end = end();
    deliver(&broker, &worker, end - 1, &json!({"dailies": [daily("u", 60)]}), 1).await?;
    deliver(&broker, &worker, end + 1, &json!({"dailies": [daily("u", 120)]}), 2).await?;
    withdraw(&site, "u", end).await?;
    sqlx::raw_sql("DELETE FROM garmin_wellness.daily_summary").execute(&site.pool).await?;
    purge(&site, "u").await?;
    let dailies = site.rows_of("daily_summary").await?;
    assert_eq!(dailies.len(), 1);
    assert_eq!(dailies[0]["duration_in_seconds"], json!(60));
    Ok(())
}

/// Waits until somebody waits for a lock of a kind in the database of the test.
async fn waiting(observer: &mut PgConnection, locktype: &str) -> Result<()> {
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                   WHERE NOT granted AND locktype = $1 AND datname = current_database()";
    let observer = Mutex::new(observer);
    let what = format!("somebody waits for a lock of the kind {locktype}");
    eventually(&what, async || {
        let mut observer = observer.lock().await;
        let count: i64 = sqlx::query_scalar(waiting).bind(locktype).fetch_one(&mut **observer).await.ok()?;
        (count > 0).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_waits_for_a_batch_that_has_not_seen_it() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let mut observer = PgConnection::connect(&site.database_url()).await?;
    let mut other = PgConnection::connect(&site.database_url()).await?;
    let end = end();

    // The batch has looked at who has withdrawn, and is held up at its row.
    let mut holding = other.begin().await?;
    let same_row = "INSERT INTO garmin_wellness.daily_summary
                        (user_id, start_time, received_at, message_id, entry_index, content_digest)
                    VALUES ('u', to_timestamp(1794265200), now(), gen_random_uuid(), 0, '')";
    sqlx::raw_sql(same_row).execute(&mut *holding).await?;
    publish(&broker, end + 1, &json!({"dailies": [daily("u", 60)]})).await?;
    waiting(&mut observer, "transactionid").await?;
    let withdrawal = async {
        withdraw(&site, "u", end).await?;
        purge(&site, "u").await
    };
    let release = async {
        waiting(&mut observer, "advisory").await?;
        holding.rollback().await?;
        worker.has_stored(1).await
    };
    let (removed, ()) = futures_util::future::try_join(withdrawal, release).await?;
    assert_eq!(removed.rows, BTreeMap::from([("garmin_wellness.daily_summary".to_owned(), 1)]));
    assert!(site.rows_of("daily_summary").await?.is_empty());
    Ok(())
}

const CASES: u32 = 48;

/// Types that meet in a case: few, so that each has many versions.
const TYPES_OF_A_CASE: usize = 2;

/// Notifications, each with its moment of arrival, in the order of their arrival at the worker; when user0 withdraws;
/// and how many notifications are delivered before that is known.
#[derive(Debug, Clone)]
struct Case {
    notifications: Vec<(i64, Vec<(&'static str, Value)>)>,
    order: Vec<usize>,
    end: i64,
    known_after: usize,
    waits: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let types: Vec<&SummaryType> = TYPES.iter().collect();
    let notifications = subsequence(types, TYPES_OF_A_CASE).prop_flat_map(|types| {
        let entry = Union::new(types.into_iter().map(entry)).prop_map(|(key, mut entry)| {
            // Some are malformed, some of a key that no table takes.
            if entry.as_object().is_some_and(|entry| entry.len() == 2) {
                entry["startTimeInSeconds"] = Value::Null;
            }
            (key, entry)
        });
        let unknown = (0..2u8).prop_map(|user| ("ofTheFuture", json!({"userId": format!("user{user}")})));
        let entry = prop_oneof![9 => entry, 1 => unknown];
        prop::collection::vec((0..6i64, prop::collection::vec(entry, 1..8)), 1..12)
    });
    (notifications, 0..6i64, any::<bool>()).prop_flat_map(|(notifications, end, waits)| {
        let count = notifications.len();
        // Each is delivered twice.
        let order: Vec<usize> = (0..count).chain(0..count).collect();
        (Just(notifications), Just(order).prop_shuffle(), Just(end), 0..=2 * count, Just(waits)).prop_map(
            |(notifications, order, end, known_after, waits)| Case {
                notifications,
                order,
                end,
                known_after,
                waits,
            },
        )
    })
}

/// A database with workers before it.
struct Side {
    broker: Broker,
    site: Site,
    workers: Vec<RunningWorker>,
    published: AtomicUsize,
}

impl Side {
    async fn new(workers: usize) -> Result<Self> {
        let site = Site::new().await?;
        let small = ["--batch-messages", "3", "--prefetch", "4", "--batch-wait-ms", "1"];
        let mut running = Vec::new();
        for _ in 0..workers {
            running.push(site.worker(&small).await?);
        }
        Ok(Self { broker: site.broker().await?, site, workers: running, published: AtomicUsize::new(0) })
    }

    async fn publish(&self, messages: &[(Envelope, Vec<u8>)]) -> Result<()> {
        let publish = messages.iter().map(|(envelope, body)| self.broker.publish(envelope, body));
        futures_util::future::try_join_all(publish).await?;
        self.published.fetch_add(messages.len(), Ordering::Relaxed);
        Ok(())
    }

    async fn settled(&self) -> Result<()> {
        let published = self.published.load(Ordering::Relaxed);
        eventually("every delivery is acknowledged", async || {
            let mut stored = 0.0;
            for worker in &self.workers {
                stored += worker.stored().await.ok()?;
            }
            (stored >= published as f64).then_some(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_is_known_early_late_or_in_between_leaves_the_same_rows() -> Result<()> {
    let (known_first, any_order) = (Side::new(1).await?, Side::new(2).await?);
    let base = end();
    holds(CASES, &case(), async |case| {
        let prefix = Uuid::now_v7().simple().to_string();
        let message = |index: usize| -> (Envelope, Vec<u8>) {
            let (received_at, entries) = &case.notifications[index];
            let envelope = Envelope {
                message_id: unique(&prefix, index),
                ..Envelope::of_arrival("dailies", Microseconds(base + received_at), None)
            };
            let member = |(key, entry): &(&str, Value)| {
                let mut entry = entry.clone();
                entry["userId"] = json!(format!("{prefix}{}", entry["userId"].as_str().unwrap_or_default()));
                format!("{}: [{entry}]", json!(key))
            };
            let members: Vec<String> = entries.iter().map(member).collect();
            (envelope, format!("{{{}}}", members.join(",")).into_bytes())
        };
        let user = format!("{prefix}user0");
        let end = base + case.end;

        withdraw(&known_first.site, &user, end).await?;
        let once: Vec<_> = (0..case.notifications.len()).map(message).collect();
        known_first.publish(&once).await?;
        known_first.settled().await?;

        let deliveries: Vec<_> = case.order.iter().map(|index| message(*index)).collect();
        let (before, after) = deliveries.split_at(case.known_after);
        any_order.publish(before).await?;
        if case.waits {
            any_order.settled().await?;
        }
        let become_known = async {
            withdraw(&any_order.site, &user, end).await?;
            purge(&any_order.site, &user).await
        };
        futures_util::future::try_join(become_known, any_order.publish(after)).await?;
        any_order.settled().await?;

        let expected = known_first.site.rows_of_users_like(&prefix).await?;
        let found = any_order.site.rows_of_users_like(&prefix).await?;
        if found != expected {
            return Err(format!("found {found:?}\nexpected {expected:?}").into());
        }
        for side in [&known_first, &any_order] {
            let kept: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM garmin_raw.notification WHERE user_ids @> ARRAY[$1] AND received_at > $2",
            )
            .bind(&user)
            .bind(moment(end)?)
            .fetch_one(&side.site.pool)
            .await?;
            if kept > 0 {
                return Err(format!("{kept} notifications as received still hold entries of the user").into());
            }
        }
        Ok(())
    });
    Ok(())
}

/// An id that orders the notifications of a case, and is no other case's.
fn unique(prefix: &str, index: usize) -> Uuid {
    let case = Uuid::parse_str(prefix).unwrap_or_default().as_u128();
    Uuid::from_u128(case ^ ((index as u128) << 48))
}
