//! The receiver as an object: built, then run until it is told to stop.

use crate::budget::Budget;
use crate::config::{ConfigError, ReceiverConfig};
use crate::consent::{Consents, Outcomes, Subscription};
use crate::metrics::Metrics;
use crate::publish::{Publisher, Supervisor};
use crate::routes::router;
use crate::server;
use crate::spool::{Drain, Spool, SpoolOpenError};
use crate::token::PushTokens;
use apollo_shared::admin::{self, Readiness};
use apollo_shared::broker::{Broker, BrokerConfigError};
use apollo_shared::garmin::GarminConfigError;
use apollo_shared::metrics::Families;
use apollo_shared::secrets::{KeyError, Keyring};
use apollo_shared::telemetry::traces::{Tracing, TracingConfigError};
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests in flight may take to finish after the order to stop: as long as Garmin waits for an
/// answer.
const DRAIN: Duration = Duration::from_secs(30);

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) push_tokens: Option<PushTokens>,
    pub(crate) required_client_id: Option<String>,
    pub(crate) max_body_bytes: usize,
    pub(crate) split_bytes: usize,
    pub(crate) budget: Budget,
    pub(crate) publisher: Publisher,
    pub(crate) consents: Consents,
    /// Deliveries that go on when their request is gone; a stop waits for them.
    pub(crate) deliveries: TaskTracker,
    pub(crate) metrics: Metrics,
    pub(crate) tracing: Tracing,
    pub(crate) host: String,
}

/// What goes on beside the requests.
pub(crate) struct Background {
    supervisor: Supervisor,
    subscription: Subscription,
    spooling: Option<(Spool, Drain)>,
}

/// A receiver that is built and listens, but does not serve yet.
pub struct Receiver {
    public: TcpListener,
    admin: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
    edge: Arc<Edge>,
    background: Background,
    registry: Registry,
    readiness: Readiness,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A wrong setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A wrong setting for the broker.
    #[error(transparent)]
    Broker(#[from] BrokerConfigError),
    /// A wrong setting for Garmin.
    #[error(transparent)]
    Garmin(#[from] GarminConfigError),
    /// A wrong setting for the keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A wrong setting for traces.
    #[error(transparent)]
    Tracing(#[from] TracingConfigError),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolOpenError),
    /// It cannot listen.
    #[error("{variable}: cannot listen on {address}")]
    Listen {
        /// The variable that sets the address.
        variable: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A mistake of ours: a metric is declared twice.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl StartError {
    /// Whether a setting is to be mended, rather than the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::Broker(_) | Self::Garmin(_) | Self::Keys(_) | Self::Tracing(_) => true,
            Self::Spool(error) => error.is_usage(),
            Self::Listen { .. } | Self::Metrics(_) => false,
        }
    }
}

/// Why it ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The admin listener failed.
    #[error("the admin listener failed")]
    Admin(#[source] io::Error),
    /// A task without which the receiver is of no use has ended.
    #[error("the {0} has ended unexpectedly")]
    Ended(&'static str),
}

/// Every metric with its type, labels and meaning, as a Markdown table.
///
/// # Errors
/// None in practice: the names are constant and distinct.
pub fn metrics_table() -> prometheus::Result<String> {
    let mut families = Families::new(env!("CARGO_PKG_VERSION"), &Readiness::default())?;
    Metrics::register(&mut families)?;
    Ok(families.to_string())
}

impl Receiver {
    /// Checks the configuration and binds the listeners. The broker need not be there yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn build(config: ReceiverConfig) -> Result<Self, StartError> {
        config.check()?;
        let readiness = Readiness::default();
        let mut families = Families::new(env!("CARGO_PKG_VERSION"), &readiness)?;
        let (edge, background) = edge(&config, &mut families, readiness.clone())?;
        let registry = families.registry().clone();
        let (public, address) = listen("RECEIVER__LISTEN", config.listen).await?;
        let (admin, admin_address) = listen("RECEIVER__ADMIN_LISTEN", config.admin_listen).await?;
        let edge = Arc::new(edge);
        Ok(Self { public, admin, address, admin_address, edge, background, registry, readiness })
    }

    /// Where the public listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin listener is.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`, then finishes what is in flight, but for not longer than 30 s. The broker's
    /// connection and the admin listener are closed last.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        tracing::info!("listening on http://{}, admin on http://{}", self.address, self.admin_address);
        let end = CancellationToken::new();
        let tracing = self.edge.tracing.clone();
        let mut supervisor = tokio::spawn(self.background.supervisor.run(end.clone()));
        let mut subscription = tokio::spawn(self.background.subscription.run(end.clone()));
        let (spool, drain) = self.background.spooling.unzip();
        let mut drain = tokio::spawn(drained(drain, end.clone()));
        let (readiness, routes) = (self.readiness.clone(), axum::Router::new());
        let mut admin = tokio::spawn(admin::serve(self.admin, self.registry, readiness, routes, end.clone()));
        let outcome = tokio::select! {
            () = serve(self.public, self.edge, stop.clone()) => Ok(()),
            () = overdue(&stop, &self.readiness) => Ok(()),
            _ = &mut supervisor => return Err(RunError::Ended("supervisor of the broker's connection")),
            _ = &mut drain => return Err(RunError::Ended("emptying of the spool")),
            _ = &mut subscription => return Err(RunError::Ended("subscription to consents' outcomes")),
            ended = &mut admin => return Err(match ended {
                Ok(Err(error)) => RunError::Admin(error),
                Ok(Ok(())) | Err(_) => RunError::Ended("admin listener"),
            }),
        };
        end.cancel();
        // Each has its own short limit; how they ended is of no interest any more.
        let all = async {
            let _ = tokio::join!(supervisor, subscription, drain, admin);
            if let Some(spool) = spool {
                spool.close().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
        tracing.stop().await;
        tracing::info!("stopped");
        outcome
    }
}

/// Empties the spool, if there is one, until `end`.
async fn drained(drain: Option<Drain>, end: CancellationToken) {
    match drain {
        Some(drain) => drain.run(end).await,
        None => end.cancelled().await,
    }
}

/// Serves until `stop`, and returns when every request is answered and every delivery is done.
async fn serve(listener: TcpListener, edge: Arc<Edge>, stop: CancellationToken) {
    server::serve(listener, router(edge.clone()), stop).await;
    edge.deliveries.close();
    edge.deliveries.wait().await;
}

/// Returns when the stop has taken too long.
async fn overdue(stop: &CancellationToken, readiness: &Readiness) {
    stop.cancelled().await;
    readiness.not_ready("receiver", "stopping");
    tokio::time::sleep(DRAIN).await;
    tracing::warn!("some requests were not finished within {} s; Garmin sends them again", DRAIN.as_secs());
}

pub(crate) fn edge(
    config: &ReceiverConfig,
    families: &mut Families,
    readiness: Readiness,
) -> Result<(Edge, Background), StartError> {
    let metrics = Metrics::register(families)?;
    let broker = Broker::new(&config.broker, "apollo-receiver")?.declaring_only_what_is_missing();
    let budget = Budget::new(config.max_in_flight_bytes, metrics.in_flight.clone());
    let spool = spool(config, &metrics)?;
    let (publisher, supervisor) = Publisher::new(broker, spool.clone(), readiness, metrics.clone());
    let spooling = spool.map(|spool| (spool.clone(), Drain::new(spool, publisher.clone(), budget.clone())));
    // A connection of its own: while the broker blocks one that publishes, nothing is written on it.
    let broker = Broker::new(&config.broker, "apollo-receiver outcomes")?.declaring_only_what_is_missing();
    let outcomes = Arc::new(Outcomes::default());
    let subscription = Subscription::new(broker, outcomes.clone());
    let edge = Edge {
        push_tokens: config.push_tokens()?,
        required_client_id: config.required_client_id().map(str::to_owned),
        max_body_bytes: config.max_body_bytes,
        split_bytes: config.split_bytes,
        budget,
        publisher,
        consents: Consents::new(config, outcomes)?,
        deliveries: TaskTracker::new(),
        metrics,
        tracing: Tracing::start(&config.tracing, "apollo-receiver", env!("CARGO_PKG_VERSION"))?,
        host: host_name(),
    };
    Ok((edge, Background { supervisor, subscription, spooling }))
}

fn spool(config: &ReceiverConfig, metrics: &Metrics) -> Result<Option<Spool>, StartError> {
    if config.spool_max_bytes == 0 {
        return Ok(None);
    }
    let keyring = Arc::new(Keyring::new(&config.secrets)?);
    Ok(Some(Spool::open(&config.spool_dir, config.spool_max_bytes, keyring, metrics)?))
}

async fn listen(
    variable: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { variable, address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

/// Which of several receivers answers.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_config;
    use std::time::Instant;

    /// Ports of one's own choice for both listeners, and a broker where nobody listens.
    async fn config(listen: SocketAddr) -> ReceiverConfig {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        test_config(&[
            &format!("--receiver-listen={listen}"),
            "--receiver-admin-listen=127.0.0.1:0",
            &format!("--rabbitmq-url=amqp://guest:guest@{unused}/%2f"),
        ])
    }

    #[tokio::test]
    async fn it_starts_without_a_broker_says_so_and_stops_when_told() {
        let config = config(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let receiver = Receiver::build(config).await.unwrap();
        let (address, admin_address) = (receiver.address(), receiver.admin_address());
        let stop = CancellationToken::new();
        let running = tokio::spawn(receiver.run(stop.clone()));

        let reason = admin::check(admin_address).await.unwrap_err().to_string();
        assert!(reason.starts_with("broker: "), "{reason}");
        tokio::net::TcpStream::connect(address).await.unwrap();

        let stopped = Instant::now();
        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(stopped.elapsed() < DRAIN, "an idle receiver has nothing to wait for");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_its_variable() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(taken.local_addr().unwrap()).await;
        let error = Receiver::build(config).await.err().unwrap().to_string();
        assert!(error.starts_with("RECEIVER__LISTEN: "), "{error}");
    }

    #[tokio::test]
    async fn a_setting_that_cannot_work_is_named_and_told_from_a_failure() {
        for (arguments, variable) in [
            (["--garmin-consumer-key", "key"], "GARMIN__CONSUMER_SECRET"),
            (["--garmin-consumer-secret", "hush"], "GARMIN__CONSUMER_KEY"),
            (["--secrets-keys", "a:b"], "SECRETS__KEYS"),
            (["--rabbitmq-url", ""], "RABBITMQ__URL"),
            (["--receiver-split-bytes", "0"], "RECEIVER__SPLIT_BYTES"),
        ] {
            let error = Receiver::build(test_config(&arguments)).await.err().unwrap();
            assert!(error.is_usage() && error.to_string().starts_with(variable), "{error}");
        }
    }
}
