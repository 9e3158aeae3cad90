//! Which ranges of history are to be asked for, and what has become of them (`garmin_pull.backfill`).
//!
//! The ranges of one user and type never overlap: what is wanted anew are the gaps between those that are there. So every
//! moment is asked for once, however often and by whomever it is wanted.

pub mod overview;

use super::accounts;
use crate::backfill::{BackfillKind, Range, State};
use sqlx::PgConnection;
use std::time::Duration;
use time::OffsetDateTime;

/// The key of the advisory lock under which gaps are looked for and filled.
const BACKFILL_LOCK: i64 = 0x6261_636b_6669_6c6c; // "backfill"

/// How long a worker that asks for a range keeps others from it: longer than the call and a renewal of the token take.
const CLAIM: Duration = Duration::from_secs(120);

/// A gap shorter than this is no request worth, as every summary is longer, or comes by itself: it lies between two wishes
/// for everything up to now.
const SHORTEST_GAP: Duration = Duration::from_secs(3600);

/// How long a minimum that was learnt is applied to what is asked for later: it may move.
const MINIMUM_HOLDS: Duration = Duration::from_secs(86_400);

/// What is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Of whom; who has withdrawn is left out.
    pub user_ids: &'a [String],
    /// Which types.
    pub kinds: &'a [&'static BackfillKind],
    /// When it was recorded.
    pub range: Range,
    /// States of ranges that are asked for again, as a whole, if they overlap with what is wanted.
    pub again: &'a [State],
}

/// What came of a wish.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Ranges that were not there before.
    pub new: u64,
    /// Ranges that are asked for again.
    pub again: u64,
}

/// A range that is being asked for.
#[derive(Debug, sqlx::FromRow)]
pub struct Due {
    /// Its row.
    pub id: i64,
    /// Whose history.
    pub user_id: String,
    /// The key of what is asked for.
    pub summary_type: String,
    /// How often Garmin has been asked in vain.
    pub attempts: i32,
    starts_at: OffsetDateTime,
    ends_at: OffsetDateTime,
}

impl Due {
    /// What is asked for.
    #[must_use]
    pub fn range(&self) -> Range {
        Range { starts_at: self.starts_at, ends_at: self.ends_at }
    }
}

/// Whose ranges, and of what: everybody's or everything where nothing is named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Garmin's id of a user.
    pub user_id: Option<&'a str>,
    /// The key of a type.
    pub summary_type: Option<&'a str>,
}

/// How a range, or all that wait of a scope, has ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// What it is now.
    pub state: State,
    /// Garmin's answer, an HTTP status, if there was one.
    pub status: Option<u16>,
    /// Why, for an operator.
    pub error: Option<&'a str>,
}

/// Stores what is wanted and is not there yet, cut into ranges that Garmin takes.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn want(connection: &mut PgConnection, wanted: &Wanted<'_>) -> sqlx::Result<Stored> {
    let again = ask_again(&mut *connection, wanted).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(BACKFILL_LOCK).execute(&mut *connection).await?;
    let mut parts = Vec::new();
    for (user_id, key, range) in gaps(&mut *connection, wanted).await? {
        let Some(kind) = BackfillKind::of_key(&key) else { continue };
        parts.extend(range.cut(kind.longest()).map(|part| (user_id.clone(), kind.key, part)));
    }
    // The newest history first, of all users: that is what a study needs most.
    parts.sort_by_key(|(_, _, part)| std::cmp::Reverse(part.ends_at));
    insert(&mut *connection, &parts).await?;
    apply_minima(connection, wanted.user_ids).await?;
    Ok(Stored { new: parts.len() as u64, again })
}

/// Asks again for the ranges that are there, overlap with what is wanted, and are in one of its states. Returns how many.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn ask_again(connection: &mut PgConnection, wanted: &Wanted<'_>) -> sqlx::Result<u64> {
    // Who withdraws meanwhile does so before or after.
    accounts::lock_shared(&mut *connection).await?;
    let asked = sqlx::query(
        "UPDATE garmin_pull.backfill AS asked
         SET state = 'pending', attempts = 0, due_at = now(), claimed_until = NULL, settled_at = NULL,
             status = NULL, error = NULL
         FROM garmin_oauth.user_id AS of_user
         WHERE of_user.user_id = asked.user_id AND of_user.active
             AND asked.user_id = ANY ($1) AND summary_type = ANY ($2) AND starts_at < $4 AND ends_at > $3
             AND state = ANY ($5)
             AND NOT EXISTS (
                 SELECT FROM garmin_pull.backfill_minimum AS minimum
                 WHERE state = 'before_minimum' AND minimum.starts_at >= asked.ends_at AND learnt_at > now() - $6
                     AND (minimum.user_id, minimum.summary_type) = (asked.user_id, asked.summary_type)
             )",
    )
    .bind(wanted.user_ids)
    .bind(keys(wanted.kinds))
    .bind(wanted.range.starts_at)
    .bind(wanted.range.ends_at)
    .bind(wanted.again.iter().map(|state| state.name()).collect::<Vec<_>>())
    .bind(MINIMUM_HOLDS)
    .execute(connection)
    .await?;
    Ok(asked.rows_affected())
}

/// What counts for the history of a user whose data may be stored.
#[derive(Debug, sqlx::FromRow)]
pub struct Participant {
    /// When they completed their last consent.
    pub registered_at: Option<OffsetDateTime>,
    /// What they let Garmin send, if that is known.
    pub permissions: Option<Vec<String>>,
}

/// A user whose data may be stored.
///
/// # Errors
/// PostgreSQL's.
pub async fn participant(connection: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<Participant>> {
    sqlx::query_as(
        "SELECT registered_at, permissions FROM garmin_oauth.user_id WHERE user_id = $1 AND active",
    )
    .bind(user_id)
    .fetch_optional(connection)
    .await
}

fn keys(kinds: &[&'static BackfillKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.key).collect()
}

async fn gaps(
    connection: &mut PgConnection,
    wanted: &Wanted<'_>,
) -> sqlx::Result<Vec<(String, String, Range)>> {
    let gaps: Vec<(String, String, OffsetDateTime, OffsetDateTime)> = sqlx::query_as(
        "SELECT user_id, summary_type, lower(gap), upper(gap)
         FROM garmin_oauth.user_id
         CROSS JOIN unnest($2::text[]) AS summary_type
         CROSS JOIN LATERAL (
             SELECT tstzmultirange(tstzrange($3, $4))
                 - coalesce(range_agg(tstzrange(starts_at, ends_at)), '{}') AS missing
             FROM garmin_pull.backfill AS asked
             WHERE asked.user_id = user_id.user_id AND asked.summary_type = summary_type.summary_type
         ) AS of_user
         CROSS JOIN unnest(missing) AS gap
         WHERE active AND user_id = ANY ($1)
             AND (upper(gap) - lower(gap) >= $5 OR gap = tstzrange($3, $4))
         ORDER BY user_id, summary_type",
    )
    .bind(wanted.user_ids)
    .bind(keys(wanted.kinds))
    .bind(wanted.range.starts_at)
    .bind(wanted.range.ends_at)
    .bind(SHORTEST_GAP)
    .fetch_all(connection)
    .await?;
    let range = |(user_id, key, starts_at, ends_at)| (user_id, key, Range { starts_at, ends_at });
    Ok(gaps.into_iter().map(range).collect())
}

async fn insert(connection: &mut PgConnection, parts: &[(String, &str, Range)]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO garmin_pull.backfill (user_id, summary_type, starts_at, ends_at)
         SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])",
    )
    .bind(parts.iter().map(|(user_id, ..)| user_id.as_str()).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
    .bind(parts.iter().map(|(.., part)| part.starts_at).collect::<Vec<_>>())
    .bind(parts.iter().map(|(.., part)| part.ends_at).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the next range that is due, so that no other worker asks for it meanwhile.
///
/// # Errors
/// PostgreSQL's.
pub async fn claim(connection: &mut PgConnection) -> sqlx::Result<Option<Due>> {
    sqlx::query_as(
        "UPDATE garmin_pull.backfill SET claimed_until = now() + $1
         WHERE id = (
             SELECT id FROM garmin_pull.backfill
             WHERE state = 'pending' AND due_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
             ORDER BY due_at, id
             LIMIT 1
             FOR UPDATE SKIP LOCKED
         )
         RETURNING id, user_id, summary_type, attempts, starts_at, ends_at",
    )
    .bind(CLAIM)
    .fetch_optional(connection)
    .await
}

/// Gives a range back that was not asked for.
///
/// # Errors
/// PostgreSQL's.
pub async fn release(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE garmin_pull.backfill SET claimed_until = NULL WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends one range. What Garmin has answered counts, even if the range was given up meanwhile.
///
/// # Errors
/// PostgreSQL's.
pub async fn settle(connection: &mut PgConnection, id: i64, end: &End<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE garmin_pull.backfill
         SET state = $2, status = $3, error = $4, settled_at = now(), claimed_until = NULL
         WHERE id = $1",
    )
    .bind(id)
    .bind(end.state.name())
    .bind(status(end.status))
    .bind(end.error)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends all ranges of a scope that wait. Returns how many.
///
/// # Errors
/// PostgreSQL's.
pub async fn settle_all(connection: &mut PgConnection, scope: Scope<'_>, end: &End<'_>) -> sqlx::Result<u64> {
    let settled = sqlx::query(
        "UPDATE garmin_pull.backfill
         SET state = $3, status = $4, error = $5, settled_at = now(), claimed_until = NULL
         WHERE state = 'pending' AND ($1 IS NULL OR user_id = $1) AND ($2 IS NULL OR summary_type = $2)",
    )
    .bind(scope.user_id)
    .bind(scope.summary_type)
    .bind(end.state.name())
    .bind(status(end.status))
    .bind(end.error)
    .execute(connection)
    .await?;
    Ok(settled.rows_affected())
}

fn status(status: Option<u16>) -> Option<i16> {
    status.and_then(|status| i16::try_from(status).ok())
}

/// Asks for a range again after `pause`.
///
/// # Errors
/// PostgreSQL's.
pub async fn put_off(
    connection: &mut PgConnection,
    id: i64,
    pause: Duration,
    status_of_answer: Option<u16>,
    error: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE garmin_pull.backfill
         SET attempts = attempts + 1, due_at = now() + $2, claimed_until = NULL, status = $3, error = $4
         WHERE id = $1 AND state = 'pending'",
    )
    .bind(id)
    .bind(pause)
    .bind(status(status_of_answer))
    .bind(error)
    .execute(connection)
    .await?;
    Ok(())
}

/// Cuts a range in two that Garmin finds too long, and with it all others of its type that wait and are as long.
///
/// # Errors
/// PostgreSQL's.
pub async fn halve(connection: &mut PgConnection, due: &Due) -> sqlx::Result<()> {
    sqlx::query(
        "WITH long AS (
             SELECT id, user_id, summary_type, ends_at,
                 date_trunc('second', starts_at + (ends_at - starts_at) / 2) AS middle
             FROM garmin_pull.backfill
             WHERE id = $1 OR (
                 summary_type = $2 AND state = 'pending' AND ends_at - starts_at >= $3
                 AND (claimed_until IS NULL OR claimed_until <= now())
             )
             FOR UPDATE
         ), halved AS (
             UPDATE garmin_pull.backfill SET ends_at = middle, claimed_until = NULL
             FROM long WHERE long.id = backfill.id
         )
         INSERT INTO garmin_pull.backfill (user_id, summary_type, starts_at, ends_at)
         SELECT user_id, summary_type, middle, ends_at FROM long",
    )
    .bind(due.id)
    .bind(&due.summary_type)
    .bind(due.range().length())
    .execute(connection)
    .await?;
    Ok(())
}

/// Learns how far back Garmin reaches for a user and type, and applies it to all ranges that wait.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn learn_minimum(
    connection: &mut PgConnection,
    due: &Due,
    minimum: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO garmin_pull.backfill_minimum (user_id, summary_type, starts_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, summary_type) DO UPDATE SET starts_at = excluded.starts_at, learnt_at = now()",
    )
    .bind(&due.user_id)
    .bind(&due.summary_type)
    .bind(minimum)
    .execute(&mut *connection)
    .await?;
    release(&mut *connection, due.id).await?;
    apply_minima(connection, std::slice::from_ref(&due.user_id)).await
}

/// Closes what lies before a minimum that was learnt of late; what begins before it and ends after it is cut there.
async fn apply_minima(connection: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query(
        "WITH early AS (
             SELECT id, asked.user_id, summary_type, asked.ends_at, least(asked.ends_at, minimum.starts_at) AS cut_at
             FROM garmin_pull.backfill AS asked
             JOIN garmin_pull.backfill_minimum AS minimum USING (user_id, summary_type)
             WHERE user_id = ANY ($1) AND learnt_at > now() - $2
                 AND state = 'pending' AND asked.starts_at < minimum.starts_at
                 AND (claimed_until IS NULL OR claimed_until <= now())
             FOR UPDATE OF asked
         ), closed AS (
             UPDATE garmin_pull.backfill
             SET state = 'before_minimum', ends_at = cut_at, status = 400, error = NULL, settled_at = now(),
                 claimed_until = NULL
             FROM early WHERE early.id = backfill.id
         )
         INSERT INTO garmin_pull.backfill (user_id, summary_type, starts_at, ends_at)
         SELECT user_id, summary_type, cut_at, ends_at FROM early WHERE cut_at < ends_at",
    )
    .bind(user_ids)
    .bind(MINIMUM_HOLDS)
    .execute(connection)
    .await?;
    Ok(())
}
