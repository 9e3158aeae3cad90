//! `apollo-worker replay`.

use super::input::moment;
use super::output;
use crate::config::DatabaseConfig;
use crate::metrics::Metrics;
use crate::replay::{Progress, Replay};
use crate::store::raw::RawStore;
use crate::store::{self, schema};
use crate::summaries::Registry;
use crate::summaries::handler::{READING_LIMIT, RawNotifications, SummariesHandler};
use anyhow::ensure;
use apollo_shared::admin::Readiness;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;
use std::collections::BTreeSet;
use std::sync::Arc;
use time::OffsetDateTime;

/// What to replay.
#[derive(Debug, Args)]
pub(super) struct ReplayOptions {
    /// The first moment of arrival to replay: a day (2026-11-10, from midnight UTC) or a moment
    /// (2026-11-10T18:30:00Z)
    #[arg(long, value_parser = moment)]
    from: OffsetDateTime,
    /// The first moment that is no longer replayed [default: now]
    #[arg(long, value_parser = moment)]
    to: Option<OffsetDateTime>,
    /// Only summaries of this type, such as dailies; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = endpoint)]
    types: Vec<&'static Endpoint>,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
}

fn endpoint(name: &str) -> Result<&'static Endpoint, String> {
    let endpoint =
        Endpoint::of_path(name).filter(|endpoint| Registry::new().position(endpoint.key).is_some());
    endpoint.ok_or_else(|| {
        let keys: Vec<&str> =
            Registry::new().tables().iter().flat_map(|table| table.summary_type.keys()).collect();
        format!("no type of that name has a table; there are {}", keys.join(", "))
    })
}

/// Replays, with a progress bar, and says what came of it.
pub(super) async fn run(options: ReplayOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let to = options.to.unwrap_or_else(OffsetDateTime::now_utc);
    ensure!(options.from < to, "--from ({}) must be before --to ({to})", options.from);
    let connect_options = store::connect_options(&options.database.url)?;
    schema::check(&mut schema::connect(&connect_options).await?).await?;
    let pool = store::pool(connect_options, options.database.max_connections.get());
    let keyring = Arc::new(Keyring::new(&options.secrets)?);
    let metrics = Arc::new(Metrics::new()?);
    let keys: Vec<&str> = options.types.iter().map(|endpoint| endpoint.key).collect();
    let handler = SummariesHandler {
        registry: Arc::new(if keys.is_empty() { Registry::new() } else { Registry::of_keys(&keys) }),
        keyring: Arc::clone(&keyring),
        pool: pool.clone(),
        raw: Arc::new(RawStore::default()),
        raw_notifications: RawNotifications::Stored,
        reading_limit: READING_LIMIT,
        metrics: Arc::clone(&metrics),
        readiness: Readiness::default(),
    };
    let replay = Replay { from: options.from, to, pool, keyring, handler };

    let bar = output::bar(replay.count().await?, "notifications");
    let done = replay.run(&stop, |progress| bar.set_position(progress.notifications)).await;
    bar.finish_and_clear();
    report(&metrics);
    conclude(done?)
}

/// The ends of an entry that are told, in this order.
const OUTCOMES: [&str; 6] = ["created", "updated", "unchanged", "stale", "rejected", "withdrawn"];

/// One line a type: what became of its summaries.
fn report(metrics: &Metrics) {
    let counts = metrics.outcomes();
    let keys: BTreeSet<&str> = counts.keys().map(|(key, _)| key.as_str()).collect();
    for key in keys {
        let count = |outcome: &str| counts.get(&(key.to_owned(), outcome.to_owned())).copied().unwrap_or(0);
        let told = OUTCOMES.into_iter().map(|outcome| (outcome, count(outcome)));
        let told: Vec<String> = told
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| format!("{} {outcome}", HumanCount(count)))
            .collect();
        if !told.is_empty() {
            println!("{key}: {}", told.join(", "));
        }
    }
}

fn conclude(done: Progress) -> anyhow::Result<()> {
    println!("{} notifications replayed", HumanCount(done.notifications - done.unreadable));
    if done.rejected > 0 {
        let rejected = HumanCount(done.rejected);
        println!("entries not stored, as they became dead letters when they first came: {rejected}");
    }
    match done.first_unreadable {
        None => Ok(()),
        Some(first) => {
            let unreadable = HumanCount(done.unreadable);
            Err(anyhow::Error::new(first).context(format!("{unreadable} notifications could not be read")))
        }
    }
}
