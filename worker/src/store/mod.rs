//! All SQL.
//!
//! A batch is one transaction: a look at who has withdrawn, the notifications as received, and each type's rows,
//! which one statement merges.

pub mod accounts;
pub mod archive;
pub mod backfill;
pub mod callbacks;
mod comments;
pub mod consents;
pub mod error;
pub(crate) mod files;
pub mod keys;
pub mod overview;
pub mod pace;
pub mod patience;
pub mod raw;
pub(crate) mod removal;
pub mod rights;
pub mod schema;
mod staging;
pub mod token_exchange;
pub mod token_import;
pub mod tokens;
pub mod withdrawals;

use crate::summaries::Registry;
use crate::summaries::batch::{Outcomes, Row, reduce};
use crate::summaries::table::Table;
use apollo_shared::retry::Backoff;
use error::StoreError;
use raw::{RawNotification, RawStore};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _};
use staging::{RecordTypes, Records};
use std::collections::BTreeSet;
use std::io;
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
/// The joins of the merge look rows up by their key, whatever the planner's statistics say about a table that
/// has just begun to grow; compiling such statements costs more than it saves.
const SESSION: [(&str, &str); 6] = [
    ("TimeZone", "UTC"),
    ("client_min_messages", "warning"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// The time limits of a statement, unless `DATABASE__URL` sets others (`?options[statement_timeout]=5min`). The
/// shorter one is for locks, so that a wait for somebody else's is never taken for a statement that is slow by
/// itself.
const TIME_LIMITS: [(&str, &str); 2] = [("statement_timeout", "30s"), ("lock_timeout", "10s")];

/// How long a batch's transaction may take: the server ends each of its statements earlier, so a longer silence is
/// that of a connection whose other end has gone without a word.
const LONGEST_WRITE: Duration = Duration::from_secs(120);

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
        let mut connection = self.pool.acquire().await?;
        match tokio::time::timeout(LONGEST_WRITE, self.write_over(&mut connection, batch)).await {
            Ok(written) => written,
            Err(_) => {
                connection.close_on_drop();
                let silence = format!("no answer for {} s", LONGEST_WRITE.as_secs());
                Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, silence)).into())
            }
        }
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
            let reduced = reduce(rows);
            let mut of_table = reduced.beaten;
            for records in types.records(place, &reduced.rows) {
                of_table += merge(&mut transaction, table, records).await?;
            }
            outcomes.push(of_table);
        }
        transaction.commit().await?;
        Ok(Written::Stored(outcomes))
    }
}

async fn merge(
    connection: &mut PgConnection,
    table: &Table,
    records: Records<'_>,
) -> Result<Outcomes, StoreError> {
    let staged = records.len() as u64;
    let counts = sqlx::query(AssertSqlSafe(table.merge.as_str())).bind(records).fetch_one(connection).await?;
    let counts = Counts {
        staged,
        created: count(&counts, "created")?,
        written: count(&counts, "written")?,
        same: count(&counts, "same")?,
        same_and_newer: count(&counts, "same_and_newer")?,
    };
    Ok(counts.outcomes())
}

fn count(row: &sqlx::postgres::PgRow, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

/// What the statement of a merge returns.
struct Counts {
    staged: u64,
    created: u64,
    written: u64,
    same: u64,
    same_and_newer: u64,
}

impl Counts {
    /// A row that another worker created in the same instant is not in the statement's snapshot, and counts
    /// as updated even if its content is the same; the sum is right in any case.
    fn outcomes(&self) -> Outcomes {
        let updated = self.written.saturating_sub(self.created + self.same_and_newer);
        let stale = self.staged.saturating_sub(self.created + updated + self.same);
        Outcomes { created: self.created, updated, unchanged: self.same, stale }
    }
}
