//! What the lane of accounts does: consents, deregistrations, permission changes, and the renewal of tokens.
//!
//! Nobody signs what arrives here, so what would end a consent is believed only if Garmin confirms it wherever it can
//! be asked. Every step can be repeated: a message whose step cannot be done now comes back later, in growing steps.

mod consent;
mod deregistration;
mod entries;
mod permissions;
pub mod tokens;

use crate::garmin::{GarminClient, GarminError};
use crate::lane::{Handled, Handler};
use crate::message::{Message, Outgoing, Reason};
use crate::metrics::Metrics;
use crate::store::error::StoreError;
use crate::store::patience::Patience;
use crate::store::raw::instant;
use crate::store::schema;
use crate::trace;
use crate::withdrawal::{RemovalError, Withdrawal};
use apollo_shared::admin::Readiness;
use apollo_shared::consent::{CALLBACK, STARTED, UnsealError};
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::traces;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use futures_util::{StreamExt as _, stream};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokens::Tokens;
use tokio_util::sync::CancellationToken;

/// Messages of a batch that are worked on at the same time: most of the time each waits for Garmin.
const AT_ONCE: usize = 8;

/// What an event is called in metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A consent came to an end.
    Consent,
    /// A deregistration arrived.
    Deregistration,
    /// A permission change arrived.
    Permissions,
    /// A token was due to be renewed.
    Refresh,
}

impl Event {
    /// The label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Deregistration => "deregistration",
            Self::Permissions => "permissions",
            Self::Refresh => "refresh",
        }
    }
}

/// Handles the lane's messages.
#[derive(Debug)]
pub struct AccountHandler {
    /// The database.
    pub pool: PgPool,
    /// Opens and seals secrets.
    pub keyring: Arc<Keyring>,
    /// Asks Garmin; nothing while no consumer is configured.
    pub garmin: Option<Arc<GarminClient>>,
    /// Tokens that are good for a call.
    pub tokens: Arc<Tokens>,
    /// Takes away what has been stored of a user since they withdrew.
    pub withdrawal: Arc<Withdrawal>,
    /// Days of history to ask for of a new participant; 0 for none.
    pub backfill_days: u16,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the state of the database is told.
    pub readiness: Readiness,
}

/// Why a piece of work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database cannot take it now, or refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Garmin could not be asked, or said no.
    #[error(transparent)]
    Garmin(#[from] GarminError),
    /// No consumer is configured.
    #[error("GARMIN__CONSUMER_KEY and GARMIN__CONSUMER_SECRET are not set, so Garmin cannot be asked")]
    NotConfigured,
    /// A verifier where a code was begun for, or the reverse.
    #[error("the participant brought back what belongs to another version of OAuth")]
    Mismatch,
    /// Garmin takes none of the user's tokens.
    #[error("Garmin takes no token of this user any more, or none is held: they must consent again")]
    NeedsConsent,
    /// Garmin is not asked for some time.
    #[error("Garmin is to be left alone for {} s more", .0.as_secs())]
    Paused(Duration),
    /// Another worker is at it, or has not long ago failed.
    #[error("another worker is busy with it")]
    Busy,
    /// A stored secret cannot be opened.
    #[error(transparent)]
    UnreadableToken(#[from] crate::store::tokens::UnreadableTokenError),
    /// A stored secret cannot be opened.
    #[error(transparent)]
    UnreadableConsent(#[from] crate::store::consents::UnreadableConsentError),
    /// What was stored since a user's withdrawal could not be taken away.
    #[error("what was stored since a user withdrew could not be taken away")]
    Removal(#[source] RemovalError),
    /// A secret in a message cannot be opened.
    #[error(transparent)]
    UnreadableMessage(#[from] UnsealError),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<RemovalError> for AccountError {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::Database(error) => error.into(),
            error => Self::Removal(error),
        }
    }
}

impl Handler for AccountHandler {
    fn lane(&self) -> Lane {
        Lane::Account
    }

    async fn prepare(&self, stop: &CancellationToken) -> bool {
        schema::wait_until_ready(&self.pool, &self.readiness, stop).await
    }

    async fn handle(&self, messages: Arc<Vec<Message>>, stop: &CancellationToken) -> Handled {
        let work: Vec<_> = messages.iter().map(|message| self.settle(message, stop)).collect();
        let settled: Vec<Option<Vec<Outgoing>>> =
            stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
        match settled.into_iter().collect::<Option<Vec<_>>>() {
            Some(outgoing) => Handled::Done(outgoing.into_iter().flatten().collect()),
            None => Handled::GivenBack,
        }
    }
}

impl AccountHandler {
    /// Does a message's work as soon as the database can take it. Nothing if it stayed away, or `stop` came first.
    async fn settle(&self, message: &Message, stop: &CancellationToken) -> Option<Vec<Outgoing>> {
        let mut span = trace::message("settle", message);
        let settled = traces::within(&span, self.settle_message(message, stop)).await;
        if settled.is_none() {
            span.fail("given-back");
        }
        settled
    }

    async fn settle_message(&self, message: &Message, stop: &CancellationToken) -> Option<Vec<Outgoing>> {
        let Self { metrics, readiness, .. } = self;
        let patience = Patience { lane: Lane::Account, metrics, readiness, stop };
        let attempted = patience.when_possible(&message.envelope, || self.attempt(message)).await?;
        let refused = |error| vec![message.dead(Reason::RefusedByDatabase, &with_causes(&error))];
        Some(attempted.unwrap_or_else(refused))
    }

    async fn attempt(&self, message: &Message) -> Result<Vec<Outgoing>, StoreError> {
        match message.envelope.endpoint.as_str() {
            STARTED => self.started(message).await,
            CALLBACK => self.callback(message).await,
            _ => self.notification(message).await,
        }
    }
}

/// When a message arrived at the receiver.
fn received_at(message: &Message) -> OffsetDateTime {
    instant(message.envelope.received_at)
}

/// The pause before attempt number `attempt`, from 0; `None` when there have been enough.
fn pause(steps: &[u32], attempt: u32) -> Option<u32> {
    steps.get(attempt as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_shared::topology::RETRY_SECONDS;

    #[test]
    fn there_is_a_queue_for_every_pause_and_pauses_grow() {
        let steps = [&consent::GARMIN_STEPS[..], &consent::START_STEPS, &[consent::LOOK_AGAIN]];
        for steps in steps {
            assert!(steps.iter().all(|seconds| RETRY_SECONDS.contains(seconds)), "{steps:?}");
            assert!(steps.is_sorted(), "{steps:?}");
            assert_eq!(pause(steps, steps.len() as u32), None);
        }
    }
}
