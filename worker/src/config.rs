//! The worker's settings (design.md section 6).

use crate::pace::Limits;
use crate::pull::callback_url::CallbackHost;
use apollo_shared::broker::BrokerConfig;
use apollo_shared::config::secret;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::SecretsConfig;
use apollo_shared::telemetry::traces::TracingConfig;
use apollo_shared::topology::Lane;
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};

/// Where PostgreSQL is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct DatabaseConfig {
    /// Its address; `?sslmode=verify-full&sslrootcert=FILE` for TLS
    #[arg(
        id = "database_url",
        long = "database-url",
        env = "DATABASE__URL",
        value_name = "DATABASE__URL",
        default_value = "postgres://postgres@127.0.0.1:5432/apollo",
        value_parser = secret,
        hide_env_values = true
    )]
    pub url: SecretString,
    /// Connections at most
    #[arg(
        long = "database-max-connections",
        env = "DATABASE__MAX_CONNECTIONS",
        value_name = "DATABASE__MAX_CONNECTIONS",
        default_value = "8"
    )]
    pub max_connections: NonZeroU32,
}

/// The settings of `apollo-worker serve`.
#[derive(Debug, Clone, Args)]
pub struct WorkerConfig {
    /// Where PostgreSQL is.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Where RabbitMQ is.
    #[command(flatten)]
    pub broker: BrokerConfig,
    /// The keys to seal with.
    #[command(flatten)]
    pub secrets: SecretsConfig,
    /// Where Garmin is.
    #[command(flatten)]
    pub garmin: GarminConfig,
    /// How fast Garmin is asked.
    #[command(flatten)]
    pub pace: PaceConfig,
    /// What history is asked for by itself.
    #[command(flatten)]
    pub backfill: BackfillConfig,
    /// What pings may have fetched.
    #[command(flatten)]
    pub pull: PullConfig,
    /// Where spans go.
    #[command(flatten)]
    pub tracing: TracingConfig,
    /// The admin listener.
    #[command(flatten)]
    pub admin: AdminConfig,
    /// How lanes consume.
    #[command(flatten)]
    pub lanes: LaneConfig,
    /// Days that notifications are kept as received, in garmin_raw; 0 keeps none
    #[arg(
        long = "raw-retention-days",
        env = "WORKER__RAW_RETENTION_DAYS",
        value_name = "WORKER__RAW_RETENTION_DAYS",
        default_value_t = 30,
        help_heading = "Worker"
    )]
    pub raw_retention_days: u16,
    /// Seconds that reading the messages of a batch may take; then the program ends with exit code 1, to be started
    /// again, and a message that makes it do so over and over goes to apollo.dead
    #[arg(
        long = "reading-seconds",
        env = "WORKER__READING_SECONDS",
        value_name = "WORKER__READING_SECONDS",
        default_value = "60",
        help_heading = "Worker"
    )]
    pub reading_seconds: NonZeroU16,
}

/// What pings may have fetched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Garmin")]
pub struct PullConfig {
    /// The hosts that the callback URL of a ping may name, separated by commas, each with a port if it is not 443. No
    /// other is ever asked, and none but over https: pings are not signed, and a user's token goes with each request
    #[arg(
        id = "garmin_callback_hosts",
        long = "garmin-callback-hosts",
        env = "GARMIN__CALLBACK_HOSTS",
        value_name = "GARMIN__CALLBACK_HOSTS",
        value_delimiter = ',',
        default_value = "apis.garmin.com"
    )]
    pub callback_hosts: Vec<CallbackHost>,
    /// Callback URLs fetched at the same time
    #[arg(
        long = "fetches",
        env = "WORKER__FETCHES",
        value_name = "WORKER__FETCHES",
        default_value = "8",
        help_heading = "Worker"
    )]
    pub fetches: NonZeroUsize,
}

/// How fast Garmin is asked for data, by all workers of a database together.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Garmin")]
pub struct PaceConfig {
    /// The kind of the app's key, by which Garmin limits it: an evaluation key may ask for 100 days of history a minute,
    /// a production key for 10,000; how many requests in all each may make is not confirmed
    #[arg(
        id = "garmin_key_kind",
        long = "garmin-key-kind",
        env = "GARMIN__KEY_KIND",
        value_name = "GARMIN__KEY_KIND",
        default_value = "evaluation"
    )]
    pub key_kind: KeyKind,
    /// Requests for data a minute at most, of all kinds together: 6000 with a production key
    #[arg(
        long = "garmin-requests-per-minute",
        env = "GARMIN__REQUESTS_PER_MINUTE",
        value_name = "GARMIN__REQUESTS_PER_MINUTE",
        default_value = "200",
        default_value_if("garmin_key_kind", "production", "6000")
    )]
    pub requests_per_minute: NonZeroU32,
    /// Days of history asked for in a minute at most: 10000 with a production key
    #[arg(
        long = "garmin-backfill-days-per-minute",
        env = "GARMIN__BACKFILL_DAYS_PER_MINUTE",
        value_name = "GARMIN__BACKFILL_DAYS_PER_MINUTE",
        default_value = "100",
        default_value_if("garmin_key_kind", "production", "10000")
    )]
    pub backfill_days_per_minute: NonZeroU32,
}

impl PaceConfig {
    /// What Garmin allows in a minute.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute,
            backfill_days_per_minute: self.backfill_days_per_minute,
        }
    }
}

/// The kinds of keys that Garmin gives to apps (garmin-health-api.md 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// For trying out: what every app begins with.
    Evaluation,
    /// For studies: after Garmin's review.
    Production,
}

/// What history is asked for by itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Garmin")]
pub struct BackfillConfig {
    /// Days of history to ask for of each new participant, from their consent back, if they permit it
    /// (HISTORICAL_DATA_EXPORT, which is off by default on Garmin's page); 0 for none
    #[arg(
        long = "garmin-backfill-days",
        env = "GARMIN__BACKFILL_DAYS",
        value_name = "GARMIN__BACKFILL_DAYS",
        default_value_t = 0
    )]
    pub days: u16,
}

/// The admin listener.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct AdminConfig {
    /// Where metrics, health and the status page are served; never public
    #[arg(
        long = "admin-listen",
        env = "WORKER__ADMIN_LISTEN",
        value_name = "WORKER__ADMIN_LISTEN",
        default_value = "127.0.0.1:8002"
    )]
    pub listen: SocketAddr,
}

/// How lanes consume.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct LaneConfig {
    /// The lanes that this worker serves, separated by commas
    #[arg(
        long = "lanes",
        env = "WORKER__LANES",
        value_name = "WORKER__LANES",
        value_delimiter = ',',
        default_value = "summaries,account,pull"
    )]
    pub lanes: Vec<ServedLane>,
    /// Batches stored at the same time, each over a connection of its own
    #[arg(
        long = "concurrency",
        env = "WORKER__CONCURRENCY",
        value_name = "WORKER__CONCURRENCY",
        default_value = "4"
    )]
    pub concurrency: NonZeroUsize,
    /// Messages that the broker hands out before any is acknowledged, for each of the batches stored at the same
    /// time; no less than a batch
    #[arg(
        long = "prefetch",
        env = "WORKER__PREFETCH",
        value_name = "WORKER__PREFETCH",
        default_value = "128"
    )]
    pub prefetch: NonZeroU16,
    /// Messages stored in one transaction at most
    #[arg(
        long = "batch-messages",
        env = "WORKER__BATCH_MESSAGES",
        value_name = "WORKER__BATCH_MESSAGES",
        default_value = "128"
    )]
    pub batch_messages: NonZeroUsize,
    /// Milliseconds that a batch waits for more messages after its first
    #[arg(
        long = "batch-wait-ms",
        env = "WORKER__BATCH_WAIT_MS",
        value_name = "WORKER__BATCH_WAIT_MS",
        default_value_t = 10
    )]
    pub batch_wait_ms: u64,
}

/// A lane. The messages of those that no worker serves wait in their queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServedLane {
    /// Notifications with summaries.
    Summaries,
    /// Consents, deregistrations, permission changes, and the renewal of tokens.
    Account,
    /// What pings announce is fetched from Garmin, and history is asked for; only with GARMIN__CONSUMER_KEY.
    Pull,
}

impl From<ServedLane> for Lane {
    fn from(lane: ServedLane) -> Self {
        match lane {
            ServedLane::Summaries => Self::Summaries,
            ServedLane::Account => Self::Account,
            ServedLane::Pull => Self::Pull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        pace: PaceConfig,
    }

    #[test]
    fn the_kind_of_the_key_sets_the_limits_unless_they_are_set_themselves() {
        let limits = |arguments: &[&str]| {
            let limits = Arguments::parse_from([&["worker"], arguments].concat()).pace.limits();
            (limits.requests_per_minute.get(), limits.backfill_days_per_minute.get())
        };
        assert_eq!(limits(&[]), (200, 100));
        assert_eq!(limits(&["--garmin-key-kind", "production"]), (6_000, 10_000));
        let both = ["--garmin-key-kind", "production", "--garmin-backfill-days-per-minute", "500"];
        assert_eq!(limits(&both), (6_000, 500));
    }
}
