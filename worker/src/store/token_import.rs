//! OAuth 1.0a tokens that another program has collected.
//!
//! A token stands for a consent that its user has given, so it is linked by the same rules. But it may be an old list's:
//! it never brings back a user who has withdrawn since.

use super::accounts::{Link, lock, user_digest};
use super::tokens::NewToken;
use apollo_shared::consent::{Status, SubjectId};
use apollo_shared::secrets::Keyring;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is stored now.
    Added,
    /// It was stored already.
    Present,
    /// It is stored, as a token of another user; nothing was changed.
    OtherUser,
    /// The subject is linked with another account; nothing was changed.
    SubjectTaken,
    /// The account is linked with another subject; nothing was changed.
    AccountTaken,
    /// The user has withdrawn, or was erased; nothing was changed.
    Withdrawn,
}

/// Whose token this is, if it is stored.
///
/// # Errors
/// PostgreSQL's.
pub async fn holder(connection: &mut PgConnection, token_digest: &[u8]) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT user_id FROM garmin_oauth.access_token WHERE token_digest = $1")
        .bind(token_digest)
        .fetch_optional(connection)
        .await
}

/// Links the subject with the user and stores the token, unless something speaks against it.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn import(
    connection: &mut PgConnection,
    keyring: &Keyring,
    subject_id: &SubjectId,
    user_id: &str,
    token: &NewToken,
) -> sqlx::Result<Imported> {
    lock(&mut *connection).await?;
    let holder = holder(&mut *connection, &token.credentials.digest()).await?;
    if holder.as_ref().is_some_and(|holder| holder != user_id) {
        return Ok(Imported::OtherUser);
    }
    let Some(registered_at) = registered_at(&mut *connection, user_id).await? else {
        return Ok(Imported::Withdrawn);
    };
    let link = Link { subject_id, user_id, consented_at: registered_at, token, permissions: None };
    Ok(match link.store(connection, keyring).await? {
        Status::SubjectTaken => Imported::SubjectTaken,
        Status::AccountTaken => Imported::AccountTaken,
        _ if holder.is_some() => Imported::Present,
        _ => Imported::Added,
    })
}

/// Since when the user's consent counts: as it is on record, and else from now on. Nothing if it has ended.
async fn registered_at(connection: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT registered_at FROM garmin_oauth.user_id WHERE user_id = $1), now())
         WHERE NOT EXISTS (SELECT FROM garmin_oauth.user_id WHERE user_id = $1 AND NOT active)
           AND (EXISTS (SELECT FROM garmin_oauth.user_id WHERE user_id = $1)
                OR NOT EXISTS (SELECT FROM garmin_oauth.erased WHERE user_digest = $2))",
    )
    .bind(user_id)
    .bind(user_digest(user_id))
    .fetch_optional(connection)
    .await
}
