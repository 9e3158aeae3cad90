//! What all workers have asked Garmin for in the last minute, and until when they pause (schema `garmin_pull`).
//!
//! The clock is the server's, as the workers' may differ. One lock makes a look and what is decided on it one step.

use sqlx::PgConnection;
use std::time::Duration;
use time::OffsetDateTime;

/// The key of the advisory lock.
const PACE_LOCK: i64 = 0x7061_6365; // "pace"

/// What was granted in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Spent {
    /// Unix seconds.
    pub second: i64,
    /// Requests.
    pub requests: i64,
    /// Days of history.
    pub backfill_days: i64,
}

/// How things stand.
#[derive(Debug)]
pub struct Standing {
    /// The server's clock.
    pub now: OffsetDateTime,
    /// How often in a row Garmin has failed.
    pub failures: i32,
    /// The end of the last pause, if there was one.
    pub pause_until: Option<OffsetDateTime>,
    /// What was granted of late, the oldest first.
    pub spent: Vec<Spent>,
}

/// How things stand; no other worker looks until the end of the transaction.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn standing(connection: &mut PgConnection) -> sqlx::Result<Standing> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(PACE_LOCK).execute(&mut *connection).await?;
    // Not now(), which is when the transaction began to wait.
    let (now, failures, pause_until): (_, Option<i32>, _) = sqlx::query_as(
        "SELECT clock_timestamp(), failures, until FROM (SELECT) AS always LEFT JOIN garmin_pull.pause ON true",
    )
    .fetch_one(&mut *connection)
    .await?;
    let spent = sqlx::query_as(
        "SELECT second, requests, backfill_days FROM garmin_pull.request_second ORDER BY second",
    )
    .fetch_all(connection)
    .await?;
    Ok(Standing { now, failures: failures.unwrap_or(0), pause_until, spent })
}

/// Notes what is granted, and deletes what does not count any more: after `counted` seconds. So does what seems to lie
/// in the future by that much, as it does once the clock has been put back.
///
/// # Errors
/// PostgreSQL's. To be called in the transaction of [`standing`].
pub async fn spend(connection: &mut PgConnection, spent: &Spent, counted: i64) -> sqlx::Result<()> {
    sqlx::query(
        "WITH old AS (
             DELETE FROM garmin_pull.request_second WHERE second NOT BETWEEN $1 - $4 AND $1 + $4
         )
         INSERT INTO garmin_pull.request_second AS stored (second, requests, backfill_days)
         VALUES ($1, $2, $3)
         ON CONFLICT (second) DO UPDATE
         SET requests = stored.requests + excluded.requests,
             backfill_days = stored.backfill_days + excluded.backfill_days",
    )
    .bind(spent.second)
    .bind(spent.requests)
    .bind(spent.backfill_days)
    .bind(counted)
    .execute(connection)
    .await?;
    Ok(())
}

/// Nobody asks for so long, at least.
///
/// # Errors
/// PostgreSQL's.
pub async fn pause(connection: &mut PgConnection, pause: Duration) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO garmin_pull.pause AS stored (failures, until) VALUES (0, now() + $1)
         ON CONFLICT (only_row) DO UPDATE SET until = greatest(stored.until, excluded.until)",
    )
    .bind(pause)
    .execute(connection)
    .await?;
    Ok(())
}

/// Garmin has failed: nobody asks for 1 s, and twice as long each time in a row, up to a minute. What fails during a
/// pause was on its way before it, and adds nothing.
///
/// # Errors
/// PostgreSQL's.
pub async fn failed(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO garmin_pull.pause AS stored (failures, until) VALUES (1, now() + interval '1 second')
         ON CONFLICT (only_row) DO UPDATE
         SET failures = least(stored.failures + 1, 6),
             until = now() + least(2 ^ stored.failures, 60) * interval '1 second'
         WHERE stored.until <= now()",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Garmin has answered: the next pause is short again. One that runs goes on, as the answer may be older than it.
///
/// # Errors
/// PostgreSQL's.
pub async fn succeeded(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE garmin_pull.pause SET failures = 0 WHERE failures > 0").execute(connection).await?;
    Ok(())
}
