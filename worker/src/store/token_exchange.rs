//! OAuth 1.0a tokens that are still to be exchanged for OAuth 2.0 ones, before Garmin retires OAuth 1.0a on 31 December
//! 2026.

use super::accounts::lock;
use super::tokens::{self, NewToken, StoredToken};
use apollo_shared::secrets::Keyring;
use sqlx::PgConnection;

/// The key of the advisory lock that the one program that exchanges holds.
const EXCHANGE_LOCK: i64 = 0x6578_6368_616e_6765; // "exchange"

/// A token that is due.
#[derive(Debug, sqlx::FromRow)]
pub struct Due {
    /// The token.
    #[sqlx(flatten)]
    pub token: StoredToken,
    /// Whom its user is linked with.
    pub subject_id: Option<String>,
    /// How many there are from this one on.
    pub remaining: i64,
}

/// Keeps other programs from exchanging for as long as the connection lives. False if another is at it.
///
/// # Errors
/// PostgreSQL's.
pub async fn begin(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(EXCHANGE_LOCK).fetch_one(connection).await
}

/// The newest token before the row `before` that is neither exchanged nor refused, and whose user has no living OAuth
/// 2.0 token. The newest first: of several of one user, it is the one that is likeliest to live.
///
/// # Errors
/// PostgreSQL's.
pub async fn next_due(connection: &mut PgConnection, before: i64) -> sqlx::Result<Option<Due>> {
    sqlx::query_as(
        "SELECT id, user_id, oauth_version, token_digest, expires_at, sealed, subject_id,
                count(*) OVER () AS remaining
         FROM garmin_oauth.access_token AS due LEFT JOIN garmin_oauth.subject USING (user_id)
         WHERE oauth_version = 1 AND refused_at IS NULL AND exchanged_at IS NULL AND id < $1
           AND NOT EXISTS (
               SELECT FROM garmin_oauth.access_token AS newer
               WHERE newer.user_id = due.user_id AND newer.oauth_version = 2 AND newer.refused_at IS NULL
                 AND (newer.refresh_expires_at IS NULL OR newer.refresh_expires_at > now()))
         ORDER BY id DESC
         LIMIT 1",
    )
    .bind(before)
    .fetch_optional(connection)
    .await
}

/// Stores what an OAuth 1.0a token was exchanged for, and notes that it was. False if it has gone: the user has
/// deregistered meanwhile, and what was got is not kept either.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn exchanged(
    connection: &mut PgConnection,
    keyring: &Keyring,
    old: &StoredToken,
    new: &NewToken,
) -> sqlx::Result<bool> {
    lock(&mut *connection).await?;
    let noted = sqlx::query("UPDATE garmin_oauth.access_token SET exchanged_at = now() WHERE id = $1")
        .bind(old.id)
        .execute(&mut *connection)
        .await?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    tokens::insert(connection, keyring, &old.user_id, new).await?;
    Ok(true)
}
