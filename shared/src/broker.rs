//! Connecting to RabbitMQ.
//!
//! lapin's own recovery is left off: it is silent about what it does and hands out prefetched messages twice.
//! Whoever holds a connection rebuilds everything from the start when it is lost, so start and restart are
//! one path.

mod error;
mod socket;

use crate::config::secret;
use crate::telemetry::with_causes;
use crate::topology::{self, TopologyError};
use clap::Args;
pub use error::{BrokerConfigError, ConnectError, Refusal};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ConnectionState, ConnectionStatus, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Where RabbitMQ is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "RabbitMQ")]
pub struct BrokerConfig {
    /// Its address, with user, password and virtual host; several nodes of a cluster separated by commas,
    /// amqps:// for TLS
    #[arg(
        id = "rabbitmq_url",
        long = "rabbitmq-url",
        env = "RABBITMQ__URL",
        value_name = "RABBITMQ__URL",
        default_value = "amqp://guest:guest@127.0.0.1:5672/%2f",
        value_parser = secret,
        hide_env_values = true
    )]
    pub url: SecretString,
    /// A file with the certificates (PEM) of the authorities that signed its certificate, beside the
    /// system's own
    #[arg(
        id = "rabbitmq_ca_file",
        long = "rabbitmq-ca-file",
        env = "RABBITMQ__CA_FILE",
        value_name = "RABBITMQ__CA_FILE"
    )]
    pub ca_file: Option<PathBuf>,
}

/// The nodes to connect to. Clones know of each other's failures.
#[derive(Clone)]
pub struct Broker {
    nodes: Vec<AMQPUri>,
    /// The node to try first.
    first: Arc<AtomicUsize>,
    certificates: Option<String>,
    connection_name: &'static str,
    declares: bool,
}

/// For AMQP's handshake, and what comes before it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For the declarations, which take a cluster that recovers a while.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds. A peer that has been silent for twice this is taken for dead.
const HEARTBEAT: u16 = 10;

/// How often it is looked whether a connection is lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes. lapin holds buffers for 64 frames a connection: a quarter of RabbitMQ's own limit saves 6 MiB of 8, and
/// costs nothing that could be measured.
const FRAME_MAX: u32 = 32 * 1024;

impl Broker {
    /// Checks the settings; connects to nothing yet. `connection_name` is what RabbitMQ's pages show.
    ///
    /// # Errors
    /// See [`BrokerConfigError`].
    pub fn new(config: &BrokerConfig, connection_name: &'static str) -> Result<Self, BrokerConfigError> {
        let nodes = config
            .url
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .enumerate()
            .map(|(index, address)| node(address).ok_or(BrokerConfigError::Node { number: index + 1 }))
            .collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(BrokerConfigError::NoNode);
        }
        let certificates = match &config.ca_file {
            Some(path) if !path.as_os_str().is_empty() => Some(
                std::fs::read_to_string(path)
                    .map_err(|source| BrokerConfigError::CaFile { path: path.clone(), source })?,
            ),
            _ => None,
        };
        let first = Arc::new(AtomicUsize::new(fastrand::usize(..nodes.len())));
        Ok(Self { nodes, first, certificates, connection_name, declares: true })
    }

    /// Leaves the topology to others where it is there already, which needs no right to declare it.
    #[must_use]
    pub fn declaring_only_what_is_missing(self) -> Self {
        Self { declares: false, ..self }
    }

    /// Connects to a node that answers, and sees to it that the topology is there.
    ///
    /// It begins with a node chosen at random, so that many programs spread over a cluster, and stays with one that
    /// works: a node that hangs costs its time-out once, and not at each attempt.
    ///
    /// # Errors
    /// No node answered as it should; the error is that of the last one tried.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let mut place = self.first.load(Ordering::Relaxed);
        for _ in 1..self.nodes.len() {
            match self.connect_to(&self.nodes[place]).await {
                Ok(connection) => return Ok(connection),
                Err(error) => tracing::warn!("{}; trying the next node", with_causes(&error)),
            }
            place = self.turn_away_from(place);
        }
        let outcome = self.connect_to(&self.nodes[place]).await;
        if outcome.is_err() {
            self.turn_away_from(place);
        }
        outcome
    }

    /// Returns the place of the node after the one at `failed`, from where the next attempt starts too.
    fn turn_away_from(&self, failed: usize) -> usize {
        let next = (failed + 1) % self.nodes.len();
        self.first.store(next, Ordering::Relaxed);
        next
    }

    async fn connect_to(&self, uri: &AMQPUri) -> Result<Connection, ConnectError> {
        self.attempt(uri).await.map_err(|reason| {
            let node = format!("{}:{}", uri.authority.host, uri.authority.port);
            ConnectError { node, reason }
        })
    }

    async fn attempt(&self, uri: &AMQPUri) -> Result<Connection, Refusal> {
        let connection = timeout(CONNECT_TIMEOUT, self.open(uri))
            .await
            .map_err(|_| Refusal::TimedOut(CONNECT_TIMEOUT))?
            .map_err(|source| Refusal::of(source, uri.scheme == AMQPScheme::AMQPS))?;
        timeout(DECLARE_TIMEOUT, self.prepare(&connection))
            .await
            .map_err(|_| Refusal::TimedOut(DECLARE_TIMEOUT))?
            .map_err(Refusal::Topology)?;
        Ok(connection)
    }

    async fn open(&self, uri: &AMQPUri) -> lapin::Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name(self.connection_name.into());
        let tls = OwnedTLSConfig { cert_chain: self.certificates.clone(), ..Default::default() };
        socket::connect(uri, tls, properties).await
    }

    async fn prepare(&self, connection: &Connection) -> Result<(), TopologyError> {
        match self.declares {
            true => topology::declare(connection).await,
            false => topology::declare_if_missing(connection).await,
        }
    }
}

fn node(address: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = address.parse().ok()?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    uri.query.frame_max.get_or_insert(FRAME_MAX);
    Some(uri)
}

/// Opens a channel.
///
/// # Errors
/// The connection is lost, or the broker refuses.
pub async fn open_channel(connection: &Connection) -> lapin::Result<Channel> {
    tokio::select! {
        channel = connection.create_channel() => channel,
        () = lost(connection.status()) => Err(ErrorKind::InvalidConnectionState(ConnectionState::Error).into()),
    }
}

/// Returns when a connection is lost, or closed: it is looked at every second.
///
/// To be awaited beside every acknowledgement: lapin hands these to a task, as it does the wish for a channel, and what
/// comes as that task ends is neither done nor refused; whoever waits for it waits for ever.
pub async fn lost(connection: &ConnectionStatus) {
    while connection.connected() {
        sleep(LOOK_EVERY).await;
    }
}

/// Closes a connection politely, but not for longer than a second: what matters has been confirmed before.
pub async fn close(connection: Connection) {
    let _ = timeout(Duration::from_secs(1), connection.close(200, "stopping".into())).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn broker(url: &str) -> Result<Broker, BrokerConfigError> {
        Broker::new(&BrokerConfig { url: url.into(), ca_file: None }, "test")
    }

    #[test]
    fn programs_begin_with_different_nodes_and_go_round_all_of_them() {
        let url = "amqp://u:p@a/%2f, amqps://u:p@b:5679/v ,amqp://u:p@c";
        let starts = (0..200).map(|_| broker(url).unwrap().first.load(Ordering::Relaxed));
        assert_eq!(starts.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));

        let broker = broker(url).unwrap();
        let round = (0..3).scan(0, |place, _| {
            *place = broker.turn_away_from(*place);
            Some(*place)
        });
        assert_eq!(round.collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn a_wrong_address_is_counted_and_not_repeated() {
        let error = broker("amqp://u:p@a,amqp//hush").err().unwrap().to_string();
        assert!(error.contains("RABBITMQ__URL: address 2") && !error.contains("hush"), "{error}");
        assert!(matches!(broker(" , "), Err(BrokerConfigError::NoNode)));
    }

    #[test]
    fn heartbeats_are_asked_for_unless_the_address_says_otherwise() {
        let heartbeat = |url| broker(url).unwrap().nodes[0].query.heartbeat;
        assert_eq!(heartbeat("amqp://u:p@a"), Some(HEARTBEAT));
        assert_eq!(heartbeat("amqp://u:p@a?heartbeat=2"), Some(2));
    }
}
