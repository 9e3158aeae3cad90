//! The merge, of every type: which version of a summary stays, what is counted, and what is written.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::garmin::{Field, Kind, SummaryType, keys};
use apollo_tests::json::{Json, Spelling};
use apollo_tests::programs::RunningWorker;
use apollo_tests::rebuild::{as_kept, differences, entry_of};
use apollo_tests::site::Site;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Points of a series, enough for PostgreSQL to store it out of line.
const POINTS: u32 = 1000;

/// What becomes of a version, and of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Created,
    Updated,
    /// The same content: only the row's version is written.
    Unchanged,
    /// The same content in a message that is no newer: nothing is written.
    Repeated,
    /// Nothing is written.
    Stale,
}

use Outcome::{Created, Repeated, Stale, Unchanged, Updated};

/// A version of a summary that arrives.
struct Step {
    what: &'static str,
    content: u32,
    /// A greater one is a longer duration, or a later update.
    rank: u32,
    /// Also the message's number.
    received_at: i64,
    /// The outcome for types whose versions have a rank.
    ranked: Outcome,
    /// The outcome for types of which the latest version counts.
    unranked: Outcome,
}

#[rustfmt::skip]
const STEPS: [Step; 8] = [
    Step { what: "the first", content: 5, rank: 2, received_at: 10, ranked: Created, unranked: Created },
    Step { what: "the same message", content: 5, rank: 2, received_at: 10, ranked: Repeated, unranked: Repeated },
    Step { what: "its content again", content: 5, rank: 2, received_at: 20, ranked: Unchanged, unranked: Unchanged },
    Step { what: "its content, late", content: 5, rank: 2, received_at: 15, ranked: Repeated, unranked: Repeated },
    Step { what: "another, too late", content: 6, rank: 2, received_at: 15, ranked: Stale, unranked: Stale },
    Step { what: "another", content: 6, rank: 2, received_at: 30, ranked: Updated, unranked: Updated },
    Step { what: "a shorter one", content: 4, rank: 1, received_at: 40, ranked: Stale, unranked: Updated },
    Step { what: "a longer one, late", content: 7, rank: 3, received_at: 5, ranked: Updated, unranked: Stale },
];

impl Step {
    fn outcome(&self, of: &SummaryType) -> Outcome {
        if of.rank.is_some() { self.ranked } else { self.unranked }
    }
}

impl Outcome {
    fn in_metrics(self) -> &'static str {
        match self {
            Created => "created",
            Updated => "updated",
            Unchanged | Repeated => "unchanged",
            Stale => "stale",
        }
    }
}

/// A summary with all of its type's fields.
fn summary(of: &SummaryType, user_id: &str, content: u32, rank: u32) -> Json {
    let mut summary = Json::Object(vec![("userId".to_owned(), Json::text(user_id))]);
    for field in of.fields() {
        let content = match () {
            () if of.identifies(field) => 0,
            () if of.rank.is_some_and(|name| field.path == [name]) => rank,
            () => content,
        };
        summary.lay_over(&Json::at(&field.path, value(field, content)));
    }
    summary
}

fn value(field: &Field, content: u32) -> Json {
    match field.kind {
        Kind::Text => Json::text(format!("content {content}")),
        Kind::Integer => Json::integer((content * 900).into()),
        Kind::BigInteger => Json::integer(20_411_873_355 + i64::from(content)),
        Kind::Number => Json::Number(format!("{content}.25")),
        Kind::Boolean => Json::Boolean(content % 2 == 1),
        Kind::Date => Json::text(format!("2026-11-{:02}", content + 1)),
        Kind::Moment => Json::integer(1_794_265_200 + i64::from(content)),
        Kind::IntegerMap | Kind::NumberMap => Json::Object(
            noise(content).enumerate().map(|(offset, value)| (offset.to_string(), value)).collect(),
        ),
        Kind::List => Json::List(noise(content).collect()),
        Kind::OpenObject => Json::at(&["deep"], Json::List(noise(content).collect())),
    }
}

/// Numbers that no compression makes small.
fn noise(content: u32) -> impl Iterator<Item = Json> {
    let seed = u64::from(content);
    (1..=u64::from(POINTS)).map(move |index| {
        let mixed = (index + seed * 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Json::integer(((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 34) as i64)
    })
}

/// What is stored of a summary.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    /// The row's place and the transaction that wrote it.
    written: String,
    /// The parts of all values that the table holds out of line.
    out_of_line: Vec<String>,
    row: Json,
}

async fn stored(site: &Site, of: &SummaryType, user_id: &str) -> Result<Stored> {
    let table = format!("garmin_wellness.{}", of.table);
    let sql = format!(
        "SELECT ctid::text || ' ' || xmin::text, to_jsonb(t)::text FROM {table} AS t WHERE user_id = $1"
    );
    let rows: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(user_id).fetch_all(&site.pool).await?;
    let [(written, row)] = &rows[..] else { return Err(format!("{} rows of {user_id}", rows.len()).into()) };
    let toast = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = $1::regclass";
    let toast: String = sqlx::query_scalar(toast).bind(&table).fetch_one(&site.pool).await?;
    let parts = format!("SELECT chunk_id || ' ' || chunk_seq FROM {toast} ORDER BY chunk_id, chunk_seq");
    let out_of_line = sqlx::query_scalar(AssertSqlSafe(parts)).fetch_all(&site.pool).await?;
    Ok(Stored { written: written.clone(), out_of_line, row: Json::parse(row)? })
}

impl Stored {
    /// Sees that it is `sent`, as it came in the message of this number.
    fn is(&self, of: &SummaryType, sent: &Json, number: i64) -> Result<()> {
        let differences = differences(&as_kept(of, sent), &entry_of(of, &self.row)?);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert_eq!(self.row.get("message_id"), Some(&Json::text(message_id(number).to_string())));
        Ok(())
    }
}

fn message_id(number: i64) -> Uuid {
    Uuid::from_u128(number as u128)
}

/// Publishes a message with one entry for each of some keys.
async fn publish(broker: &Broker, entries: Vec<(&str, Json)>, number: i64) -> Result<()> {
    let received_at = Microseconds(1_794_300_000_000_000 + number);
    let envelope =
        Envelope { message_id: message_id(number), ..Envelope::of_arrival("dailies", received_at, None) };
    let lists = entries.into_iter().map(|(key, entry)| (key.to_owned(), Json::List(vec![entry])));
    let body = Json::Object(lists.collect());
    broker.publish(&envelope, body.to_text(Spelling::Plain).as_bytes()).await
}

async fn counted(worker: &RunningWorker, of: &SummaryType, outcome: Outcome) -> Result<f64> {
    let labels = [format!("type=\"{}\"", of.name()), format!("outcome=\"{}\"", outcome.in_metrics())];
    worker.metric("apollo_worker_summaries_total", &[&labels[0], &labels[1]]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_every_type_the_greatest_version_stays_and_nothing_is_written_in_vain() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let mut before: BTreeMap<&str, Stored> = BTreeMap::new();
    let mut totals: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for (index, step) in STEPS.iter().enumerate() {
        let entries = keys().map(|(key, of)| (key, summary(of, key, step.content, step.rank)));
        publish(&broker, entries.collect(), step.received_at).await?;
        worker.has_stored(index + 1).await?;
        for (_, of) in keys() {
            *totals.entry((of.name(), step.outcome(of).in_metrics())).or_default() += 1.0;
        }
        for (key, of) in keys() {
            let outcome = step.outcome(of);
            let context = format!("{key}, {}: {outcome:?}", step.what);
            let total = totals[&(of.name(), outcome.in_metrics())];
            assert_eq!(counted(&worker, of, outcome).await?, total, "{context}");
            let now = stored(&site, of, key).await?;
            let sent = summary(of, key, step.content, step.rank);
            match (outcome, before.get(key)) {
                (Created | Updated, _) => now.is(of, &sent, step.received_at)?,
                (Stale | Repeated, before) => assert!(before == Some(&now), "{context}: written again"),
                (Unchanged, before) => {
                    now.is(of, &sent, step.received_at)?;
                    let before = before.ok_or("nothing was stored before")?;
                    assert_ne!(now.written, before.written, "{context}: the version has not moved");
                    assert_eq!(now.out_of_line, before.out_of_line, "{context}: written again");
                }
            }
            before.insert(key, now);
        }
    }
    for (key, of) in keys() {
        let is_long = |field: &Field| matches!(field.kind, Kind::IntegerMap | Kind::NumberMap | Kind::List);
        let is_out_of_line = before.get(key).is_some_and(|stored| !stored.out_of_line.is_empty());
        assert_eq!(is_out_of_line, of.fields().any(is_long), "{key}: the series are too short to tell");
    }
    let all = worker.metric("apollo_worker_summaries_total", &[]).await?;
    assert_eq!(all, (STEPS.len() * keys().count()) as f64, "each version has one outcome");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_is_updated_by_hand_if_its_greatest_version_is() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let of = SummaryType::of_key("activities").ok_or("no such type")?;
    let activity = summary(of, "u", 1, 0);
    for (index, (key, number, by_hand, outcome)) in [
        ("activities", 10, false, Created),
        ("manuallyUpdatedActivities", 30, true, Updated),
        ("activities", 20, true, Stale),
        ("activities", 40, false, Updated),
        ("manuallyUpdatedActivities", 50, true, Updated),
    ]
    .into_iter()
    .enumerate()
    {
        let counted_before = counted(&worker, of, outcome).await?;
        publish(&broker, vec![(key, activity.clone())], number).await?;
        worker.has_stored(index + 1).await?;
        let row = stored(&site, of, "u").await?.row;
        assert_eq!(row.get("manually_updated"), Some(&Json::Boolean(by_hand)), "{key} {number}");
        assert_eq!(counted(&worker, of, outcome).await?, counted_before + 1.0, "{key} {number}");
    }
    Ok(())
}
