//! What the status page asks: little enough to be asked every few seconds, in transactions that only read and that the
//! server ends soon.

use super::backfill::overview;
use super::schema::{self, SchemaError};
use crate::summaries::Registry;
use crate::summaries::sql_type::SqlType;
use crate::summaries::table::Table;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Rows of few tables are counted whole, so that the planner may choose to read them so.
const LIMITS: &str = "SET LOCAL statement_timeout = '3s'; SET LOCAL enable_seqscan = on";

/// How many users there are, by what is heard of them. A user is heard of when their newest summary, of whatever type,
/// arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Users {
    /// Whose data is stored.
    pub active: i64,
    /// Of these, linked with a subject of the study.
    pub linked: i64,
    /// Of those that are active, not heard of for more than a day since their consent.
    pub silent_1_day: i64,
    /// For more than three days.
    pub silent_3_days: i64,
    /// For more than seven days.
    pub silent_7_days: i64,
    /// Of those that are active, never heard of.
    pub without_data: i64,
    /// Whose data is not stored any more.
    pub withdrawn: i64,
}

/// When notifications were received, as far as they are kept as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// The newest of all.
    #[serde(with = "time::serde::rfc3339::option")]
    pub newest: Option<OffsetDateTime>,
    /// The newest of each type, of those that came within a day.
    pub within_a_day: Vec<Newest>,
}

/// The newest notification of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Newest {
    /// The name under which it came.
    pub endpoint: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
}

async fn begin(connection: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    let mut transaction = connection.begin_with("BEGIN READ ONLY").await?;
    sqlx::raw_sql(LIMITS).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// The version of the schema; 0 for an empty database.
///
/// # Errors
/// It could not be asked.
pub async fn version(connection: &mut PgConnection) -> Result<i64, SchemaError> {
    schema::version(&mut *begin(connection).await?).await
}

/// How many users there are.
///
/// # Errors
/// PostgreSQL's.
pub async fn users(connection: &mut PgConnection, registry: &Registry) -> sqlx::Result<Users> {
    let mut transaction = begin(connection).await?;
    // The names of tables and columns are constants.
    sqlx::query_as(AssertSqlSafe(users_statement(registry))).fetch_one(&mut *transaction).await
}

/// Each user's newest row of a table is one step in its key's index. Who has a day's summary of late, as most have, is
/// looked for in no further table.
fn users_statement(registry: &Registry) -> String {
    let newest = |(table, column): (&str, &str)| {
        format!(
            "(SELECT received_at FROM garmin_wellness.{table} AS t WHERE t.user_id = u.user_id
              ORDER BY {column} DESC LIMIT 1)"
        )
    };
    let mut by_time = registry.tables().iter().filter_map(time_column).map(newest);
    let first = by_time.next().unwrap_or_else(|| "NULL::timestamptz".to_owned());
    let others: Vec<String> = by_time.collect();
    let others = if others.is_empty() { "NULL".to_owned() } else { others.join(", ") };
    format!(
        "WITH seen AS (
             SELECT u.user_id, u.active, u.registered_at, CASE
                 WHEN NOT u.active THEN NULL
                 WHEN first.received_at > now() - interval '1 day' THEN first.received_at
                 ELSE greatest(first.received_at, {others})
             END AS received_at
             FROM garmin_oauth.user_id AS u CROSS JOIN LATERAL (SELECT {first} AS received_at) AS first),
         silent AS (
             SELECT *, now() - greatest(received_at, registered_at) AS silence FROM seen)
         SELECT count(*) FILTER (WHERE active) AS active,
             count(*) FILTER (WHERE active AND EXISTS (
                 SELECT FROM garmin_oauth.subject AS s WHERE s.user_id = silent.user_id)) AS linked,
             count(*) FILTER (WHERE active AND silence > interval '1 day') AS silent_1_day,
             count(*) FILTER (WHERE active AND silence > interval '3 days') AS silent_3_days,
             count(*) FILTER (WHERE active AND silence > interval '7 days') AS silent_7_days,
             count(*) FILTER (WHERE active AND received_at IS NULL) AS without_data,
             count(*) FILTER (WHERE NOT active) AS withdrawn
         FROM silent"
    )
}

/// A table's name, and the column by which a user's rows are in the order of time: the first of its key after the user.
fn time_column(table: &Table) -> Option<(&'static str, &str)> {
    let column = &table.columns[*table.identity.get(1)?];
    matches!(column.sql_type, SqlType::Instant | SqlType::Date)
        .then_some((table.summary_type.table, column.name.as_str()))
}

/// When notifications were received.
///
/// # Errors
/// PostgreSQL's.
pub async fn notifications(connection: &mut PgConnection) -> sqlx::Result<Notifications> {
    let mut transaction = begin(connection).await?;
    // Their ids grow with time.
    let newest = sqlx::query_scalar(
        "SELECT received_at FROM garmin_raw.notification ORDER BY message_id DESC LIMIT 1",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let within_a_day = sqlx::query_as(
        "SELECT endpoint, max(received_at) AS received_at FROM garmin_raw.notification
         WHERE received_at > now() - interval '1 day' GROUP BY endpoint ORDER BY endpoint",
    )
    .fetch_all(&mut *transaction)
    .await?;
    Ok(Notifications { newest, within_a_day })
}

/// How many ranges of history there are by state, and until when no worker asks for any.
///
/// # Errors
/// PostgreSQL's.
pub async fn history(
    connection: &mut PgConnection,
) -> sqlx::Result<(BTreeMap<String, i64>, Option<OffsetDateTime>)> {
    let mut transaction = begin(connection).await?;
    let ranges = overview::states(&mut transaction).await?;
    Ok((ranges, overview::pause(&mut transaction).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_looked_for_in_every_table_that_is_in_the_order_of_time() {
        let registry = Registry::new();
        let without: Vec<&str> = registry
            .tables()
            .iter()
            .filter(|table| time_column(table).is_none())
            .map(|table| table.summary_type.key)
            .collect();
        assert_eq!(without, ["activities", "activityDetails", "activityFiles"]);
    }
}
