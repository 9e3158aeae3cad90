//! Who the data is about: users, the subjects they are linked with, and withdrawals (schema `garmin_oauth`).
//!
//! Every change of whether a user's data may be stored happens under one lock, held exclusively and for a moment. A
//! batch of summaries holds it shared from its look at the withdrawals to its commit, so that none slips through in
//! between (design.md, law 6).

use super::backfill;
use super::tokens::{self, NewToken};
use crate::backfill::State;
use apollo_shared::consent::{Status, SubjectId};
use apollo_shared::secrets::Keyring;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

/// The key of the advisory lock.
const ACCOUNT_LOCK: i64 = 0x0061_6363_6f75_6e74; // "account"

/// Waits until no other transaction looks at or changes accounts; until the end of this one.
pub(super) async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ACCOUNT_LOCK).execute(connection).await?;
    Ok(())
}

/// Waits until no other transaction changes accounts, and keeps them from it until the end of this one.
pub(super) async fn lock_shared(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(ACCOUNT_LOCK).execute(connection).await?;
    Ok(())
}

/// By which a user who was erased is known again.
#[must_use]
pub fn user_digest(user_id: &str) -> [u8; 32] {
    Sha256::digest(user_id).into()
}

/// A completed consent.
#[derive(Debug)]
pub struct Link<'a> {
    /// The study's participant.
    pub subject_id: &'a SubjectId,
    /// Garmin's user.
    pub user_id: &'a str,
    /// When the participant came back from Garmin.
    pub consented_at: OffsetDateTime,
    /// What Garmin gave.
    pub token: &'a NewToken,
    /// What the user lets Garmin send, if that is known.
    pub permissions: Option<&'a [String]>,
}

impl Link<'_> {
    /// Links the two, stores the token, and makes the user active; one who was erased, for what is received from now
    /// on. A conflict changes nothing, and is returned: [`Status::Linked`], [`Status::SubjectTaken`] or
    /// [`Status::AccountTaken`].
    ///
    /// # Errors
    /// PostgreSQL's. To be called in a transaction.
    pub async fn store(&self, connection: &mut PgConnection, keyring: &Keyring) -> sqlx::Result<Status> {
        lock(&mut *connection).await?;
        if let Some(conflict) = self.conflict(&mut *connection).await? {
            return Ok(conflict);
        }
        sqlx::query(
            "INSERT INTO garmin_oauth.user_id AS stored (user_id, active, registered_at, permissions)
             VALUES ($1, true, greatest($2, (SELECT erased_at FROM garmin_oauth.erased WHERE user_digest = $4)), $3)
             ON CONFLICT (user_id) DO UPDATE
             SET active = true,
                 registered_at = greatest(stored.registered_at, stored.deregistered_at, excluded.registered_at),
                 permissions = coalesce(excluded.permissions, stored.permissions)",
        )
        .bind(self.user_id)
        .bind(self.consented_at)
        .bind(self.permissions)
        .bind(user_digest(self.user_id))
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO garmin_oauth.subject (subject_id, user_id, linked_at) VALUES ($1, $2, $3)
             ON CONFLICT (subject_id) DO NOTHING",
        )
        .bind(self.subject_id.as_str())
        .bind(self.user_id)
        .bind(self.consented_at)
        .execute(&mut *connection)
        .await?;
        tokens::insert(connection, keyring, self.user_id, self.token).await?;
        Ok(Status::Linked)
    }

    async fn conflict(&self, connection: &mut PgConnection) -> sqlx::Result<Option<Status>> {
        let taken: Vec<(String, String)> = sqlx::query_as(
            "SELECT subject_id, user_id FROM garmin_oauth.subject WHERE subject_id = $1 OR user_id = $2",
        )
        .bind(self.subject_id.as_str())
        .bind(self.user_id)
        .fetch_all(connection)
        .await?;
        let subject =
            taken.iter().any(|(subject, user)| subject == self.subject_id.as_str() && user != self.user_id);
        let account =
            taken.iter().any(|(subject, user)| user == self.user_id && subject != self.subject_id.as_str());
        Ok(match (subject, account) {
            (true, _) => Some(Status::SubjectTaken),
            (false, true) => Some(Status::AccountTaken),
            (false, false) => None,
        })
    }
}

/// Ends a user's consent as of `at`: the tokens are deleted, no more history is asked for, and nothing received later is stored any more. A user
/// who is not on record is put there, so that data that is still under way is not stored either. Of several ends
/// without a consent in between the first counts. Returns the moment that counts.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn deregister(
    connection: &mut PgConnection,
    user_id: &str,
    at: OffsetDateTime,
) -> sqlx::Result<Option<OffsetDateTime>> {
    lock(&mut *connection).await?;
    sqlx::query("DELETE FROM garmin_oauth.access_token WHERE user_id = $1")
        .bind(user_id)
        .execute(&mut *connection)
        .await?;
    let of_user = backfill::Scope { user_id: Some(user_id), summary_type: None };
    let end =
        backfill::End { state: State::NoConsent, status: None, error: Some("the participant has withdrawn") };
    backfill::settle_all(&mut *connection, of_user, &end).await?;
    sqlx::query_scalar(
        "INSERT INTO garmin_oauth.user_id AS stored (user_id, active, deregistered_at)
         SELECT $1, false, $2
         WHERE EXISTS (SELECT FROM garmin_oauth.user_id WHERE user_id = $1)
            OR NOT EXISTS (SELECT FROM garmin_oauth.erased WHERE user_digest = $3)
         ON CONFLICT (user_id) DO UPDATE
         SET active = false,
             deregistered_at = CASE
                 WHEN stored.active THEN greatest(stored.registered_at, excluded.deregistered_at)
                 ELSE least(stored.deregistered_at,
                            greatest(stored.registered_at, excluded.deregistered_at))
             END
         RETURNING deregistered_at",
    )
    .bind(user_id)
    .bind(at)
    .bind(user_digest(user_id))
    .fetch_optional(connection)
    .await
}

/// Notes what a user lets Garmin send. What was changed before what is on record changes nothing.
///
/// # Errors
/// PostgreSQL's.
pub async fn set_permissions(
    connection: &mut PgConnection,
    user_id: &str,
    permissions: &[String],
    changed_at: OffsetDateTime,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    lock_shared(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO garmin_oauth.user_id AS stored (user_id, permissions, permissions_changed_at)
         SELECT $1, $2, $3
         WHERE EXISTS (SELECT FROM garmin_oauth.user_id WHERE user_id = $1)
            OR NOT EXISTS (SELECT FROM garmin_oauth.erased WHERE user_digest = $4)
         ON CONFLICT (user_id) DO UPDATE
         SET permissions = excluded.permissions, permissions_changed_at = excluded.permissions_changed_at
         WHERE stored.permissions_changed_at IS NULL
            OR stored.permissions_changed_at <= excluded.permissions_changed_at",
    )
    .bind(user_id)
    .bind(permissions)
    .bind(changed_at)
    .bind(user_digest(user_id))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// A subject, and what is known of the user it is linked with.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Subject {
    /// The study's name for the participant.
    pub subject_id: String,
    /// Garmin's id.
    pub user_id: String,
    /// When the two were first linked.
    pub linked_at: Option<OffsetDateTime>,
    /// Whether the user's data may be stored.
    pub active: bool,
    /// When the last consent was completed.
    pub registered_at: Option<OffsetDateTime>,
    /// When the last consent ended.
    pub deregistered_at: Option<OffsetDateTime>,
    /// What the user lets Garmin send, if that is known.
    pub permissions: Option<Vec<String>>,
    /// Whether they take part, but Garmin cannot be asked for them: no token of theirs is good any more.
    pub needs_consent: bool,
}

/// Subjects, but for the end of the statement.
macro_rules! subjects {
    ($end:literal) => {
        concat!(
            "SELECT subject_id, user_id, linked_at, active, registered_at, deregistered_at, permissions,
                    active AND NOT EXISTS (
                        SELECT FROM garmin_oauth.access_token AS token
                        WHERE token.user_id = stored.user_id AND refused_at IS NULL
                            AND coalesce(refresh_expires_at, 'infinity') > now()
                    ) AS needs_consent
             FROM garmin_oauth.subject JOIN garmin_oauth.user_id AS stored USING (user_id) ",
            $end
        )
    };
}

/// All subjects, in the order of their ids.
///
/// # Errors
/// PostgreSQL's.
pub async fn subjects(connection: &mut PgConnection) -> sqlx::Result<Vec<Subject>> {
    sqlx::query_as(subjects!("ORDER BY subject_id")).fetch_all(connection).await
}

/// One subject.
///
/// # Errors
/// PostgreSQL's.
pub async fn subject(connection: &mut PgConnection, subject_id: &str) -> sqlx::Result<Option<Subject>> {
    sqlx::query_as(subjects!("WHERE subject_id = $1")).bind(subject_id).fetch_optional(connection).await
}
