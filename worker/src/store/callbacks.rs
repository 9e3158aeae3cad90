//! The callback URLs in pings, and what became of them (`garmin_pull.callback`).
//!
//! The first message with a URL owns it, and stays its owner when it comes again, be it after a restart or to try once
//! more. Another message with the same URL is a repetition of Garmin's, and has nothing to do.

use super::error::StoreError;
use super::raw::instant;
use super::withdrawals;
use apollo_shared::envelope::{Envelope, Microseconds};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

/// How long a URL is remembered. Garmin repeats pings for a week (garmin-health-api.md 2.3).
pub const KEPT: Duration = Duration::days(30);

/// A callback URL.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'a> {
    /// What it is known by.
    pub digest: [u8; 32],
    /// Whose data it leads to.
    pub user_id: &'a str,
    /// The key that its ping came under.
    pub summary_type: &'a str,
}

/// Whose a callback URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This message's, and still to be fetched.
    Ours,
    /// This message's, and its file is stored.
    Fetched,
    /// Another message's: this one repeats it.
    Repeated,
    /// The user's consent had ended when the ping came, or has since.
    Withdrawn,
}

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It will be tried again.
    Waiting,
    /// It is fetched.
    Fetched,
    /// It was used before, or its time is over.
    Gone,
    /// The user does not permit it.
    NotPermitted,
    /// The user's consent had ended.
    Withdrawn,
    /// Its message is a dead letter. The next ping with this URL is followed.
    Failed,
}

impl State {
    /// The name in the table and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetched => "fetched",
            Self::Gone => "gone",
            Self::NotPermitted => "not_permitted",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
        }
    }
}

/// Claims a callback URL for the message with this envelope. `stored` says whether what was fetched is stored by then, so
/// that a message that comes again has nothing left to do.
///
/// # Errors
/// See [`StoreError`].
pub async fn claim(
    connection: &mut PgConnection,
    callback: &Callback<'_>,
    envelope: &Envelope,
    stored: bool,
) -> Result<Claim, StoreError> {
    let moments = [envelope.received_at, Microseconds::now()];
    if withdrawals::forbids(connection, callback.user_id, &moments).await? {
        return Ok(Claim::Withdrawn);
    }
    let (ours, fetched): (bool, bool) = sqlx::query_as(
        "INSERT INTO garmin_pull.callback AS stored
             (digest, user_id, summary_type, message_id, entry_index, announced_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (digest) DO UPDATE SET
             message_id = CASE WHEN stored.state = 'failed' THEN excluded.message_id ELSE stored.message_id END,
             entry_index = CASE WHEN stored.state = 'failed' THEN excluded.entry_index ELSE stored.entry_index END,
             state = CASE WHEN stored.state = 'failed' THEN 'waiting' ELSE stored.state END,
             repeats = stored.repeats
                 + ((stored.message_id, stored.entry_index) <> (excluded.message_id, excluded.entry_index))::integer
         RETURNING (message_id, entry_index) = ($4, $5), state = 'fetched'",
    )
    .bind(callback.digest)
    .bind(callback.user_id)
    .bind(callback.summary_type)
    .bind(envelope.message_id)
    .bind(i32::try_from(envelope.first_entry_index).unwrap_or(i32::MAX))
    .bind(instant(envelope.received_at))
    .fetch_one(connection)
    .await?;
    Ok(match (ours, fetched && stored) {
        (false, _) => Claim::Repeated,
        (true, true) => Claim::Fetched,
        (true, false) => Claim::Ours,
    })
}

/// Notes what became of one. What is fetched once stays so, whatever comes of asking again.
///
/// # Errors
/// See [`StoreError`].
pub async fn settle(
    connection: &mut PgConnection,
    digest: [u8; 32],
    state: State,
    status: Option<u16>,
    entries: Option<u32>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE garmin_pull.callback
         SET state = $2, status = coalesce($3, status), entries = $4,
             settled_at = CASE WHEN $2 = 'waiting' THEN NULL ELSE now() END
         WHERE digest = $1 AND (state <> 'fetched' OR $2 = 'fetched')",
    )
    .bind(digest)
    .bind(state.name())
    .bind(status.map(u16::cast_signed))
    .bind(entries.map(|entries| i32::try_from(entries).unwrap_or(i32::MAX)))
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets those that were announced before a moment. Returns how many.
///
/// # Errors
/// PostgreSQL's.
pub async fn delete_before(connection: &mut PgConnection, oldest: OffsetDateTime) -> sqlx::Result<u64> {
    let delete = "DELETE FROM garmin_pull.callback WHERE announced_at < $1";
    Ok(sqlx::query(delete).bind(oldest).execute(connection).await?.rows_affected())
}
