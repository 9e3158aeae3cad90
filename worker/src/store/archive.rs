//! Stored notifications, read back.

use crate::message::Message;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::secrets::{Keyring, OpenError};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Notifications read at a time, and the bytes at which a page ends before that; a single larger one is a page.
const PAGE: i64 = 64;
const PAGE_BYTES: i64 = 4 << 20;

/// A notification as it is stored.
#[derive(Debug, sqlx::FromRow)]
pub struct Sealed {
    /// Its message's id.
    pub message_id: Uuid,
    received_at: OffsetDateTime,
    endpoint: String,
    body: Vec<u8>,
}

/// A stored notification that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableError {
    /// It cannot be opened.
    #[error("the notification {0} cannot be opened")]
    Sealed(Uuid, #[source] OpenError),
    /// It was opened, and is not what was compressed.
    #[error("the notification {0} cannot be decompressed")]
    Compressed(Uuid, #[source] std::io::Error),
}

impl Sealed {
    /// The message that it came in.
    ///
    /// # Errors
    /// See [`UnreadableError`].
    pub fn open(&self, keyring: &Keyring) -> Result<Message, UnreadableError> {
        let id = self.message_id;
        let compressed =
            keyring.open(&self.body, id.as_bytes()).map_err(|error| UnreadableError::Sealed(id, error))?;
        let body = zstd::decode_all(compressed.as_slice())
            .map_err(|error| UnreadableError::Compressed(id, error))?;
        let received_at = Microseconds((self.received_at.unix_timestamp_nanos() / 1000) as i64);
        let envelope = Envelope { message_id: id, ..Envelope::of_arrival(&self.endpoint, received_at, None) };
        let routing_key = match Endpoint::of_key(&self.endpoint) {
            Some(endpoint) => endpoint.routing_key(),
            None => format!("push.{}", self.endpoint),
        };
        Ok(Message { envelope, routing_key, body })
    }
}

/// How many notifications arrived from `from` until before `to`.
///
/// # Errors
/// PostgreSQL's.
pub async fn count(pool: &PgPool, from: OffsetDateTime, to: OffsetDateTime) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM garmin_raw.notification WHERE received_at >= $1 AND received_at < $2",
    )
    .bind(from)
    .bind(to)
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The notifications behind the one with the id `after`, in the order of ids, which is the order of the
/// primary key; at least one, if there is any.
///
/// # Errors
/// PostgreSQL's.
pub async fn page(
    pool: &PgPool,
    from: OffsetDateTime,
    to: OffsetDateTime,
    after: Uuid,
) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as(
        "SELECT message_id, received_at, endpoint, body
         FROM (
             SELECT next.*, sum(octet_length(body)) OVER (ORDER BY message_id) - octet_length(body) AS before
             FROM (
                 SELECT message_id, received_at, endpoint, body
                 FROM garmin_raw.notification
                 WHERE received_at >= $1 AND received_at < $2 AND message_id > $3
                 ORDER BY message_id
                 LIMIT $4
             ) AS next
         ) AS page
         WHERE before < $5
         ORDER BY message_id",
    )
    .bind(from)
    .bind(to)
    .bind(after)
    .bind(PAGE)
    .bind(PAGE_BYTES)
    .fetch_all(pool)
    .await
}
