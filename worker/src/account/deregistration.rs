//! The end of a consent, as Garmin announces it: without a time stamp, unsigned, and perhaps late.
//!
//! So where a token is held Garmin is asked with it: a refusal confirms the end, a success refutes it (design.md
//! section 5). Where none is held there is nothing to ask with, and it is believed.

use super::entries::{Entry, user_id};
use super::tokens::Verdict;
use super::{AccountError, AccountHandler, Event};
use crate::store::tokens::{StoredToken, token_digest};
use crate::store::{self, accounts, tokens};
use crate::withdrawal::RemovalError;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How long what was stored since may take to be taken away, before that is begun anew: it goes on where it ended.
const LONGEST_PURGE: Duration = Duration::from_secs(3600);

/// An entry of `deregistrations`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deregistration {
    #[serde(deserialize_with = "user_id")]
    user_id: String,
    /// OAuth 1.0a: the token that has ended; the user may have others.
    #[serde(default)]
    user_access_token: Option<String>,
}

impl Entry for Deregistration {
    const KEY: &'static str = "\"deregistrations\"";

    async fn settle(self, handler: &AccountHandler, received_at: OffsetDateTime) -> Result<(), AccountError> {
        let held = handler.tokens.of_user(&self.user_id).await?;
        let outcome = if held.is_empty() {
            handler.end(&self.user_id, received_at).await?;
            "believed"
        } else {
            self.ask(handler, held, received_at).await?
        };
        handler.metrics.account(Event::Deregistration, outcome);
        if outcome == "refuted" {
            tracing::warn!("a deregistration was refuted by Garmin: it came late, or somebody has forged it");
        }
        Ok(())
    }
}

impl Deregistration {
    async fn ask(
        &self,
        handler: &AccountHandler,
        held: Vec<StoredToken>,
        received_at: OffsetDateTime,
    ) -> Result<&'static str, AccountError> {
        let (asked, others): (Vec<StoredToken>, Vec<StoredToken>) =
            held.into_iter().partition(|token| self.is_about(token));
        let mut living = others.len();
        let mut ended = Vec::new();
        for token in asked {
            match handler.tokens.try_out(&token).await? {
                Verdict::Lives(_) => living += 1,
                Verdict::Ended => ended.push(token),
            }
        }
        if living == 0 {
            handler.end(&self.user_id, received_at).await?;
            return Ok("confirmed");
        }
        let outcome = if ended.is_empty() { "refuted" } else { "confirmed" };
        for token in ended {
            store::ask(&handler.pool, async |connection| tokens::delete(connection, token.id).await).await?;
        }
        Ok(outcome)
    }

    /// One that names a token is about that one alone.
    fn is_about(&self, token: &StoredToken) -> bool {
        self.user_access_token
            .as_ref()
            .is_none_or(|named| token.token_digest.as_slice() == token_digest(named).as_slice())
    }
}

impl AccountHandler {
    /// Ends a user's consent as of `at`, and takes away what has been stored since.
    async fn end(&self, user_id: &str, at: OffsetDateTime) -> Result<(), AccountError> {
        let deregister = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            accounts::deregister(&mut transaction, user_id, at).await?;
            transaction.commit().await
        };
        store::ask(&self.pool, deregister).await?;
        let stop = CancellationToken::new();
        let purge = self.withdrawal.purge(user_id, &stop);
        tokio::time::timeout(LONGEST_PURGE, purge).await.unwrap_or(Err(RemovalError::Stopped))?;
        Ok(())
    }
}
