//! Stored notifications, read back and changed.
//!
//! What changes one names the body that it was made from, and changes nothing if another has been put in its place
//! meanwhile: removing a user's entries and sealing with another key can go on beside each other.

use super::raw::{RawNotification, noted};
use super::removal::Span;
use crate::message::Message;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::secrets::{Keyring, OpenError};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool};
use std::collections::BTreeSet;
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
    let sql = page_where("received_at >= $2 AND received_at < $3");
    sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(from).bind(to).fetch_all(pool).await
}

/// A page of notifications that meet `condition`, whose first parameter is `$2`.
fn page_where(condition: &str) -> String {
    format!(
        "SELECT message_id, received_at, endpoint, body
         FROM (
             SELECT next.*, sum(octet_length(body)) OVER (ORDER BY message_id) - octet_length(body) AS before
             FROM (
                 SELECT message_id, received_at, endpoint, body
                 FROM garmin_raw.notification
                 WHERE message_id > $1 AND {condition}
                 ORDER BY message_id
                 LIMIT {PAGE}
             ) AS next
         ) AS page
         WHERE before < {PAGE_BYTES}
         ORDER BY message_id"
    )
}

const OF_USER_IN_SPAN: &str = "user_ids @> ARRAY[$2::text] \
     AND (received_at > coalesce($3, '-infinity') AND received_at < coalesce($4, 'infinity')) = $5";

/// How many notifications hold entries of a user and were received in `span`.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn count_of_user(pool: &PgPool, user_id: &str, span: &Span) -> sqlx::Result<u64> {
    let sql =
        format!("SELECT count(*) FROM garmin_raw.notification WHERE message_id > $1 AND {OF_USER_IN_SPAN}");
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(Uuid::nil())
        .bind(user_id)
        .bind(span.after)
        .bind(span.before)
        .bind(true)
        .fetch_one(pool)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The next of a user's notifications that were received in `span`, or of those that were not.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn page_of_user(
    executor: impl PgExecutor<'_>,
    user_id: &str,
    span: &Span,
    inside: bool,
    after: Uuid,
) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as(AssertSqlSafe(page_where(OF_USER_IN_SPAN)))
        .bind(after)
        .bind(user_id)
        .bind(span.after)
        .bind(span.before)
        .bind(inside)
        .fetch_all(executor)
        .await
}

/// How many notifications there are whose users are still to be noted.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn count_not_noted(pool: &PgPool) -> sqlx::Result<u64> {
    let sql = "SELECT count(*) FROM garmin_raw.notification WHERE user_ids IS NULL";
    Ok(u64::try_from(sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await?).unwrap_or(0))
}

/// The next of those.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn page_not_noted(pool: &PgPool, after: Uuid) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as(AssertSqlSafe(page_where("user_ids IS NULL"))).bind(after).fetch_all(pool).await
}

impl Sealed {
    /// Notes whose entries it holds.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn note(&self, pool: &PgPool, user_ids: &BTreeSet<String>) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE garmin_raw.notification SET user_ids = $3
             WHERE message_id = $1 AND received_at = $2 AND user_ids IS NULL",
        )
        .bind(self.message_id)
        .bind(self.received_at)
        .bind(noted(user_ids))
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Puts `rest` in its place. False if it is not what it was.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn replace(
        &self,
        connection: &mut PgConnection,
        rest: &RawNotification,
    ) -> sqlx::Result<bool> {
        let replaced = sqlx::query(
            "UPDATE garmin_raw.notification SET body = $4, user_ids = $5
             WHERE message_id = $1 AND received_at = $2 AND body = $3",
        )
        .bind(self.message_id)
        .bind(self.received_at)
        .bind(&self.body)
        .bind(&rest.body)
        .bind(&rest.user_ids)
        .execute(connection)
        .await?;
        Ok(replaced.rows_affected() == 1)
    }

    /// Deletes it. False if it is not what it was.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn delete(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let deleted = sqlx::query(
            "DELETE FROM garmin_raw.notification WHERE message_id = $1 AND received_at = $2 AND body = $3",
        )
        .bind(self.message_id)
        .bind(self.received_at)
        .bind(&self.body)
        .execute(connection)
        .await?;
        Ok(deleted.rows_affected() == 1)
    }
}
