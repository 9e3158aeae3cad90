//! Notifications as they were received: `garmin_raw.notification`, a partition a day.
//!
//! A partition is made when a notification of its day first comes, whichever day that is (a backlog and a
//! replay bring old ones), and dropped when the day is older than the retention. Both are functions of the database's
//! (migration 25), because a worker's role may not change the schema itself.

use super::ask;
use super::error::{StoreError, lacks_partition};
use crate::message::Message;
use apollo_shared::envelope::Microseconds;
use apollo_shared::secrets::Keyring;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use time::{Date, OffsetDateTime};
use uuid::Uuid;
use zstd::bulk::Compressor;

/// zstd's least: a notification becomes as small as with its default, 3, within two percent, and smaller than that in the
/// mix of all types, for 0.4 to 0.8 of the instructions.
const COMPRESSION_LEVEL: i32 = 1;

/// A notification, ready to be kept.
#[derive(Debug, Clone)]
pub struct RawNotification {
    message_id: Uuid,
    received_at: OffsetDateTime,
    endpoint: String,
    pub(super) body: Vec<u8>,
    pub(super) user_ids: Vec<String>,
}

/// Bytes that the id of a user may have to be noted with the notifications that name it: Garmin's have 36, and the
/// index takes no more than 2,700.
const LONGEST_USER_ID: usize = 1000;

/// Compresses and seals notifications, one after the other: what zstd needs for it is set up once.
pub struct Sealer<'a> {
    keyring: &'a Keyring,
    compressor: Compressor<'static>,
}

impl<'a> Sealer<'a> {
    /// Sets it up.
    ///
    /// # Errors
    /// There is no memory left.
    pub fn new(keyring: &'a Keyring) -> std::io::Result<Self> {
        Ok(Self { keyring, compressor: Compressor::new(COMPRESSION_LEVEL)? })
    }

    /// Compresses and seals `message`, whose entries are about `user_ids`; it can only be opened as the body of the
    /// same message id.
    ///
    /// # Errors
    /// None in practice: compressing into memory does not fail.
    pub fn seal(
        &mut self,
        message: &Message,
        user_ids: &BTreeSet<String>,
    ) -> std::io::Result<RawNotification> {
        let compressed = self.compressor.compress(&message.body)?;
        let message_id = message.envelope.message_id;
        Ok(RawNotification {
            message_id,
            received_at: instant(message.envelope.received_at),
            endpoint: message.envelope.endpoint.clone(),
            body: self.keyring.seal(&compressed, message_id.as_bytes()),
            user_ids: noted(user_ids),
        })
    }
}

impl RawNotification {
    /// The id of its message.
    #[must_use]
    pub fn message_id(&self) -> Uuid {
        self.message_id
    }
}

/// The users of a notification that are noted with it.
pub(super) fn noted(user_ids: &BTreeSet<String>) -> Vec<String> {
    user_ids.iter().filter(|id| id.len() <= LONGEST_USER_ID).cloned().collect()
}

/// The days that `notifications` arrived on, UTC.
pub fn days(notifications: &[&RawNotification]) -> BTreeSet<Date> {
    notifications.iter().map(|raw| raw.received_at.date()).collect()
}

/// A moment as PostgreSQL's and calendars have it.
pub(crate) fn instant(microseconds: Microseconds) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds.0) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The days whose partitions are known to be there.
#[derive(Debug, Default)]
pub struct RawStore {
    known: Mutex<BTreeSet<Date>>,
}

impl RawStore {
    /// Makes the partitions of `days`. In a transaction of its own, as that locks the table.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ensure_partitions(&self, pool: &PgPool, days: BTreeSet<Date>) -> Result<(), StoreError> {
        let missing: Vec<Date> = days.difference(&self.known()).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let make = "SELECT garmin_raw.make_partition(day) FROM unnest($1::date[]) AS missing (day)";
        ask(pool, async |connection| sqlx::query(make).bind(&missing).execute(connection).await).await?;
        self.known().extend(missing);
        Ok(())
    }

    /// Writes `notifications`; one that came before is left as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        notifications: &[&RawNotification],
    ) -> Result<(), StoreError> {
        if notifications.is_empty() {
            return Ok(());
        }
        let written = sqlx::query(
            "INSERT INTO garmin_raw.notification (message_id, received_at, endpoint, body, user_ids)
             SELECT message_id, received_at, endpoint, body, ARRAY(SELECT jsonb_array_elements_text(user_ids))
             FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bytea[], $5::jsonb[])
                 AS kept (message_id, received_at, endpoint, body, user_ids)
             ON CONFLICT DO NOTHING",
        )
        .bind(notifications.iter().map(|raw| raw.message_id).collect::<Vec<_>>())
        .bind(notifications.iter().map(|raw| raw.received_at).collect::<Vec<_>>())
        .bind(notifications.iter().map(|raw| raw.endpoint.as_str()).collect::<Vec<_>>())
        .bind(notifications.iter().map(|raw| raw.body.as_slice()).collect::<Vec<_>>())
        .bind(notifications.iter().map(|raw| Json(&raw.user_ids)).collect::<Vec<_>>())
        .execute(connection)
        .await;
        if written.as_ref().is_err_and(lacks_partition) {
            self.known().clear();
        }
        written?;
        Ok(())
    }

    /// Drops the partitions of days before `oldest`. Returns their names.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drop_before(&self, pool: &PgPool, oldest: Date) -> Result<Vec<String>, StoreError> {
        let drop = sqlx::query_scalar("SELECT garmin_raw.drop_partitions_before($1)").bind(oldest);
        let names = ask(pool, async |connection| drop.fetch_all(connection).await).await?;
        self.known().retain(|day| *day >= oldest);
        Ok(names)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<Date>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
