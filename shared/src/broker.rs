//! Connecting to RabbitMQ.
//!
//! lapin's own recovery is left off: it is silent about what it does and hands out prefetched messages twice.
//! Whoever holds a connection rebuilds everything from the start when it is lost, so start and restart are
//! one path.

use crate::config::secret;
use crate::topology;
use clap::Args;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connect as _, Connection, ConnectionProperties};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::time::Duration;

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

/// The nodes to connect to.
#[derive(Clone)]
pub struct Broker {
    nodes: Vec<AMQPUri>,
    certificates: Option<String>,
    connection_name: &'static str,
}

/// A wrong setting; the message names its variable.
#[derive(Debug, thiserror::Error)]
pub enum BrokerConfigError {
    /// No address at all.
    #[error("RABBITMQ__URL is empty: set it to an address such as amqp://user:password@host:5672/%2f")]
    NoNode,
    /// Node `number`, from 1, is not an AMQP address. The address itself is a secret and is not repeated.
    #[error(
        "RABBITMQ__URL: address {number} of the list is not of the form amqp://user:password@host:5672/%2f"
    )]
    Node {
        /// Its place in the list, from 1.
        number: usize,
    },
    /// The file of certificates cannot be read.
    #[error("RABBITMQ__CA_FILE: {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// No node could be connected to; the error is that of the last one tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The node refused or failed.
    #[error("RabbitMQ at {node} cannot be reached")]
    Refused {
        /// Host and port.
        node: String,
        /// Why.
        source: lapin::Error,
    },
    /// The node did not answer in time.
    #[error("RabbitMQ at {node} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut {
        /// Host and port.
        node: String,
    },
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds. A peer that has been silent for twice this is taken for dead.
const HEARTBEAT: u16 = 10;

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
        Ok(Self { nodes, certificates, connection_name })
    }

    /// Connects to the first node that answers, and declares the topology there.
    ///
    /// # Errors
    /// No node answered, or the last one refused the declarations.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let mut outcome = self.connect_to(&self.nodes[0]).await;
        for uri in &self.nodes[1..] {
            if outcome.is_ok() {
                break;
            }
            outcome = self.connect_to(uri).await;
        }
        outcome
    }

    async fn connect_to(&self, uri: &AMQPUri) -> Result<Connection, ConnectError> {
        let node = format!("{}:{}", uri.authority.host, uri.authority.port);
        match tokio::time::timeout(CONNECT_TIMEOUT, self.open(uri)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(ConnectError::Refused { node, source }),
            Err(_) => Err(ConnectError::TimedOut { node }),
        }
    }

    async fn open(&self, uri: &AMQPUri) -> lapin::Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name(self.connection_name.into());
        let tls = OwnedTLSConfig { cert_chain: self.certificates.clone(), ..Default::default() };
        let runtime = lapin::runtime::default_runtime()?;
        let connection = uri.clone().connect_with_config(properties, tls, runtime).await?;
        topology::declare(&connection.create_channel().await?).await?;
        Ok(connection)
    }
}

fn node(address: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = address.parse().ok()?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Some(uri)
}

/// Closes a connection politely, but not for longer than a second: what matters has been confirmed before.
pub async fn close(connection: Connection) {
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.close(200, "stopping".into())).await;
}
