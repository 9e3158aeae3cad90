//! The worker's settings (design.md section 6).

use apollo_shared::broker::BrokerConfig;
use apollo_shared::config::secret;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::SecretsConfig;
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

/// The admin listener.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct AdminConfig {
    /// Where metrics and health are served; never public
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
        default_value = "summaries,account"
    )]
    pub lanes: Vec<ServedLane>,
    /// Batches stored at the same time, each over a connection of its own
    #[arg(
        long = "concurrency",
        env = "WORKER__CONCURRENCY",
        value_name = "WORKER__CONCURRENCY",
        default_value = "2"
    )]
    pub concurrency: NonZeroUsize,
    /// Messages that the broker hands out before any is acknowledged, for each of the batches stored at the same
    /// time; no less than a batch
    #[arg(
        long = "prefetch",
        env = "WORKER__PREFETCH",
        value_name = "WORKER__PREFETCH",
        default_value = "64"
    )]
    pub prefetch: NonZeroU16,
    /// Messages stored in one transaction at most
    #[arg(
        long = "batch-messages",
        env = "WORKER__BATCH_MESSAGES",
        value_name = "WORKER__BATCH_MESSAGES",
        default_value = "64"
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

/// A lane that this version serves. The messages of the others wait in their queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServedLane {
    /// Notifications with summaries.
    Summaries,
    /// Consents, deregistrations, permission changes, and the renewal of tokens.
    Account,
}

impl From<ServedLane> for Lane {
    fn from(lane: ServedLane) -> Self {
        match lane {
            ServedLane::Summaries => Self::Summaries,
            ServedLane::Account => Self::Account,
        }
    }
}
