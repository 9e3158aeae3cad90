//! Why RabbitMQ cannot be connected to, in words that say what to do.

use crate::tls;
use crate::topology::TopologyError;
use lapin::ErrorKind;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

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
        source: io::Error,
    },
}

/// A node could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The node refused or failed.
    #[error("RabbitMQ at {node} cannot be reached")]
    Failed {
        /// Host and port.
        node: String,
        /// Why.
        source: lapin::Error,
    },
    /// The node did not answer in time.
    #[error("RabbitMQ at {node} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// Host and port.
        node: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The node is not who it should be; it has been told nothing.
    #[error("RabbitMQ at {node} is not trusted: {reason} (RABBITMQ__CA_FILE adds authorities)")]
    Untrusted {
        /// Host and port.
        node: String,
        /// In plain words.
        reason: &'static str,
        /// In rustls' words.
        source: lapin::Error,
    },
    /// The address says amqps://, and the port speaks something else.
    #[error(
        "RabbitMQ at {node} does not speak TLS at this port: write amqps:// with its TLS port (5671 unless configured \
         otherwise)"
    )]
    NotTls {
        /// Host and port.
        node: String,
        /// Why.
        source: lapin::Error,
    },
    /// The address says amqp://, and the other side has ended the connection without a word, as a TLS port does.
    #[error(
        "RabbitMQ at {node} does not answer in AMQP: if this is its TLS port (often 5671), write amqps:// instead of amqp://"
    )]
    NotAmqp {
        /// Host and port.
        node: String,
        /// Why.
        source: lapin::Error,
    },
    /// The user is unknown, or the password is wrong.
    #[error("RabbitMQ at {node} refuses the user or the password of RABBITMQ__URL")]
    Login {
        /// Host and port.
        node: String,
        /// Why.
        source: lapin::Error,
    },
    /// It was reached, and has not what Apollo needs.
    #[error("RabbitMQ at {node} cannot be used yet")]
    Topology {
        /// Host and port.
        node: String,
        /// Why.
        source: TopologyError,
    },
}

impl ConnectError {
    /// What lapin's error means for whoever has written the address.
    pub(super) fn of(node: String, over_tls: bool, source: lapin::Error) -> Self {
        match source.kind() {
            ErrorKind::IOError(error) => match tls::distrust(error) {
                Some(reason) => Self::Untrusted { node, reason, source },
                None if tls::is_foreign(error) => Self::NotTls { node, source },
                None if !over_tls && error.kind() == io::ErrorKind::ConnectionAborted => {
                    Self::NotAmqp { node, source }
                }
                None => Self::Failed { node, source },
            },
            ErrorKind::ParsingError(_) => Self::NotAmqp { node, source },
            ErrorKind::ProtocolError(error) if error.get_id() == ACCESS_REFUSED => {
                Self::Login { node, source }
            }
            _ => Self::Failed { node, source },
        }
    }
}

/// AMQP's code for a refusal.
const ACCESS_REFUSED: u16 = 403;
