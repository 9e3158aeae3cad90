//! Compares PostgreSQL with what the simulator expects, row for row and column for column.

mod files;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::difference::{Difference, equal, first_difference};
use crate::expectation::{Expectation, ExpectationError, Row, RowKey, SCHEMA, SUMMARY_TYPES, SummaryType};
use crate::plan::{Group, Plan};
use crate::record::{Record, RecordError};

/// How many differences are described; all are counted.
const DESCRIBED: usize = 20;

/// What the worker notes for itself beside Garmin's data.
const IGNORED: [&str; 4] = ["received_at", "message_id", "entry_index", "content_digest"];

/// The columns of an activity file's row that its ping fills. The others tell of the file itself, which the simulator
/// does not send.
const OF_FILE_PING: [&str; 12] = [
    "user_id",
    "summary_id",
    "activity_id",
    "file_type",
    "start_time",
    "activity_type",
    "activity_name",
    "activity_description",
    "device_name",
    "manual",
    "is_web_upload",
    "extra",
];

/// PostgreSQL's code for a table that does not exist, and for a schema that does not.
const UNDEFINED: [&str; 2] = ["42P01", "3F000"];

/// Why no comparison was possible.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The schema is not there.
    #[error("the table {SCHEMA}.{table} does not exist: run `apollo-worker migrate` on this database first")]
    NoTable {
        /// Its name.
        table: &'static str,
    },
    /// A query failed.
    #[error("the database could not be asked about {table}")]
    Database {
        /// The table that was read.
        table: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// No connection or no transaction.
    #[error("the database cannot be reached")]
    Connection(#[source] sqlx::Error),
    /// The simulator's own notifications are wrong.
    #[error(transparent)]
    Expectation(#[from] ExpectationError),
    /// The record of what was acknowledged is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What was sent, where it was not the whole plan and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// What was acknowledged of the plan; `None` is all of it.
    pub record: Option<Record>,
    /// Users whose rows are somebody else's business.
    pub left_out: Vec<String>,
    /// The activity files of the plan's first so many users must have been fetched from the simulated Garmin: of those
    /// who have consented.
    pub files_of: u32,
}

impl Scope {
    /// What the household must have left in the database; `None` if nothing of it was sent.
    fn expectation(&self, group: &Group) -> Result<Option<Expectation>, VerifyError> {
        match &self.record {
            None => Ok(Some(Expectation::of_group(group)?)),
            Some(record) if record.knows(group) => Ok(Some(record.expectation(group)?)),
            Some(_) => Ok(None),
        }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyReport {
    /// Rows that are expected and there.
    pub compared: u64,
    /// Rows that are expected and not there.
    pub missing: u64,
    /// Rows of the plan's users that are there and not expected.
    pub unexpected: u64,
    /// Rows that are expected and there, but differ in a column.
    pub different: u64,
    /// Rows of users who are not in the plan.
    pub of_others: u64,
    /// Activity files that are expected and there.
    pub files: u64,
    /// Activity files that are expected and not there.
    pub files_missing: u64,
    /// Activity files that are there, but are not what the simulated Garmin gives.
    pub files_different: u64,
    /// Expected rows, by table.
    pub expected_by_table: BTreeMap<&'static str, u64>,
    /// The first differences found.
    pub differences: Vec<Difference>,
}

impl VerifyReport {
    /// Whether the database holds exactly what it must.
    pub fn is_clean(&self) -> bool {
        let rows = self.missing + self.unexpected + self.different + self.of_others;
        rows + self.files_missing + self.files_different == 0
    }

    /// All rows of the plan's users that are there.
    fn found(&self) -> u64 {
        self.compared + self.unexpected
    }

    fn describe(&mut self, difference: impl FnOnce() -> Difference) {
        if self.differences.len() < DESCRIBED {
            self.differences.push(difference());
        }
    }

    fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.missing += other.missing;
        self.unexpected += other.unexpected;
        self.different += other.different;
        self.files += other.files;
        self.files_missing += other.files_missing;
        self.files_different += other.files_different;
        for (table, rows) in other.expected_by_table {
            *self.expected_by_table.entry(table).or_default() += rows;
        }
        for difference in other.differences {
            self.describe(|| difference);
        }
    }
}

/// Compares the database with the plan, every notification of which was acknowledged, and nothing else ever sent.
pub async fn verify(pool: &PgPool, plan: &Plan) -> Result<VerifyReport, VerifyError> {
    verify_scope(pool, plan, &Scope::default(), |_| ()).await
}

/// As [`verify`], for what was really sent; `on_progress` learns how many users have been compared.
pub async fn verify_scope(
    pool: &PgPool,
    plan: &Plan,
    scope: &Scope,
    on_progress: impl Fn(u64),
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::default();
    let mut users = 0;
    for group in plan.groups() {
        // Rows of a household that was not sent would be counted as those of others.
        if let Some(expectation) = scope.expectation(&group)? {
            let user_ids = group.user_ids();
            report.add(compare(pool, &expectation, &user_ids).await?);
            let with_files = (scope.files_of.saturating_sub(users) as usize).min(user_ids.len());
            if with_files > 0 {
                report.add(files::compare(pool, &expectation, &user_ids[..with_files]).await?);
            }
        }
        users += group.size();
        on_progress(users.into());
    }
    let all = count_all(pool, &scope.left_out).await?;
    report.of_others = all.saturating_sub(report.found());
    Ok(report)
}

/// Compares all rows of `users` with the expectation. Rows of other users are not looked at.
pub async fn compare(
    pool: &PgPool,
    expectation: &Expectation,
    users: &[String],
) -> Result<VerifyReport, VerifyError> {
    let mut transaction = pool.begin().await.map_err(VerifyError::Connection)?;
    // Instants are then written the way the expectation writes them, whatever the server's time zone.
    sqlx::query("SET LOCAL TIME ZONE 'UTC'")
        .execute(&mut *transaction)
        .await
        .map_err(VerifyError::Connection)?;
    let mut report = VerifyReport::default();
    for summary_type in &SUMMARY_TYPES {
        compare_table(&mut transaction, summary_type, expectation, users, &mut report).await?;
    }
    transaction.rollback().await.map_err(VerifyError::Connection)?;
    Ok(report)
}

/// Takes the rows as they come, so that only the expected ones are held in memory.
async fn compare_table(
    connection: &mut PgConnection,
    summary_type: &SummaryType,
    expectation: &Expectation,
    users: &[String],
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let table = summary_type.table;
    let mut expected = expectation.keyed_rows(table);
    report.expected_by_table.insert(table, expected.len() as u64);

    // Only names of this module are put into the statement.
    let select = format!("SELECT to_jsonb(summary) FROM {SCHEMA}.{table} AS summary WHERE user_id = ANY($1)");
    let mut rows = sqlx::query_scalar(AssertSqlSafe(select)).bind(users).fetch(connection);
    while let Some(Json(found)) = rows.try_next().await.map_err(|error| of_table(table, error))? {
        let found: Row = found;
        let key = summary_type.key_of(&found).unwrap_or_default();
        match expected.remove(&key) {
            Some(row) => compare_row(table, &key, row, &found, report),
            None => {
                report.unexpected += 1;
                report.describe(|| Difference::unexpected(table, &key));
            }
        }
    }
    for key in expected.into_keys() {
        report.missing += 1;
        report.describe(|| Difference::missing(table, key));
    }
    Ok(())
}

fn compare_row(table: &'static str, key: &RowKey, expected: &Row, found: &Row, report: &mut VerifyReport) {
    report.compared += 1;
    let columns: BTreeSet<&str> = expected.keys().chain(found.keys()).map(String::as_str).collect();
    let compared = |column: &&str| match table {
        "activity_file" => expected.contains_key(*column) || OF_FILE_PING.contains(column),
        _ => !IGNORED.contains(column),
    };
    let differs = |column: &&str| !equal(value_of(expected, column), value_of(found, column));
    let mut columns = columns.into_iter().filter(compared).filter(differs).peekable();
    if columns.peek().is_some() {
        report.different += 1;
    }
    for column in columns {
        let (expected, found) = match found.contains_key(column) {
            true => first_difference(value_of(expected, column), value_of(found, column)),
            false => (value_of(expected, column).to_string(), "there is no such column".to_owned()),
        };
        report.describe(|| Difference::different(table, key, column, expected, found));
    }
}

/// A column that is absent is NULL.
fn value_of<'a>(row: &'a Row, column: &str) -> &'a Value {
    row.get(column).unwrap_or(&Value::Null)
}

async fn count_all(pool: &PgPool, left_out: &[String]) -> Result<u64, VerifyError> {
    let mut all = 0;
    for SummaryType { table, .. } in &SUMMARY_TYPES {
        let count = format!("SELECT count(*) FROM {SCHEMA}.{table} WHERE user_id <> ALL($1)");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .bind(left_out)
            .fetch_one(pool)
            .await
            .map_err(|error| of_table(table, error))?;
        all += rows.unsigned_abs();
    }
    Ok(all)
}

fn of_table(table: &'static str, source: sqlx::Error) -> VerifyError {
    let code = source.as_database_error().and_then(|error| error.code());
    match code {
        Some(code) if UNDEFINED.contains(&code.as_ref()) => VerifyError::NoTable { table },
        _ => VerifyError::Database { table, source },
    }
}
