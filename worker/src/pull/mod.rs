//! What the lane of pulls does: it fetches what pings announce, and publishes it as ordinary notifications.
//!
//! Every step can be repeated. A callback URL belongs to the first message that brings it ([`crate::store::callbacks`]).
//! That it is fetched is noted before its notifications are published; a worker that dies in between fetches again,
//! and the same answer makes the same notifications (`pulled`).

pub mod by_time;
pub mod callback_url;
mod fetching;
mod ping;
mod pulled;

use crate::account::AccountError;
use crate::account::tokens::Tokens;
use crate::garmin::GarminError;
use crate::lane::{Handled, Handler};
use crate::message::{Message, Outgoing, Reason, STEPS_OF_A_DAY};
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::store::callbacks::{self, Callback, Claim, State};
use crate::store::error::StoreError;
use crate::store::patience::Patience;
use crate::store::{self, schema};
use crate::summaries::Registry;
use crate::trace;
use apollo_shared::admin::Readiness;
use apollo_shared::telemetry::traces;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use callback_url::CallbackHost;
use fetching::Fetching;
use ping::Ping;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Handles the lane's messages.
#[derive(Debug)]
pub struct PullHandler {
    /// The database.
    pub pool: PgPool,
    /// The tables of summaries.
    pub registry: Arc<Registry>,
    /// Tokens that are good for a call.
    pub tokens: Arc<Tokens>,
    /// How fast Garmin is asked.
    pub pace: Arc<Pace>,
    /// The hosts that a callback URL may name.
    pub hosts: Vec<CallbackHost>,
    /// Room for large answers.
    pub large: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the state of the database is told.
    pub readiness: Readiness,
}

/// What an attempt to fetch came to.
struct End {
    state: State,
    /// What Garmin answered with.
    status: Option<u16>,
    /// How many summaries came.
    entries: Option<u32>,
    /// To be published.
    outgoing: Vec<Outgoing>,
}

impl Handler for PullHandler {
    fn lane(&self) -> Lane {
        Lane::Pull
    }

    async fn prepare(&self, stop: &CancellationToken) -> bool {
        schema::wait_until_ready(&self.pool, &self.readiness, stop).await
    }

    async fn handle(&self, messages: Arc<Vec<Message>>, stop: &CancellationToken) -> Handled {
        let mut outgoing = Vec::new();
        for message in messages.iter() {
            match self.follow(message, stop).await {
                Some(more) => outgoing.extend(more),
                None => return Handled::GivenBack,
            }
        }
        Handled::Done(outgoing)
    }
}

impl PullHandler {
    /// Follows the ping in a message. Nothing if the database stayed away, or `stop` came first.
    async fn follow(&self, message: &Message, stop: &CancellationToken) -> Option<Vec<Outgoing>> {
        let mut span = trace::message("follow", message);
        let followed = traces::within(&span, self.follow_message(message, stop)).await;
        if followed.is_none() {
            span.fail("given-back");
        }
        followed
    }

    async fn follow_message(&self, message: &Message, stop: &CancellationToken) -> Option<Vec<Outgoing>> {
        let ping = match Ping::read(&self.registry, message, &self.hosts) {
            Ok(ping) => ping,
            Err(dead) => return Some(vec![*dead]),
        };
        match self.follow_ping(&ping, message, stop).await? {
            Ok(outgoing) => Some(outgoing),
            Err(error) => Some(vec![message.dead(Reason::RefusedByDatabase, &with_causes(&error))]),
        }
    }

    async fn follow_ping(
        &self,
        ping: &Ping,
        message: &Message,
        stop: &CancellationToken,
    ) -> Option<Result<Vec<Outgoing>, StoreError>> {
        let Self { metrics, readiness, .. } = self;
        let patience = Patience { lane: Lane::Pull, metrics, readiness, stop };
        let key = ping.endpoint.key;
        let callback = Callback { digest: ping.digest, user_id: &ping.user_id, summary_type: key };
        let envelope = &message.envelope;
        let stored = ping.file.is_some();
        let claim = || {
            store::ask(&self.pool, async |connection| {
                callbacks::claim(connection, &callback, envelope, stored).await
            })
        };
        let claim = match patience.when_possible(envelope, claim).await? {
            Ok(claim) => claim,
            Err(error) => return Some(Err(error)),
        };
        let End { state, status, entries, outgoing } = match claim {
            Claim::Repeated | Claim::Fetched => {
                self.metrics.callback(key, "repeated");
                return Some(Ok(vec![]));
            }
            Claim::Withdrawn => {
                End { state: State::Withdrawn, status: None, entries: None, outgoing: vec![] }
            }
            Claim::Ours => {
                let fetching = Fetching { handler: self, ping, message, patience: &patience };
                fetching.fetch().await?.unwrap_or_else(|error| self.failed(ping, message, &error))
            }
        };
        let settle = || {
            store::ask(&self.pool, async |connection| {
                callbacks::settle(connection, ping.digest, state, status, entries).await
            })
        };
        if let Err(error) = patience.when_possible(envelope, settle).await? {
            return Some(Err(error));
        }
        self.metrics.callback(key, state.name());
        Some(Ok(outgoing))
    }

    /// What a failure means for the ping.
    fn failed(&self, ping: &Ping, message: &Message, error: &AccountError) -> End {
        let why = with_causes(error);
        let dead = |reason| vec![message.dead(reason, &why)];
        let (state, outgoing) = match error {
            AccountError::Garmin(GarminError::Gone { .. }) => {
                let (message_id, trace_id) = message.envelope.for_logs();
                tracing::warn!(
                    %message_id,
                    trace_id,
                    "what the {} of {} announced is gone: {why}",
                    ping.endpoint.key,
                    message.envelope
                );
                (State::Gone, vec![])
            }
            AccountError::Garmin(GarminError::NotPermitted { .. }) => (State::NotPermitted, vec![]),
            AccountError::Garmin(GarminError::Redirected { .. }) => {
                (State::Failed, dead(Reason::CallbackRefused))
            }
            AccountError::Garmin(GarminError::NotAccepted { .. }) => {
                (State::Failed, dead(Reason::GarminRefused))
            }
            AccountError::Garmin(GarminError::TooLarge { .. }) => {
                (State::Failed, dead(Reason::AnswerTooLarge))
            }
            AccountError::Paused(_) | AccountError::Store(_) => (State::Waiting, vec![message.given_back()]),
            error => match STEPS_OF_A_DAY.get(message.envelope.attempt as usize) {
                Some(seconds) => {
                    let (message_id, trace_id) = message.envelope.for_logs();
                    let told =
                        format!("the ping {} is followed again in {seconds} s: {why}", message.envelope);
                    match error {
                        // As usual in a study whose participants are still joining.
                        AccountError::NeedsConsent => tracing::debug!(%message_id, trace_id, "{told}"),
                        _ => tracing::warn!(%message_id, trace_id, "{told}"),
                    }
                    (State::Waiting, vec![message.put_off(*seconds)])
                }
                None if matches!(error, AccountError::NeedsConsent) => {
                    (State::Failed, dead(Reason::NeedsConsent))
                }
                None => (State::Failed, dead(Reason::GarminUnavailable)),
            },
        };
        End { state, status: status(error), entries: None, outgoing }
    }
}

/// What Garmin answered with, where that is known.
fn status(error: &AccountError) -> Option<u16> {
    match error {
        AccountError::Garmin(
            GarminError::Gone { status, .. }
            | GarminError::NotPermitted { status, .. }
            | GarminError::Redirected { status, .. }
            | GarminError::NotAccepted { status, .. }
            | GarminError::Refused { status, .. },
        ) => Some(*status),
        AccountError::Garmin(GarminError::RateLimited { .. }) => Some(429),
        _ => None,
    }
}
