//! What operators are told about history.

use crate::backfill::{BackfillKind, Range};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// How many ranges of one subject and type are in a state.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RangeCount {
    /// The study's name for the participant; Garmin's id of a user who is linked with none.
    pub subject: String,
    /// The key of what is asked for.
    pub summary_type: String,
    /// The name of a [`State`](crate::backfill::State).
    pub state: String,
    /// How many.
    pub ranges: i64,
    /// How many days they have together.
    pub days: i64,
}

/// Why ranges wait, or have ended as they have.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Reason {
    /// The name of their [`State`](crate::backfill::State).
    pub state: String,
    /// The reason.
    pub error: String,
    /// How many.
    pub ranges: i64,
    /// Of those that wait: when the next of them is tried.
    pub due_at: Option<OffsetDateTime>,
}

/// How far ranges are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Progress {
    /// All of them.
    pub total: i64,
    /// Those that do not wait any more.
    pub settled: i64,
    /// Those that have failed.
    pub failed: i64,
}

/// The ranges of a user, or of all, by subject, type and state.
///
/// # Errors
/// PostgreSQL's.
pub async fn counts(
    connection: &mut PgConnection,
    user_ids: Option<&[String]>,
) -> sqlx::Result<Vec<RangeCount>> {
    sqlx::query_as(
        "SELECT coalesce(subject_id, user_id) AS subject, summary_type, state, count(*) AS ranges,
             sum(ceil(extract(epoch FROM ends_at - starts_at) / 86400))::bigint AS days
         FROM garmin_pull.backfill LEFT JOIN garmin_oauth.subject USING (user_id)
         WHERE $1 IS NULL OR user_id = ANY ($1)
         GROUP BY 1, 2, 3
         ORDER BY 1, 2, 3",
    )
    .bind(user_ids)
    .fetch_all(connection)
    .await
}

/// How many ranges there are by the names of their states.
///
/// # Errors
/// PostgreSQL's.
pub async fn states(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, i64>> {
    let states: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, count(*) FROM garmin_pull.backfill GROUP BY state")
            .fetch_all(connection)
            .await?;
    Ok(states.into_iter().collect())
}

/// Why they wait, or have ended, the most frequent reason first.
///
/// # Errors
/// PostgreSQL's.
pub async fn reasons(
    connection: &mut PgConnection,
    user_ids: Option<&[String]>,
) -> sqlx::Result<Vec<Reason>> {
    sqlx::query_as(
        "SELECT state, error, count(*) AS ranges, min(due_at) FILTER (WHERE state = 'pending') AS due_at
         FROM garmin_pull.backfill
         WHERE error IS NOT NULL AND ($1 IS NULL OR user_id = ANY ($1))
         GROUP BY state, error
         ORDER BY ranges DESC, error",
    )
    .bind(user_ids)
    .fetch_all(connection)
    .await
}

/// How many of the ranges that wait, of whomever, have so many days: pairs of days and ranges.
///
/// # Errors
/// PostgreSQL's.
pub async fn lengths(connection: &mut PgConnection) -> sqlx::Result<Vec<(i64, i64)>> {
    sqlx::query_as(
        "SELECT ceil(extract(epoch FROM ends_at - starts_at) / 86400)::bigint AS days, count(*)
         FROM garmin_pull.backfill WHERE state = 'pending' GROUP BY 1",
    )
    .fetch_all(connection)
    .await
}

/// How far the ranges are that overlap with what is wanted.
///
/// # Errors
/// PostgreSQL's.
pub async fn progress(
    connection: &mut PgConnection,
    user_ids: &[String],
    kinds: &[&'static BackfillKind],
    range: Range,
) -> sqlx::Result<Progress> {
    sqlx::query_as(
        "SELECT count(*) AS total, count(*) FILTER (WHERE state <> 'pending') AS settled,
             count(*) FILTER (WHERE state = 'failed') AS failed
         FROM garmin_pull.backfill
         WHERE user_id = ANY ($1) AND summary_type = ANY ($2) AND starts_at < $4 AND ends_at > $3",
    )
    .bind(user_ids)
    .bind(super::keys(kinds))
    .bind(range.starts_at)
    .bind(range.ends_at)
    .fetch_one(connection)
    .await
}

/// Until when no worker asks Garmin for data, if they pause.
///
/// # Errors
/// PostgreSQL's.
pub async fn pause(connection: &mut PgConnection) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar("SELECT until FROM garmin_pull.pause WHERE until > now()")
        .fetch_optional(connection)
        .await
}
