//! `apollo-worker pull`.

use super::{database, output, subjects};
use crate::account::AccountError;
use crate::account::tokens::Tokens;
use crate::cli::input::moment;
use crate::config::{DatabaseConfig, PaceConfig};
use crate::garmin::{GarminClient, GarminError};
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::pull::by_time::{Puller, Range, UploadRange, cut};
use crate::store;
use anyhow::{Context as _, ensure};
use apollo_shared::broker::{self, Broker, BrokerConfig};
use apollo_shared::config::secret;
use apollo_shared::consent::SubjectId;
use apollo_shared::endpoint::{ENDPOINTS, Endpoint};
use apollo_shared::garmin::GarminConfig;
use apollo_shared::publish::publish;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use apollo_shared::topology::{self, Lane};
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Connections to the database: one to look for tokens, one to ask for a grant meanwhile.
const CONNECTIONS: u32 = 2;

/// Attempts at a range while Garmin is away; the pauses between them are those of all workers.
const ATTEMPTS: u32 = 5;

/// What is pulled without a ping: everything but files, which Garmin only announces.
fn kinds() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|endpoint| endpoint.lane == Lane::Summaries && endpoint.key != "activityFiles")
}

/// A type, by its key or by Garmin's name in paths.
fn kind(name: &str) -> Result<&'static Endpoint, String> {
    let known = Endpoint::of_path(name).filter(|found| kinds().any(|kind| kind == *found));
    known.ok_or_else(|| {
        let keys: Vec<&str> = kinds().map(|kind| kind.key).collect();
        format!("no type that can be pulled; these can: {}", keys.join(", "))
    })
}

/// What to pull.
#[derive(Debug, Args)]
#[command(after_help = "\
For developers: in its portal Garmin hands out pull tokens, with which an app may ask for what devices have uploaded without \
having been sent a ping. What comes is published like any notification and stored by the workers. Versions are ordered by \
the time of upload, so nothing newer is overwritten, and pulling twice does no harm.

The times are those of the upload, not of the measurement. Garmin takes a day at a time, so longer ranges are cut. Pulling \
instead of waiting for pings is for tests; for the history of participants there is `apollo-worker backfill`.

Example:
  GARMIN__PULL_TOKEN=… apollo-worker pull --subject P-17 --type dailies --from 2026-11-20 --to 2026-11-21")]
pub(super) struct PullOptions {
    /// The study's name for the participant
    #[arg(long, value_parser = SubjectId::parse)]
    subject: SubjectId,
    /// What, such as dailies; may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = kind, required = true)]
    types: Vec<&'static Endpoint>,
    /// Uploaded since this day (2026-11-10, from midnight UTC) or moment (2026-11-10T18:30:00Z)
    #[arg(long, value_parser = moment)]
    from: OffsetDateTime,
    /// Uploaded before this day or moment [default: now]
    #[arg(long, value_parser = moment)]
    to: Option<OffsetDateTime>,
    /// The pull token of Garmin's portal
    #[arg(
        long = "garmin-pull-token",
        env = "GARMIN__PULL_TOKEN",
        value_name = "GARMIN__PULL_TOKEN",
        value_parser = secret,
        hide_env_values = true
    )]
    pull_token: Option<SecretString>,
    #[command(flatten)]
    pace: PaceConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    broker: BrokerConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(flatten)]
    garmin: GarminConfig,
}

/// Pulls, with a progress bar, and says what came of it.
pub(super) async fn run(options: PullOptions) -> anyhow::Result<()> {
    let until = options.to.unwrap_or_else(OffsetDateTime::now_utc).truncate_to_second();
    let range = UploadRange { after: options.from.truncate_to_second(), until };
    ensure!(range.after < range.until, "--from must be before --to");
    let stop = shutdown::on_signal()?;
    let keyring = Arc::new(Keyring::new(&options.secrets)?);
    let user_id = {
        let mut connection = database::connect_to_seal(&options.database, &keyring).await?;
        subjects::find(&mut connection, &options.subject).await?.user_id
    };
    let pool = store::pool(store::connect_options(&options.database.url)?, CONNECTIONS);
    let metrics = Arc::new(Metrics::new()?);
    let garmin =
        GarminClient::new(&options.garmin, Arc::clone(&metrics))?.ok_or(AccountError::NotConfigured)?;
    let tokens = Tokens { pool: pool.clone(), keyring, garmin: Some(Arc::new(garmin)), metrics };
    let pace = Pace::new(pool, options.pace.limits());
    let puller = Puller { tokens, pace, pull_token: options.pull_token };

    let connection = Broker::new(&options.broker, "apollo-worker pull")?.connect().await?;
    let channel = broker::open_channel(&connection).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let ranges: Vec<UploadRange> = cut(range).collect();
    let bar = output::bar((ranges.len() * options.types.len()) as u64, "ranges");
    let pulling = Pulling { puller, channel, user_id, bar, stop };
    let summaries = pulling.pull_all(&options.types, &ranges).await;
    pulling.bar.finish_and_clear();
    broker::close(connection).await;
    println!("{} summaries pulled; the workers store them", HumanCount(summaries?));
    Ok(())
}

struct Pulling {
    puller: Puller,
    channel: Channel,
    user_id: String,
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Pulling {
    async fn pull_all(&self, types: &[&'static Endpoint], ranges: &[UploadRange]) -> anyhow::Result<u64> {
        let mut summaries = 0;
        for endpoint in types {
            for range in ranges {
                ensure!(
                    !self.stop.is_cancelled(),
                    "stopped; what was pulled is stored, and may be pulled again"
                );
                let what = || format!("{} from {} to {}", endpoint.key, range.after, range.until);
                let pulled = self.pull(endpoint, *range).await.with_context(what)?;
                summaries += u64::from(pulled.summaries);
                self.publish(pulled).await?;
                self.bar.inc(1);
            }
        }
        Ok(summaries)
    }

    /// Pulls a range, patiently.
    async fn pull(&self, endpoint: &'static Endpoint, range: UploadRange) -> Result<Range, AccountError> {
        let mut attempt = 1;
        loop {
            let error = match self.puller.pull(&self.user_id, endpoint, range, &self.stop).await {
                Err(error) => error,
                pulled => return pulled,
            };
            let wait = match error {
                AccountError::Paused(wait) => wait,
                AccountError::Garmin(GarminError::Unavailable { .. } | GarminError::RateLimited { .. })
                    if attempt < ATTEMPTS =>
                {
                    attempt += 1;
                    Duration::ZERO
                }
                error => return Err(error),
            };
            if self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Err(AccountError::Paused(wait));
            }
        }
    }

    async fn publish(&self, pulled: Range) -> anyhow::Result<()> {
        for notification in pulled.notifications {
            let (_, routing_key) = notification.address();
            let properties = notification.properties(Lane::Pull);
            publish(&self.channel, topology::EXCHANGE, routing_key, properties, &notification.body).await?;
        }
        Ok(())
    }
}
