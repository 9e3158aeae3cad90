//! Notifications as they were received: `garmin_raw.notification`, a partition a day.
//!
//! A partition is made when a notification of its day first comes, whichever day that is (a backlog and a
//! replay bring old ones), and dropped when the day is older than the retention.

use super::error::{StoreError, lacks_partition};
use crate::message::Message;
use apollo_shared::envelope::Microseconds;
use apollo_shared::secrets::Keyring;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// zstd's own default: the next levels take twice the time for a few percent.
const COMPRESSION_LEVEL: i32 = 3;

/// The key of the advisory lock under which partitions are made and dropped, by one worker at a time.
const PARTITION_LOCK: i64 = 0x6170_6f6c_6c6f; // "apollo"

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

impl RawNotification {
    /// Compresses and seals `message`, whose entries are about `user_ids`; it can only be opened as the body of the
    /// same message id.
    ///
    /// # Errors
    /// None in practice: compressing into memory does not fail.
    pub fn seal(message: &Message, user_ids: &BTreeSet<String>, keyring: &Keyring) -> std::io::Result<Self> {
        let compressed = zstd::bulk::compress(&message.body, COMPRESSION_LEVEL)?;
        let message_id = message.envelope.message_id;
        Ok(Self {
            message_id,
            received_at: instant(message.envelope.received_at),
            endpoint: message.envelope.endpoint.clone(),
            body: keyring.seal(&compressed, message_id.as_bytes()),
            user_ids: noted(user_ids),
        })
    }

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

pub(super) fn instant(microseconds: Microseconds) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds.0) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The days whose partitions are known to be there.
#[derive(Debug, Default)]
pub struct RawStore {
    known: Mutex<BTreeSet<Date>>,
}

impl RawStore {
    /// Makes the partitions of `days`. In a transaction of its own, as it locks the table.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ensure_partitions(&self, pool: &PgPool, days: BTreeSet<Date>) -> Result<(), StoreError> {
        let missing: Vec<Date> = days.difference(&self.known()).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut transaction = pool.begin().await?;
        lock(&mut transaction).await?;
        for day in &missing {
            sqlx::query(AssertSqlSafe(create_partition(*day))).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
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
        let mut transaction = pool.begin().await?;
        lock(&mut transaction).await?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT child.relname FROM pg_inherits
             JOIN pg_class AS child ON child.oid = inhrelid
             WHERE inhparent = 'garmin_raw.notification'::regclass AND child.relname < $1 COLLATE \"C\"
             ORDER BY 1",
        )
        .bind(partition(oldest))
        .fetch_all(&mut *transaction)
        .await?;
        for name in &names {
            sqlx::query(AssertSqlSafe(format!("DROP TABLE garmin_raw.{name}")))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        self.known().retain(|day| *day >= oldest);
        Ok(names)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<Date>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn lock(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(PARTITION_LOCK).execute(connection).await?;
    Ok(())
}

/// Its name sorts as its day does.
fn partition(day: Date) -> String {
    format!("notification_{:04}_{:02}_{:02}", day.year(), u8::from(day.month()), day.day())
}

fn create_partition(day: Date) -> String {
    let next = day.next_day().unwrap_or(day);
    format!(
        "CREATE TABLE IF NOT EXISTS garmin_raw.{} PARTITION OF garmin_raw.notification
         FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')",
        partition(day)
    )
}
