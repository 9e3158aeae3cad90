//! All SQL.
//!
//! A batch is one transaction: a look at who has withdrawn, the notifications as received, and each type's rows.

pub mod accounts;
pub mod archive;
mod ask;
pub mod backfill;
pub mod callbacks;
mod comments;
pub mod consents;
pub mod error;
pub(crate) mod files;
pub mod keys;
mod merge;
pub mod overview;
pub mod pace;
pub mod patience;
pub mod raw;
pub(crate) mod removal;
pub mod rights;
pub mod schema;
mod staging;
pub mod status;
pub mod token_exchange;
pub mod token_import;
pub mod tokens;
pub mod withdrawals;

use crate::summaries::Registry;
use crate::summaries::batch::{Outcomes, Reduced, Row, reduce};
use apollo_shared::retry::Backoff;
pub use ask::ask;
use error::StoreError;
use raw::{RawNotification, RawStore};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use staging::RecordTypes;
use std::collections::BTreeSet;
use std::time::Duration;
use withdrawals::{Hindrance, Present, Withdrawn};

/// How long to wait for a connection, made or free.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The component whose readiness tells the state of the database.
pub const DATABASE: &str = "database";

/// The pauses between attempts while the database is away.
#[must_use]
pub fn database_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// What is the same for every connection.
///
/// Rows are looked up by their key, whatever the planner's statistics say about a table that has just begun to grow;
/// planning such statements anew each time, or compiling them, costs more than it saves.
const SESSION: [(&str, &str); 7] = [
    ("TimeZone", "UTC"),
    ("client_min_messages", "warning"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// The time limits of a statement, unless `DATABASE__URL` sets others (`?options[statement_timeout]=5min`). The
/// shorter one is for locks, so that a wait for somebody else's is never taken for a statement that is slow by
/// itself.
const TIME_LIMITS: [(&str, &str); 2] = [("statement_timeout", "30s"), ("lock_timeout", "10s")];

/// A wrong `DATABASE__URL`. The address is a secret and is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE__URL is not an address of the form postgres://user:password@host:5432/database?sslmode=…")]
pub struct DatabaseUrlError;

/// Reads the address; connects to nothing yet.
///
/// # Errors
/// It is none of PostgreSQL's.
pub fn connect_options(url: &SecretString) -> Result<PgConnectOptions, DatabaseUrlError> {
    let options: PgConnectOptions = url.expose_secret().parse().map_err(|_| DatabaseUrlError)?;
    Ok(options.application_name("apollo-worker"))
}

/// A pool that connects when it is first used.
#[must_use]
pub fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    let set = options.get_options().unwrap_or_default().to_owned();
    let time_limits = TIME_LIMITS.into_iter().filter(|(name, _)| !set.contains(&format!("{name}=")));
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options.options(SESSION.into_iter().chain(time_limits)))
}

/// What a batch brings into the database.
#[derive(Debug, Default, Clone)]
pub struct Batch<'a> {
    /// Rows, each with the place of its table in the registry.
    pub rows: Vec<(usize, &'a Row)>,
    /// The notifications they came in, as far as these are kept.
    pub raw: Vec<&'a RawNotification>,
    /// Whom the notifications are about, in the order of the batch; halves of a batch hold all of it.
    pub present: Vec<Present<'a>>,
}

/// What came of an attempt to write a batch.
#[derive(Debug)]
pub enum Written {
    /// It is stored; what became of the rows of each table.
    Stored(Vec<Outcomes>),
    /// Nothing is stored, for these must be taken out of it first.
    Withdrawn(Vec<Withdrawn>),
}

/// Writes batches.
#[derive(Debug)]
pub struct Store<'a> {
    /// Where to.
    pub pool: &'a PgPool,
    /// The tables.
    pub registry: &'a Registry,
    /// The raw notifications' partitions.
    pub raw: &'a RawStore,
}

impl Store<'_> {
    /// Writes `batch` in one transaction.
    ///
    /// # Errors
    /// Nothing has been written then but the users' records; see [`StoreError`].
    pub async fn write(&self, batch: &Batch<'_>) -> Result<Written, StoreError> {
        self.raw.ensure_partitions(self.pool, raw::days(&batch.raw)).await?;
        ask(self.pool, async |connection| self.write_over(connection, batch).await).await
    }

    async fn write_over(
        &self,
        connection: &mut PgConnection,
        batch: &Batch<'_>,
    ) -> Result<Written, StoreError> {
        let types = RecordTypes::of(connection, self.registry).await?;
        let of_rows: BTreeSet<&str> = batch.rows.iter().map(|(_, row)| row.user_id.as_str()).collect();
        let mut transaction = loop {
            let mut transaction = connection.begin().await?;
            match withdrawals::hindrance(&mut transaction, &batch.present, &of_rows).await? {
                None => break transaction,
                Some(Hindrance::Withdrawn(withdrawn)) => return Ok(Written::Withdrawn(withdrawn)),
                Some(Hindrance::Unknown(user_ids)) => {
                    transaction.rollback().await?;
                    withdrawals::put_on_record(connection, user_ids).await?;
                }
            }
        };
        self.raw.write(&mut transaction, &batch.raw).await?;
        let mut outcomes = Vec::with_capacity(self.registry.tables().len());
        for (place, table) in self.registry.tables().iter().enumerate() {
            let rows = batch.rows.iter().filter(|(of, _)| *of == place).map(|(_, row)| *row);
            let Reduced { rows, beaten } = reduce(rows);
            let mut of_table = merge::Merge { connection: &mut transaction, table, types: &types, place };
            let mut of_rows = of_table.write(&rows).await?;
            of_rows += beaten;
            outcomes.push(of_rows);
        }
        transaction.commit().await?;
        Ok(Written::Stored(outcomes))
    }
}
