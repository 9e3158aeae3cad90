//! Access tokens, sealed (`garmin_oauth.access_token`).
//!
//! OAuth 2.0 tokens are renewed by whichever worker moves `refresh_after` ahead first, so no two do it at once: each
//! renewal ends the refresh token that it was made with (garmin-health-api.md 5).

use apollo_shared::secrets::{Keyring, OpenError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use std::fmt;
use time::{Duration, OffsetDateTime};

/// How long before its end a token is renewed; one that lives shorter than twice this, at half its life. Long enough
/// for an outage of ours or Garmin's.
const AHEAD: Duration = Duration::hours(1);

/// How long a worker that renews a token keeps others from it.
const CLAIM: Duration = Duration::minutes(2);

/// What lets us call Garmin for a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// OAuth 1.0a: does not end by itself.
    Oauth1 {
        /// What notifications call `userAccessToken`.
        token: String,
        /// What requests are signed with.
        secret: String,
    },
    /// OAuth 2.0.
    Oauth2 {
        /// The bearer token.
        access_token: String,
        /// What the next tokens are got with.
        refresh_token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuth {} credentials", self.oauth_version())
    }
}

impl Credentials {
    /// 1 or 2.
    #[must_use]
    pub const fn oauth_version(&self) -> i16 {
        match self {
            Self::Oauth1 { .. } => 1,
            Self::Oauth2 { .. } => 2,
        }
    }

    /// By which the token is found again.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Oauth1 { token, .. } => token_digest(token),
            Self::Oauth2 { access_token, .. } => token_digest(access_token),
        }
    }

    fn seal(&self, keyring: &Keyring) -> Vec<u8> {
        // Strings in an enum always serialize.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        keyring.seal(&plain, &self.digest())
    }
}

/// By which a token is found again.
#[must_use]
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A token as Garmin gave it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// The token itself.
    pub credentials: Credentials,
    /// OAuth 2.0: when the access token ends.
    #[serde(with = "time::serde::timestamp::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// OAuth 2.0: when the refresh token ends.
    #[serde(with = "time::serde::timestamp::option")]
    pub refresh_expires_at: Option<OffsetDateTime>,
    /// OAuth 2.0: what it is good for, in Garmin's words.
    pub scope: Option<String>,
}

impl NewToken {
    /// When it should be renewed.
    fn refresh_after(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.expires_at.map(|expires_at| expires_at - AHEAD.min((expires_at - now) / 2))
    }
}

/// A token as it is stored.
#[derive(Clone, sqlx::FromRow)]
pub struct StoredToken {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub user_id: String,
    /// 1 or 2.
    pub oauth_version: i16,
    /// By which it is found.
    pub token_digest: Vec<u8>,
    /// When it ends, if it does.
    pub expires_at: Option<OffsetDateTime>,
    sealed: Vec<u8>,
}

impl fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuth {} token {}", self.oauth_version, self.id)
    }
}

/// A stored token that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the access token {id} cannot be opened")]
pub struct UnreadableTokenError {
    id: i64,
    source: OpenError,
}

impl StoredToken {
    /// The token itself.
    ///
    /// # Errors
    /// The keys do not open it.
    pub fn open(&self, keyring: &Keyring) -> Result<Credentials, UnreadableTokenError> {
        let unreadable = |source| UnreadableTokenError { id: self.id, source };
        let plain = keyring.open(&self.sealed, &self.token_digest).map_err(unreadable)?;
        serde_json::from_slice(&plain).map_err(|_| unreadable(OpenError::Format))
    }

    /// Whether it is about to end, or has.
    #[must_use]
    pub fn ends_before(&self, moment: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= moment)
    }
}

/// Stores a token of a user who is on record. False if it is there already; then it is left as it is.
///
/// # Errors
/// PostgreSQL's.
pub async fn insert(
    connection: &mut PgConnection,
    keyring: &Keyring,
    user_id: &str,
    token: &NewToken,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO garmin_oauth.access_token
             (user_id, oauth_version, token_digest, key_id, sealed, expires_at, refresh_expires_at, scope, refresh_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (token_digest) DO NOTHING",
    )
    .bind(user_id)
    .bind(token.credentials.oauth_version())
    .bind(token.credentials.digest())
    .bind(keyring.first_id())
    .bind(token.credentials.seal(keyring))
    .bind(token.expires_at)
    .bind(token.refresh_expires_at)
    .bind(&token.scope)
    .bind(token.refresh_after(OffsetDateTime::now_utc()))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The tokens of a user that Garmin has not refused, the newest of the newer OAuth version first.
///
/// # Errors
/// PostgreSQL's.
pub async fn of_user(connection: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<StoredToken>> {
    sqlx::query_as(
        "SELECT id, user_id, oauth_version, token_digest, expires_at, sealed
         FROM garmin_oauth.access_token
         WHERE user_id = $1 AND refused_at IS NULL
         ORDER BY oauth_version DESC, id DESC",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// Deletes a token.
///
/// # Errors
/// PostgreSQL's.
pub async fn delete(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM garmin_oauth.access_token WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// Notes that Garmin has refused a token: it is not used any more.
///
/// # Errors
/// PostgreSQL's.
pub async fn mark_refused(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE garmin_oauth.access_token SET refused_at = now() WHERE id = $1 AND refused_at IS NULL",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the renewal of a token due that Garmin has refused before its time. False if it is not stored like this any more,
/// or a worker is renewing it: it has claimed it for `CLAIM`.
///
/// # Errors
/// PostgreSQL's.
pub async fn make_due(connection: &mut PgConnection, refused: &StoredToken) -> sqlx::Result<bool> {
    let made = sqlx::query(
        "UPDATE garmin_oauth.access_token SET refresh_after = now()
         WHERE id = $1 AND token_digest = $2 AND refused_at IS NULL
             AND (refresh_after <= now() OR refresh_after > now() + $3)",
    )
    .bind(refused.id)
    .bind(&refused.token_digest)
    .bind(CLAIM)
    .execute(connection)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Takes a token whose renewal is due, so that no other worker renews it meanwhile; `id` for that one only.
///
/// # Errors
/// PostgreSQL's.
pub async fn claim_refresh(
    connection: &mut PgConnection,
    id: Option<i64>,
) -> sqlx::Result<Option<StoredToken>> {
    sqlx::query_as(
        "UPDATE garmin_oauth.access_token
         SET refresh_after = now() + $2
         WHERE id = (
             SELECT id FROM garmin_oauth.access_token
             WHERE oauth_version = 2 AND refused_at IS NULL AND refresh_after <= now() AND ($1 IS NULL OR id = $1)
             ORDER BY refresh_after
             LIMIT 1
             FOR UPDATE SKIP LOCKED
         )
         RETURNING id, user_id, oauth_version, token_digest, expires_at, sealed",
    )
    .bind(id)
    .bind(CLAIM)
    .fetch_optional(connection)
    .await
}

/// Puts the renewed token in the place of the old one, in one step. False if the row has gone: the user has
/// deregistered meanwhile.
///
/// # Errors
/// PostgreSQL's.
pub async fn replace(
    connection: &mut PgConnection,
    keyring: &Keyring,
    id: i64,
    token: &NewToken,
) -> sqlx::Result<bool> {
    let replaced = sqlx::query(
        "UPDATE garmin_oauth.access_token
         SET token_digest = $2, key_id = $3, sealed = $4, expires_at = $5, refresh_expires_at = $6,
             scope = coalesce($7, scope), refresh_after = $8
         WHERE id = $1",
    )
    .bind(id)
    .bind(token.credentials.digest())
    .bind(keyring.first_id())
    .bind(token.credentials.seal(keyring))
    .bind(token.expires_at)
    .bind(token.refresh_expires_at)
    .bind(&token.scope)
    .bind(token.refresh_after(OffsetDateTime::now_utc()))
    .execute(connection)
    .await?;
    Ok(replaced.rows_affected() == 1)
}

/// Tries a renewal that has failed again after `pause`.
///
/// # Errors
/// PostgreSQL's.
pub async fn put_off_refresh(connection: &mut PgConnection, id: i64, pause: Duration) -> sqlx::Result<()> {
    sqlx::query("UPDATE garmin_oauth.access_token SET refresh_after = now() + $2 WHERE id = $1")
        .bind(id)
        .bind(pause)
        .execute(connection)
        .await?;
    Ok(())
}
