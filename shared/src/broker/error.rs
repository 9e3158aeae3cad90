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
#[error("RabbitMQ at {node}")]
pub struct ConnectError {
    /// Host and port.
    pub node: String,
    /// Why.
    #[source]
    pub reason: Refusal,
}

/// Why a node could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The node refused or failed.
    #[error("it cannot be reached")]
    Failed(#[source] lapin::Error),
    /// The node did not answer in this time.
    #[error("it did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The node is not who it should be; it has been told nothing.
    #[error("it is not trusted: {reason} (RABBITMQ__CA_FILE adds authorities)")]
    Untrusted {
        /// In plain words.
        reason: &'static str,
        /// In rustls' words.
        source: lapin::Error,
    },
    /// The address says amqps://, and the port speaks something else.
    #[error(
        "it does not speak TLS at this port: write amqps:// with its TLS port (5671 unless configured otherwise)"
    )]
    NotTls(#[source] lapin::Error),
    /// The address says amqp://, and the other side has ended the connection without a word, as a TLS port does.
    #[error(
        "it ended the connection before a word of AMQP: if this is its TLS port (often 5671), write amqps:// instead of amqp://"
    )]
    NotAmqp(#[source] lapin::Error),
    /// The user is unknown, or the password is wrong.
    #[error("it refuses the user or the password of RABBITMQ__URL")]
    Login(#[source] lapin::Error),
    /// It was reached, and has not what Apollo needs.
    #[error("it cannot be used yet")]
    Topology(#[source] TopologyError),
}

impl Refusal {
    /// What lapin's error means for whoever has written the address.
    pub(super) fn of(source: lapin::Error, over_tls: bool) -> Self {
        match source.kind() {
            ErrorKind::IOError(error) => match tls::distrust(error) {
                Some(reason) => Self::Untrusted { reason, source },
                None if tls::is_foreign(error) => Self::NotTls(source),
                None if !over_tls && error.kind() == io::ErrorKind::ConnectionAborted => {
                    Self::NotAmqp(source)
                }
                None => Self::Failed(source),
            },
            ErrorKind::ParsingError(_) => Self::NotAmqp(source),
            ErrorKind::ProtocolError(error) if error.get_id() == ACCESS_REFUSED => Self::Login(source),
            _ => Self::Failed(source),
        }
    }
}

/// AMQP's code for a refusal.
const ACCESS_REFUSED: u16 = 403;
