//! The worker as an object: built from its settings, then run until it is told to stop.

use crate::account::AccountHandler;
use crate::account::tokens::Tokens;
use crate::backfill;
use crate::config::{LaneConfig, ServedLane, WorkerConfig};
use crate::garmin::GarminClient;
use crate::lane::{Handler, InHand, LaneRunner, StuckError};
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::pull::PullHandler;
use crate::status::figures::LaneState;
use crate::status::{self, Observer, Own};
use crate::store::error::StoreError;
use crate::store::keys::{self, SealingKeyError};
use crate::store::raw::RawStore;
use crate::store::{self, DatabaseUrlError, callbacks, consents, schema};
use crate::summaries::Registry;
use crate::summaries::handler::{RawNotifications, SummariesHandler};
use crate::withdrawal::Withdrawal;
use apollo_shared::admin::{self, Readiness};
use apollo_shared::broker::{Broker, BrokerConfigError};
use apollo_shared::garmin::GarminConfigError;
use apollo_shared::secrets::{KeyError, Keyring};
use apollo_shared::telemetry::traces::{Tracing, TracingConfigError};
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the batches in hand may take after the order to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Pings that are handed out to each fetch beside the one in hand: few, as another worker may be free.
const FETCHES_AHEAD: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);

/// How often what has been kept for long enough is deleted, and the next day's partition is made.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Why the worker cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A wrong setting.
    #[error(transparent)]
    Database(#[from] DatabaseUrlError),
    /// A wrong setting.
    #[error(transparent)]
    Broker(#[from] BrokerConfigError),
    /// A wrong setting.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A wrong setting.
    #[error(transparent)]
    Garmin(#[from] GarminConfigError),
    /// A wrong setting.
    #[error(transparent)]
    Tracing(#[from] TracingConfigError),
    /// The admin listener's address is taken.
    #[error("WORKER__ADMIN_LISTEN: cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A mistake of ours.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Why it ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A key is missing.
    #[error(transparent)]
    Keys(#[from] SealingKeyError),
    /// The admin listener failed.
    #[error("the admin listener ended: {0:?}")]
    Admin(io::Result<()>),
    /// A lane's work does not end.
    #[error(transparent)]
    Stuck(#[from] StuckError),
    /// A task without which the worker is of no use has ended.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

impl BuildError {
    /// Whether the settings are to blame, rather than the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Database(_) | Self::Broker(_) | Self::Keys(_) | Self::Garmin(_) | Self::Tracing(_) => true,
            Self::Listen { .. } | Self::Metrics(_) => false,
        }
    }
}

/// A worker that listens for scrapes but does not work yet.
pub struct Worker {
    listener: TcpListener,
    address: SocketAddr,
    parts: Parts,
}

/// What its lanes are made of.
struct Parts {
    config: WorkerConfig,
    pool: PgPool,
    broker: Broker,
    keyring: Arc<Keyring>,
    garmin: Option<Arc<GarminClient>>,
    withdrawal: Arc<Withdrawal>,
    metrics: Arc<Metrics>,
    tracing: Tracing,
    readiness: Readiness,
    in_hand: InHand,
}

impl Worker {
    /// Checks the settings and binds the admin listener; connects to nothing yet, so neither RabbitMQ nor
    /// PostgreSQL need to be up.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(config: WorkerConfig) -> Result<Self, BuildError> {
        let options = store::connect_options(&config.database.url)?;
        let pool = store::pool(options, config.database.max_connections.get());
        let broker = Broker::new(&config.broker, "apollo-worker")?;
        let keyring = Arc::new(Keyring::new(&config.secrets)?);
        let address = config.admin.listen;
        let listening = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listening.await.map_err(|source| BuildError::Listen { address, source })?;
        let readiness = Readiness::default();
        readiness.not_ready("worker", "starting");
        let metrics = Arc::new(Metrics::of(&readiness)?);
        let garmin = GarminClient::new(&config.garmin, Arc::clone(&metrics))?.map(Arc::new);
        let registry = Arc::new(Registry::new());
        let withdrawal = Arc::new(Withdrawal::new(pool.clone(), Arc::clone(&keyring), registry)?);
        let tracing = Tracing::start(&config.tracing, "apollo-worker", env!("CARGO_PKG_VERSION"))?;
        let in_hand = InHand::default();
        let parts =
            Parts { config, pool, broker, keyring, garmin, withdrawal, metrics, tracing, readiness, in_hand };
        Ok(Self { listener, address, parts })
    }

    /// Where metrics, health and the status page are served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.address
    }

    /// Works until `stop`, then finishes what it has in hand within 30 s.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { listener, address, parts } = self;
        tracing::info!("worker {} started, admin listener on {address}", env!("CARGO_PKG_VERSION"));
        let registry = parts.metrics.registry.clone();
        let own = Arc::new(parts.own());
        let worker = status::Worker::Own(Arc::clone(&own));
        let routes = status::routes(Observer::new(worker, parts.pool.clone(), parts.broker.clone()));
        let admin =
            admin::serve(listener, registry, parts.readiness.clone(), routes, CancellationToken::new());
        tokio::select! {
            ended = admin => return Err(RunError::Admin(ended)),
            never = own.watch() => match never {},
            worked = parts.work(&stop) => worked?,
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), parts.pool.close()).await;
        parts.tracing.stop().await;
        tracing::info!("worker stopped");
        Ok(())
    }
}

impl Parts {
    /// Serves the lanes until `stop`, and returns when the batches in hand are finished or have taken too long.
    async fn work(&self, stop: &CancellationToken) -> Result<(), RunError> {
        if !self.check_keys(stop).await? {
            return Ok(());
        }
        let raw = Arc::new(RawStore::default());
        let mut lanes = self.lanes(&raw, stop);
        self.readiness.ready("worker");
        tokio::select! {
            () = self.housekeeping(&raw) => {
                return Err(RunError::Ended("the housekeeping"));
            }
            ended = lanes.join_next() => if !stop.is_cancelled() {
                if let Some(Ok(Err(stuck))) = ended {
                    return Err(stuck.into());
                }
                return Err(RunError::Ended("a lane"));
            },
            () = stop.cancelled() => {}
        }
        self.readiness.not_ready("worker", "stopping");
        let finish = async { while lanes.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            tracing::warn!(
                "not everything was finished within {} s; what is in hand comes again: {}",
                GRACE.as_secs(),
                self.in_hand
            );
        }
        Ok(())
    }

    /// A worker that lacks a key would sooner or later meet a secret that it cannot open. False if `stop` came first.
    async fn check_keys(&self, stop: &CancellationToken) -> Result<bool, SealingKeyError> {
        while schema::wait_until_ready(&self.pool, &self.readiness, stop).await {
            let check = async |connection: &mut _| keys::register_and_check(connection, &self.keyring).await;
            match store::ask(&self.pool, check).await {
                Err(SealingKeyError::Database(error)) => tracing::warn!("the keys: {}", with_causes(&error)),
                checked => return checked.map(|()| true),
            }
        }
        Ok(false)
    }

    fn lanes(&self, raw: &Arc<RawStore>, stop: &CancellationToken) -> JoinSet<Result<(), StuckError>> {
        let mut lanes = JoinSet::new();
        let serves = |lane| self.config.lanes.lanes.contains(&lane);
        if serves(ServedLane::Summaries) {
            lanes.spawn(self.lane(self.summaries(raw)).run(stop.clone()));
        }
        if serves(ServedLane::Account) {
            let accounts = self.accounts();
            lanes.spawn(keep_tokens_fresh(Arc::clone(&accounts.tokens), stop.clone()));
            lanes.spawn(self.lane(accounts).run(stop.clone()));
        }
        if serves(ServedLane::Pull) {
            match &self.garmin {
                Some(_) => {
                    lanes.spawn(ask_for_history(self.backfill(), stop.clone()));
                    lanes.spawn(self.pull_lane().run(stop.clone()))
                }
                None => lanes.spawn(leave_pings(stop.clone())),
            };
        }
        lanes
    }

    /// What the status page tells of this worker.
    fn own(&self) -> Own {
        let state = |lane| match lane {
            Lane::Pull if self.garmin.is_none() => LaneState::WithoutGarmin,
            _ => LaneState::Ready,
        };
        let served = self.config.lanes.lanes.iter().map(|lane| Lane::from(*lane));
        let served = served.map(|lane| (lane, state(lane)));
        Own::new(self.metrics.registry.clone(), self.readiness.clone(), self.in_hand.clone(), served)
    }

    fn summaries(&self, raw: &Arc<RawStore>) -> SummariesHandler {
        SummariesHandler {
            registry: Arc::new(Registry::new()),
            keyring: Arc::clone(&self.keyring),
            pool: self.pool.clone(),
            raw: Arc::clone(raw),
            raw_notifications: match self.config.raw_retention_days {
                0 => RawNotifications::NotKept,
                _ => RawNotifications::Kept,
            },
            reading_limit: Duration::from_secs(self.config.reading_seconds.get().into()),
            metrics: Arc::clone(&self.metrics),
            readiness: self.readiness.clone(),
        }
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::new(Tokens {
            pool: self.pool.clone(),
            keyring: Arc::clone(&self.keyring),
            garmin: self.garmin.clone(),
            metrics: Arc::clone(&self.metrics),
        })
    }

    fn accounts(&self) -> AccountHandler {
        AccountHandler {
            pool: self.pool.clone(),
            keyring: Arc::clone(&self.keyring),
            garmin: self.garmin.clone(),
            tokens: self.tokens(),
            withdrawal: Arc::clone(&self.withdrawal),
            backfill_days: self.config.backfill.days,
            metrics: Arc::clone(&self.metrics),
            readiness: self.readiness.clone(),
        }
    }

    fn backfill(&self) -> backfill::Runner {
        let pace = Arc::new(Pace::new(self.pool.clone(), self.config.pace.limits()));
        backfill::Runner { pool: self.pool.clone(), tokens: self.tokens(), pace }
    }

    /// Each fetch is a message of its own, acknowledged by itself: a slow one holds no other up.
    fn pull_lane(&self) -> LaneRunner<PullHandler> {
        let handler = PullHandler {
            pool: self.pool.clone(),
            registry: Arc::new(Registry::new()),
            tokens: self.tokens(),
            pace: Arc::new(Pace::new(self.pool.clone(), self.config.pace.limits())),
            hosts: self.config.pull.callback_hosts.clone(),
            large: Arc::new(Semaphore::new(1)),
            metrics: Arc::clone(&self.metrics),
            readiness: self.readiness.clone(),
        };
        let one_each = LaneConfig {
            concurrency: self.config.pull.fetches,
            prefetch: FETCHES_AHEAD,
            batch_messages: NonZeroUsize::MIN,
            ..self.config.lanes.clone()
        };
        LaneRunner { config: one_each, ..self.lane(handler) }
    }

    /// Makes tomorrow's partition today, and deletes what has been kept for long enough; every hour.
    async fn housekeeping(&self, raw: &RawStore) {
        let mut interval = tokio::time::interval(HOUSEKEEPING);
        loop {
            interval.tick().await;
            let consents = done("old consents", forget_consents(&self.pool).await);
            let callbacks = done("old callback URLs", forget_callbacks(&self.pool).await);
            if done("raw notifications", self.keep_raw(raw).await) && consents && callbacks {
                self.metrics.housekept(OffsetDateTime::now_utc());
            }
        }
    }

    async fn keep_raw(&self, raw: &RawStore) -> Result<(), StoreError> {
        let retention_days = self.config.raw_retention_days;
        let today = OffsetDateTime::now_utc().date();
        if let Some(tomorrow) = today.next_day().filter(|_| retention_days > 0) {
            raw.ensure_partitions(&self.pool, BTreeSet::from([tomorrow])).await?;
            self.metrics.raw_partitions_until(tomorrow.midnight().assume_utc() + time::Duration::DAY);
        }
        let oldest = today.saturating_sub(time::Duration::days(retention_days.into()));
        let dropped = raw.drop_before(&self.pool, oldest).await?;
        if !dropped.is_empty() {
            tracing::info!("dropped raw notifications older than {oldest}: {dropped:?}");
        }
        Ok(())
    }

    fn lane<H: Handler>(&self, handler: H) -> LaneRunner<H> {
        self.readiness.not_ready(handler.lane().name(), "connecting to RabbitMQ");
        LaneRunner {
            handler: Arc::new(handler),
            broker: self.broker.clone(),
            config: self.config.lanes.clone(),
            metrics: Arc::clone(&self.metrics),
            tracing: self.tracing.clone(),
            readiness: self.readiness.clone(),
            in_hand: self.in_hand.clone(),
        }
    }
}

/// Without a consumer there is no Garmin to renew a token at.
async fn keep_tokens_fresh(tokens: Arc<Tokens>, stop: CancellationToken) -> Result<(), StuckError> {
    match tokens.garmin {
        Some(_) => tokens.keep_fresh(&stop).await,
        None => stop.cancelled().await,
    }
    Ok(())
}

/// What is being asked for at the end is asked for to its end.
async fn ask_for_history(runner: backfill::Runner, stop: CancellationToken) -> Result<(), StuckError> {
    runner.run(&stop).await;
    Ok(())
}

/// Without a consumer there is no token to fetch with.
async fn leave_pings(stop: CancellationToken) -> Result<(), StuckError> {
    tracing::info!("GARMIN__CONSUMER_KEY is not set: pings wait in {}", Lane::Pull.queue());
    stop.cancelled().await;
    Ok(())
}

/// Whether a part of the housekeeping has succeeded; says so if not.
fn done(what: &str, outcome: Result<(), StoreError>) -> bool {
    if let Err(error) = &outcome {
        tracing::warn!("the housekeeping of {what} failed, next try in an hour: {}", with_causes(error));
    }
    outcome.is_ok()
}

async fn forget_callbacks(pool: &PgPool) -> Result<(), StoreError> {
    let oldest = OffsetDateTime::now_utc() - callbacks::KEPT;
    store::ask(pool, async |connection| callbacks::delete_before(connection, oldest).await).await?;
    Ok(())
}

async fn forget_consents(pool: &PgPool) -> Result<(), StoreError> {
    let oldest = OffsetDateTime::now_utc() - consents::KEPT;
    let deleted =
        store::ask(pool, async |connection| consents::delete_before(connection, oldest).await).await?;
    if deleted > 0 {
        tracing::info!("deleted {deleted} consents that began more than a day ago");
    }
    Ok(())
}
