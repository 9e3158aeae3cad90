//! Consents that have begun (`garmin_oauth.request_token`).
//!
//! A code or a verifier can be exchanged once. So one worker at a time claims the exchange, and what Garmin gives is
//! stored before anything else is asked of it: whatever happens then, the next attempt goes on from there.

use super::tokens::NewToken;
use apollo_shared::consent::{Started, StartedSecret, Status, SubjectId};
use apollo_shared::secrets::{Keyring, OpenError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long an exchange may take: more than Garmin has to answer.
const CLAIM: Duration = Duration::seconds(20);

/// How long a consent is remembered. Garmin's codes live for minutes; a page that is opened again tells the outcome.
pub const KEPT: Duration = Duration::DAY;

/// A consent as it is stored.
#[derive(Debug, sqlx::FromRow)]
pub struct Consent {
    /// Which.
    pub consent_id: Uuid,
    subject_id: String,
    /// Where Garmin was told to send the participant back to.
    pub redirect_uri: String,
    status: String,
    sealed: Option<Vec<u8>>,
}

/// How far a consent is.
pub enum Progress {
    /// What the participant brings back can be exchanged.
    Pending(StartedSecret),
    /// Tokens are there; their user is not known yet.
    Exchanged(NewToken),
    /// It is over.
    Over(Status),
}

/// A stored consent that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the consent {consent_id} cannot be opened")]
pub struct UnreadableConsentError {
    consent_id: Uuid,
    source: OpenError,
}

const EXCHANGED: &str = "exchanged";

impl Consent {
    /// Whom the account is to be linked with. `None` if somebody has changed the row by hand.
    #[must_use]
    pub fn subject_id(&self) -> Option<SubjectId> {
        SubjectId::parse(&self.subject_id).ok()
    }

    /// How far it is.
    ///
    /// # Errors
    /// The keys do not open what is stored.
    pub fn progress(&self, keyring: &Keyring) -> Result<Progress, UnreadableConsentError> {
        match self.status.as_str() {
            "pending" => Ok(Progress::Pending(self.open(keyring)?)),
            EXCHANGED => Ok(Progress::Exchanged(self.open(keyring)?)),
            over => Ok(Progress::Over(outcome(over))),
        }
    }

    fn open<T: DeserializeOwned>(&self, keyring: &Keyring) -> Result<T, UnreadableConsentError> {
        let unreadable = |source| UnreadableConsentError { consent_id: self.consent_id, source };
        let sealed = self.sealed.as_deref().ok_or_else(|| unreadable(OpenError::Format))?;
        let plain = keyring.open(sealed, self.consent_id.as_bytes()).map_err(unreadable)?;
        serde_json::from_slice(&plain).map_err(|_| unreadable(OpenError::Format))
    }
}

fn outcome(name: &str) -> Status {
    [Status::Linked, Status::SubjectTaken, Status::AccountTaken, Status::Declined]
        .into_iter()
        .find(|status| status.name() == name)
        .unwrap_or(Status::Failed)
}

fn seal<T: Serialize>(value: &T, consent_id: Uuid, keyring: &Keyring) -> Vec<u8> {
    // Strings in enums and structures always serialize.
    keyring.seal(&serde_json::to_vec(value).unwrap_or_default(), consent_id.as_bytes())
}

/// Notes that a consent has begun; one that is there already is left as it is.
///
/// # Errors
/// PostgreSQL's.
pub async fn start(
    connection: &mut PgConnection,
    keyring: &Keyring,
    started: &Started,
    secret: &StartedSecret,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let oauth_version: i16 = match secret {
        StartedSecret::RequestToken { .. } => 1,
        StartedSecret::CodeVerifier(_) => 2,
    };
    sqlx::query(
        "INSERT INTO garmin_oauth.request_token
             (consent_id, subject_id, oauth_version, redirect_uri, started_at, key_id, sealed)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT DO NOTHING",
    )
    .bind(started.consent_id)
    .bind(started.subject_id.as_str())
    .bind(oauth_version)
    .bind(&started.redirect_uri)
    .bind(at)
    .bind(keyring.first_id())
    .bind(seal(secret, started.consent_id, keyring))
    .execute(connection)
    .await?;
    Ok(())
}

/// A consent, if it has begun.
///
/// # Errors
/// PostgreSQL's.
pub async fn find(connection: &mut PgConnection, consent_id: Uuid) -> sqlx::Result<Option<Consent>> {
    sqlx::query_as(
        "SELECT consent_id, subject_id, redirect_uri, status, sealed
         FROM garmin_oauth.request_token WHERE consent_id = $1",
    )
    .bind(consent_id)
    .fetch_optional(connection)
    .await
}

/// Claims the exchange of a pending consent. False if another worker is at it, or it is not pending any more.
///
/// # Errors
/// PostgreSQL's.
pub async fn claim(connection: &mut PgConnection, consent_id: Uuid) -> sqlx::Result<bool> {
    let claimed = sqlx::query(
        "UPDATE garmin_oauth.request_token SET claimed_until = now() + $2
         WHERE consent_id = $1 AND status = 'pending' AND (claimed_until IS NULL OR claimed_until < now())",
    )
    .bind(consent_id)
    .bind(CLAIM)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Notes that Garmin was asked in vain, and gives the claim back. Returns how often it was before.
///
/// # Errors
/// PostgreSQL's.
pub async fn failed(connection: &mut PgConnection, consent_id: Uuid) -> sqlx::Result<u32> {
    let before: Option<i32> = sqlx::query_scalar(
        "UPDATE garmin_oauth.request_token SET attempts = attempts + 1, claimed_until = NULL
         WHERE consent_id = $1
         RETURNING attempts - 1",
    )
    .bind(consent_id)
    .fetch_optional(connection)
    .await?;
    Ok(before.and_then(|before| u32::try_from(before).ok()).unwrap_or(0))
}

/// Stores what Garmin gave in exchange, in the place of what it was given for.
///
/// # Errors
/// PostgreSQL's.
pub async fn exchanged(
    connection: &mut PgConnection,
    keyring: &Keyring,
    consent_id: Uuid,
    token: &NewToken,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE garmin_oauth.request_token SET status = 'exchanged', key_id = $2, sealed = $3
         WHERE consent_id = $1 AND status = 'pending'",
    )
    .bind(consent_id)
    .bind(keyring.first_id())
    .bind(seal(token, consent_id, keyring))
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a consent that is not over yet: its secrets go. Returns the outcome that counts, which is the first.
///
/// # Errors
/// PostgreSQL's.
pub async fn finish(connection: &mut PgConnection, consent_id: Uuid, status: Status) -> sqlx::Result<Status> {
    let counts: Option<String> = sqlx::query_scalar(
        "UPDATE garmin_oauth.request_token
         SET status = CASE WHEN status IN ('pending', 'exchanged') THEN $2 ELSE status END,
             key_id = NULL, sealed = NULL, claimed_until = NULL
         WHERE consent_id = $1
         RETURNING status",
    )
    .bind(consent_id)
    .bind(status.name())
    .fetch_optional(connection)
    .await?;
    Ok(counts.map_or(status, |name| outcome(&name)))
}

/// Deletes what began before `moment`. Returns how many.
///
/// # Errors
/// PostgreSQL's.
pub async fn delete_before(connection: &mut PgConnection, moment: OffsetDateTime) -> sqlx::Result<u64> {
    let deleted = sqlx::query("DELETE FROM garmin_oauth.request_token WHERE started_at < $1")
        .bind(moment)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}
