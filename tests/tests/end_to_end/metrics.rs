//! What Prometheus scrapes: well-formed, as documented, true, and all that the alert rules ask for.

use crate::alerts;
use apollo_shared::endpoint::Endpoint;
use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, send};
use apollo_tests::Result;
use apollo_tests::programs::{RunningReceiver, RunningWorker};
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::metrics::Metrics;
use apollo_worker::summaries::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use xtask::stack::of_tests;

/// A day of a user that the plan does not have, in three versions: each longer than the one before.
fn daily(seconds: u32) -> String {
    format!(
        r#"{{"dailies": [{{"userId": "one-of-the-test", "startTimeInSeconds": 1794265200, "durationInSeconds": {seconds}}}]}}"#
    )
}

/// Names with type and help, as a scrape tells them in its comments.
fn families(scrape: &str) -> BTreeMap<String, (String, String)> {
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in scrape.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            families.entry(name.to_owned()).or_default().1 = help.to_owned();
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            families.entry(name.to_owned()).or_default().0 = kind.to_owned();
        }
    }
    families
}

/// The same of the table that a program prints.
fn documented(table: &str) -> BTreeMap<String, (String, String)> {
    let rows = table.lines().skip(2).map(|row| row.trim_matches('|').splitn(4, '|').map(str::trim));
    let row = |cells: Vec<&str>| match cells[..] {
        [name, kind, _, help] => {
            Some((name.trim_matches('`').to_owned(), (kind.to_owned(), help.to_owned())))
        }
        _ => None,
    };
    rows.filter_map(|cells| row(cells.collect())).collect()
}

/// What Prometheus itself has to say against a scrape: nothing.
fn lint(scrape: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().ok_or("no standard input")?.write_all(scrape.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    assert!(output.status.success() && said.is_empty(), "promtool check metrics: {said}");
    Ok(())
}

/// Names of metrics in a text, with one of these beginnings.
fn names<'a>(text: &'a str, beginnings: &[&str]) -> BTreeSet<&'a str> {
    let words =
        text.split(|character: char| !(character.is_ascii_alphanumeric() || "_:".contains(character)));
    words.filter(|word| beginnings.iter().any(|beginning| word.starts_with(beginning))).collect()
}

/// Keys whose entries go into one table are counted as one type.
fn by_table(sent: &BTreeMap<&'static str, u64>) -> BTreeMap<&'static str, u64> {
    let registry = Registry::new();
    let mut by_table = BTreeMap::new();
    for (key, count) in sent {
        let key = Endpoint::of_key(key).map_or(*key, |endpoint| endpoint.key);
        let table = registry.position(key).map(|position| registry.tables()[position].summary_type.key);
        *by_table.entry(table.unwrap_or(key)).or_default() += count;
    }
    by_table
}

/// How many dailies had an outcome.
async fn dailies(worker: &RunningWorker, outcome: &str) -> Result<f64> {
    let outcome = format!("outcome=\"{outcome}\"");
    worker.metric("apollo_worker_summaries_total", &["type=\"dailies\"", &outcome]).await
}

/// Sends dailies of which one has this outcome.
async fn ends_as(
    outcome: &str,
    body: String,
    receiver: &RunningReceiver,
    worker: &RunningWorker,
) -> Result<()> {
    let before = dailies(worker, outcome).await?;
    receiver.accept("/api_client/garmin/dailies", body).await?;
    let one_more = async || (dailies(worker, outcome).await.ok()? == before + 1.0).then_some(());
    eventually(&format!("one of the dailies is {outcome}"), one_more).await
}

/// Sends a simulated day, and then every outcome that a summary can have. Returns how many POSTs were answered 200.
async fn load(site: &Site, receiver: &RunningReceiver, worker: &RunningWorker) -> Result<f64> {
    let plan = Plan { users: 20, days: 1, seed: 8, sample_interval_seconds: Some(900) };
    let options = SendOptions { concurrency: 4, ..SendOptions::new(receiver.url().parse()?) };
    let report = send(&plan, &options, CancellationToken::new(), |_| {}).await?;
    assert!(report.complete && report.progress.refusals.is_empty(), "{report:?}");
    for (key, sent) in by_table(&report.progress.summaries) {
        let of_type = format!("type=\"{key}\"");
        let count = async || worker.metric("apollo_worker_summaries_total", &[&of_type]).await.ok();
        let all = async || (count().await? == sent as f64).then_some(());
        eventually(&format!("{sent} {key} were sent, and so many have an outcome"), all).await?;
    }
    let created = worker.metric("apollo_worker_summaries_total", &["outcome=\"created\""]).await?;
    let rows: usize = site.rows().await?.values().map(Vec::len).sum();
    assert_eq!(created, rows as f64);

    for (seconds, outcome) in [(60, "created"), (60, "unchanged"), (120, "updated"), (60, "stale")] {
        ends_as(outcome, daily(seconds), receiver, worker).await?;
    }
    ends_as("rejected", r#"{"dailies": [{"userId": 5}]}"#.to_owned(), receiver, worker).await?;
    receiver.accept("/api_client/garmin/epochs", r#"{"unheardOf": [{"userId": "a"}]}"#).await?;
    assert_eq!(receiver.post("/api_client/garmin/dailies", "no JSON").await?.status(), 400);
    Ok(report.progress.posts as f64 + 6.0)
}

async fn counts_are_true(receiver: &RunningReceiver, worker: &RunningWorker, answered: f64) -> Result<()> {
    let notifications =
        async |status| receiver.metric("apollo_receiver_notifications_total", &[status]).await;
    assert_eq!(notifications("status=\"200\"").await?, answered);
    assert_eq!(notifications("status=\"400\"").await?, 1.0);
    assert_eq!(notifications("status=\"503\"").await?, 0.0);
    assert_eq!(receiver.metric("apollo_receiver_request_duration_seconds_count", &[]).await?, answered + 1.0);
    let dead = async |reason| worker.metric("apollo_worker_dead_letters_total", &[reason]).await;
    assert_eq!(dead("reason=\"malformed_entry\"").await?, 1.0);
    assert_eq!(dead("reason=").await?, 1.0);
    receiver.shows("apollo_ready", 1.0).await?;
    worker.shows("apollo_ready", 1.0).await
}

/// It runs as soon as the lanes do, and makes tomorrow's partition.
async fn the_housekeeping_is_done(worker: &RunningWorker) -> Result<()> {
    let now = OffsetDateTime::now_utc().unix_timestamp() as f64;
    let housekept = async || {
        let last = worker.metric("apollo_worker_housekeeping_timestamp_seconds", &[]).await.ok()?;
        (last > now - 3600.0).then_some(())
    };
    eventually("the housekeeping is done", housekept).await?;
    let until = worker.metric("apollo_worker_raw_partitions_until_timestamp_seconds", &[]).await?;
    assert!((now + 86_000.0..now + 173_000.0).contains(&until), "not the end of tomorrow: {until}");
    Ok(())
}

/// A scrape is what the program's own table says, and Prometheus finds nothing wrong with it.
fn is_as_documented(scrape: &str, table: &str) -> Result<()> {
    lint(scrape)?;
    let (shown, mut documented) = (families(scrape), documented(table));
    // Only a worker of the lane pull has looked at them.
    documented.remove("apollo_backfill_ranges");
    assert_eq!(shown, documented);
    Ok(())
}

/// What RabbitMQ shows, as the jobs rabbitmq and rabbitmq-queues ask for it.
async fn scrape_of_the_broker() -> Result<String> {
    let port = of_tests()?.rabbitmq.prometheus_port;
    let page = async |path: &str| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/{path}")).await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    };
    let detailed = "metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count";
    let both = async || {
        let both = page("metrics").await? + &page(detailed).await?;
        both.contains("rabbitmq_detailed_queue_messages{").then_some(both)
    };
    eventually("RabbitMQ has counted what is in its queues", both).await
}

/// A rule that asks for a metric that nobody shows would be silent for ever.
fn rules_ask_only_for(known: &BTreeSet<String>) -> Result<()> {
    let is_known = |name: &&str| {
        let family = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
        known.contains(*name) || family.is_some_and(|family| known.contains(family))
    };
    let (rules, page) =
        (alerts::text_of("rules")?, fs::read_to_string(alerts::root().join("docs/metrics.md"))?);
    let asked_for = names(&rules, &["apollo_", "rabbitmq_", "process_"]);
    let of_the_broker = names(&page, &["rabbitmq_"]);
    let unknown: Vec<&&str> = asked_for.union(&of_the_broker).filter(|name| !is_known(name)).collect();
    assert_eq!(unknown, [&"rabbitmq_prometheus"], "the plugin is no metric; all others are");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_is_well_formed_documented_and_true() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let answered = load(&site, &receiver, &worker).await?;
    counts_are_true(&receiver, &worker, answered).await?;
    the_housekeeping_is_done(&worker).await?;

    let scrapes = [receiver.scrape().await?, worker.scrape().await?];
    let tables = [apollo_receiver::metrics_table()?, Metrics::new()?.table()];
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT user_id FROM garmin_oauth.user_id").fetch_all(&site.pool).await?;
    assert!(ids.len() > 20, "{ids:?}");
    for (scrape, table) in scrapes.iter().zip(&tables) {
        is_as_documented(scrape, table)?;
        assert!(ids.iter().all(|id| !scrape.contains(id)), "a user's id is in a label");
    }

    let of_the_broker = families(&scrape_of_the_broker().await?);
    let of_programs = tables.iter().flat_map(|table| documented(table));
    rules_ask_only_for(&of_programs.chain(of_the_broker).map(|(name, _)| name).collect())
}
