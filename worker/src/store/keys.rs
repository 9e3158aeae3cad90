//! Which keys seal what, and sealing it anew.
//!
//! `garmin_oauth.sealing_key` has the id of every key that something in this database may be sealed with. A worker
//! that lacks one of them would sooner or later meet a secret that it cannot open; so it does not start.
//!
//! What changes a sealed value names the one that it was made from: whatever replaces it meanwhile is sealed with the
//! key of today anyway, or is met by the next pass.

use apollo_shared::secrets::{Keyring, sealed_prefix};
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::{BTreeMap, BTreeSet};

/// Values of a page, and the bytes at which it ends before that; a single larger one is a page.
const PAGE: i64 = 64;
const PAGE_BYTES: i64 = 4 << 20;

/// Why the keys cannot be used with this database.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// Some are missing.
    #[error("SECRETS__KEYS lacks keys that secrets in this database are sealed with: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// It could not be asked.
    #[error("PostgreSQL cannot be asked for the keys that secrets are sealed with")]
    Database(#[from] sqlx::Error),
}

/// Notes that the first of `keyring` seals in this database, and sees that it holds all that do.
///
/// # Errors
/// See [`SealingKeyError`].
pub async fn register_and_check(
    connection: &mut PgConnection,
    keyring: &Keyring,
) -> Result<(), SealingKeyError> {
    let held: Vec<&str> = keyring.ids().collect();
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT key_id FROM garmin_oauth.sealing_key WHERE key_id <> ALL ($1) ORDER BY first_used, key_id",
    )
    .bind(held)
    .fetch_all(&mut *connection)
    .await?;
    if !missing.is_empty() {
        return Err(SealingKeyError::Missing(missing));
    }
    sqlx::query("INSERT INTO garmin_oauth.sealing_key (key_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(keyring.first_id())
        .execute(connection)
        .await?;
    Ok(())
}

/// The ids of all keys that are noted.
///
/// # Errors
/// PostgreSQL's.
pub async fn registered(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT key_id FROM garmin_oauth.sealing_key").fetch_all(connection).await?;
    Ok(ids.into_iter().collect())
}

/// Forgets keys that nothing is sealed with any more.
///
/// # Errors
/// PostgreSQL's.
pub async fn unregister(connection: &mut PgConnection, key_ids: &[&str]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM garmin_oauth.sealing_key WHERE key_id = ANY ($1)")
        .bind(key_ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// A column of sealed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedColumn {
    /// Its table, or the partition that this is about, with the schema.
    pub table: String,
    /// The table by which it is reached: a role's rights are those on a whole table, not on its partitions, …
    whole: &'static str,
    /// … and which of its rows are meant.
    rows: String,
    column: &'static str,
    /// What its values are sealed for, which also tells the rows apart, as `bytea`, …
    context: &'static str,
    /// … the column that it is made of, and how it becomes a value of that again, with `$1` in its place.
    key: &'static str,
    of_context: &'static str,
    /// A context that is less than any that there is.
    least_context: &'static [u8],
    /// Whether the key's id stands beside the value too.
    names_key: bool,
}

/// A sealed value.
#[derive(sqlx::FromRow)]
pub struct SealedValue {
    /// What it is sealed for.
    pub context: Vec<u8>,
    /// The value.
    pub sealed: Vec<u8>,
}

/// All columns of sealed values; of notifications each day's partition, the newest first.
///
/// # Errors
/// PostgreSQL's.
pub async fn columns(connection: &mut PgConnection) -> sqlx::Result<Vec<SealedColumn>> {
    let consents = SealedColumn {
        table: "garmin_oauth.request_token".to_owned(),
        whole: "garmin_oauth.request_token",
        rows: "true".to_owned(),
        column: "sealed",
        context: "uuid_send(consent_id)",
        key: "consent_id",
        of_context: "encode($1, 'hex')::uuid",
        least_context: &[0; 16],
        names_key: true,
    };
    let tokens = SealedColumn {
        table: "garmin_oauth.access_token".to_owned(),
        whole: "garmin_oauth.access_token",
        context: "token_digest",
        key: "token_digest",
        of_context: "$1",
        least_context: &[],
        ..consents.clone()
    };
    let partitions: Vec<(String, String)> = sqlx::query_as(
        "SELECT 'garmin_raw.' || child.relname, pg_get_partition_constraintdef(child.oid) FROM pg_inherits
         JOIN pg_class AS child ON child.oid = inhrelid
         WHERE inhparent = 'garmin_raw.notification'::regclass
         ORDER BY child.relname DESC",
    )
    .fetch_all(connection)
    .await?;
    let notifications = partitions.into_iter().map(|(table, rows)| SealedColumn {
        table,
        whole: "garmin_raw.notification",
        rows,
        column: "body",
        context: "uuid_send(message_id)",
        key: "message_id",
        of_context: "encode($1, 'hex')::uuid",
        least_context: &[0; 16],
        names_key: false,
    });
    Ok([consents.clone(), tokens].into_iter().chain(notifications).collect())
}

impl SealedColumn {
    /// How many values each key seals, by its id.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn count(&self, connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, u64>> {
        let Self { whole, rows, column, .. } = self;
        // A sealed value begins with a format, the length of its key's id, and that.
        let sql = format!(
            "SELECT substring({column} FROM 3 FOR get_byte(substring({column} FROM 2 FOR 1), 0)), count(*)
             FROM {whole} WHERE {rows} AND {column} IS NOT NULL GROUP BY 1"
        );
        let counts: Vec<(Vec<u8>, i64)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
        let counts = counts.into_iter().map(|(key_id, count)| {
            (String::from_utf8_lossy(&key_id).into_owned(), u64::try_from(count).unwrap_or(0))
        });
        Ok(counts.collect())
    }

    /// The next values behind `last` that another key than the first of `keyring` has sealed.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn page(
        &self,
        connection: &mut PgConnection,
        keyring: &Keyring,
        last: Option<&SealedValue>,
    ) -> sqlx::Result<Vec<SealedValue>> {
        let Self { whole, rows, column, context, key, of_context, .. } = self;
        let prefix = sealed_prefix(keyring.first_id());
        let sql = format!(
            "SELECT context, sealed
             FROM (
                 SELECT next.*, sum(octet_length(sealed)) OVER (ORDER BY key) - octet_length(sealed) AS before
                 FROM (
                     SELECT {key} AS key, {context} AS context, {column} AS sealed
                     FROM {whole}
                     WHERE {rows} AND {key} > {of_context} AND substring({column} FROM 1 FOR {length}) <> $2
                     ORDER BY {key}
                     LIMIT {PAGE}
                 ) AS next
             ) AS page
             WHERE before < {PAGE_BYTES}
             ORDER BY key",
            length = prefix.len(),
        );
        let after = last.map_or(self.least_context, |last| &last.context);
        sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(prefix).fetch_all(connection).await
    }

    /// Puts `sealed`, which the first key of `keyring` has sealed, in the place of `old`. False if another value has
    /// taken its place.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn replace(
        &self,
        connection: &mut PgConnection,
        keyring: &Keyring,
        old: &SealedValue,
        sealed: &[u8],
    ) -> sqlx::Result<bool> {
        let Self { whole, rows, column, key, of_context, .. } = self;
        let key_id = if self.names_key { ", key_id = $4" } else { "" };
        let sql = format!(
            "UPDATE {whole} SET {column} = $2{key_id}
             WHERE {rows} AND {key} = {of_context} AND {column} = $3"
        );
        let update = sqlx::query(AssertSqlSafe(sql)).bind(&old.context).bind(sealed).bind(&old.sealed);
        let update = if self.names_key { update.bind(keyring.first_id()) } else { update };
        Ok(update.execute(connection).await?.rows_affected() == 1)
    }
}
