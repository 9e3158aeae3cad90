//! A message as the spool keeps it: what must be known of it in the clear, its body compressed and sealed.

use crate::budget::Reservation;
use crate::publish::Message;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::secrets::{Keyring, OpenError};
use std::io;
use std::sync::Arc;
use uuid::Uuid;

/// zstd's fastest level but for the negative ones: who waits here has a request open.
const COMPRESSION_LEVEL: i32 = 1;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) message_id: Uuid,
    pub(super) routing_key: String,
    pub(super) endpoint: String,
    /// Microseconds since the Unix epoch.
    pub(super) received_at: i64,
    pub(super) traceparent: String,
    /// Of the body as it came.
    pub(super) bytes: usize,
    /// Compressed, then sealed for the message's id.
    pub(super) body: Vec<u8>,
}

/// A message in the spool that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DamagedError {
    #[error("it cannot be opened")]
    Sealed(#[from] OpenError),
    #[error("it cannot be decompressed")]
    Compressed(#[from] io::Error),
    #[error("its body is not UTF-8")]
    Text(#[from] std::string::FromUtf8Error),
    #[error("it cannot be read")]
    Disk(#[from] rusqlite::Error),
}

impl Record {
    pub(super) fn seal(message: &Message, keyring: &Keyring) -> io::Result<Self> {
        let Envelope { message_id, endpoint, received_at, traceparent, .. } = message.envelope.clone();
        let compressed = zstd::bulk::compress(message.body.as_bytes(), COMPRESSION_LEVEL)?;
        Ok(Self {
            message_id,
            routing_key: message.routing_key.clone(),
            endpoint,
            received_at: received_at.0,
            traceparent,
            bytes: message.body.len(),
            body: keyring.seal(&compressed, message_id.as_bytes()),
        })
    }

    /// The message, with the time of its first arrival.
    pub(super) fn open(self, keyring: &Keyring, room: Arc<Reservation>) -> Result<Message, DamagedError> {
        let compressed = keyring.open(&self.body, self.message_id.as_bytes())?;
        let body = zstd::bulk::decompress(&compressed, self.bytes)?;
        let arrival =
            Envelope::of_arrival(&self.endpoint, Microseconds(self.received_at), Some(&self.traceparent));
        Ok(Message {
            envelope: Envelope { message_id: self.message_id, ..arrival },
            routing_key: self.routing_key,
            body: String::from_utf8(body)?,
            _room: Some(room),
        })
    }
}
