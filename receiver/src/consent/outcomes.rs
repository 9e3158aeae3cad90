//! The outcomes of consents, as the worker announces them to every receiver.
//!
//! They are kept in memory only: a receiver that has missed one, or was restarted, hears it again when the
//! participant's page repeats the callback. So a lost subscription is no reason to refuse Garmin's POSTs.

use apollo_shared::broker::{Broker, close, open_channel};
use apollo_shared::consent::{Outcome, Status};
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::OUTCOMES;
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, Consumer};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Outcomes that are kept at most; with their bookkeeping these take about 1 MB.
const KEPT: usize = 10_000;

/// How long an outcome is kept: as long as the cookie with which it can be asked for.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that was closed without an error is noticed by looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The outcomes heard lately.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Memory>);

impl Outcomes {
    /// What is known of a consent; [`Status::Pending`] if nothing is.
    pub(super) fn of(&self, consent_id: Uuid) -> Status {
        self.lock().of(consent_id, Instant::now())
    }

    /// Keeps an outcome.
    pub(super) fn keep(&self, outcome: Outcome) {
        self.lock().keep(outcome, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Memory {
    heard: HashMap<Uuid, (Status, Instant)>,
    /// In the order of hearing; one heard twice is here twice, and counts by its last time.
    order: VecDeque<(Uuid, Instant)>,
}

impl Memory {
    fn of(&self, consent_id: Uuid, now: Instant) -> Status {
        match self.heard.get(&consent_id) {
            Some((status, at)) if now.duration_since(*at) < KEPT_FOR => *status,
            _ => Status::Pending,
        }
    }

    fn keep(&mut self, outcome: Outcome, now: Instant) {
        self.heard.insert(outcome.consent_id, (outcome.status, now));
        self.order.push_back((outcome.consent_id, now));
        while let Some((consent_id, at)) = self.order.front().copied()
            && (self.order.len() > KEPT || now.duration_since(at) >= KEPT_FOR)
        {
            self.order.pop_front();
            if self.heard.get(&consent_id).is_some_and(|(_, last)| *last == at) {
                self.heard.remove(&consent_id);
            }
        }
    }
}

/// Hears the outcomes and keeps them.
pub(crate) struct Subscription {
    broker: Broker,
    outcomes: Arc<Outcomes>,
}

impl Subscription {
    /// A subscription that is yet to be run.
    pub(crate) fn new(broker: Broker, outcomes: Arc<Outcomes>) -> Self {
        Self { broker, outcomes }
    }

    /// Connects, listens, and connects again, until `stop`; then closes the connection.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(attempt) = stop.run_until_cancelled(self.broker.connect()).await {
            match attempt {
                Ok(connection) => {
                    backoff.reset();
                    let end = stop.run_until_cancelled(self.listen(&connection)).await;
                    close(connection).await;
                    match end {
                        None => return,
                        Some(Ok(())) => {
                            tracing::warn!(
                                "the subscription to consents' outcomes is lost, subscribing again"
                            );
                        }
                        Some(Err(error)) => tracing::warn!(
                            "cannot hear consents' outcomes: {}; trying again",
                            with_causes(&error)
                        ),
                    }
                }
                Err(error) => {
                    tracing::warn!("cannot hear consents' outcomes: {}; trying again", with_causes(&error));
                }
            }
            if !backoff.pause(&stop).await {
                return;
            }
        }
    }

    /// Returns when the connection or the queue is gone.
    async fn listen(&self, connection: &Connection) -> lapin::Result<()> {
        let mut consumer = subscribe(connection).await?;
        while connection.status().connected() {
            tokio::select! {
                delivery = consumer.next() => match delivery {
                    Some(delivery) => self.hear(&delivery?.data),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    fn hear(&self, body: &[u8]) {
        match serde_json::from_slice::<Outcome>(body) {
            Ok(outcome) => {
                let (id, status) = (outcome.consent_id, outcome.status.name());
                tracing::debug!(consent_id = %id, "consent {id}: {status}");
                self.outcomes.keep(outcome);
            }
            Err(error) => tracing::warn!("an outcome that was announced cannot be read: {error}"),
        }
    }
}

/// A queue of this receiver's own, which ends with its connection.
async fn subscribe(connection: &Connection) -> lapin::Result<Consumer> {
    let channel = open_channel(connection).await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    // A name of ours, not of the broker's, so that a user's rights can be limited to such queues.
    let name: ShortString = format!("{OUTCOMES}.{}", Uuid::now_v7().simple()).into();
    channel.queue_declare(name.clone(), own, FieldTable::default()).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(name.clone(), OUTCOMES.into(), "".into(), options, FieldTable::default()).await?;
    let unacknowledged = BasicConsumeOptions { no_ack: true, ..Default::default() };
    channel.basic_consume(name, "".into(), unacknowledged, FieldTable::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: Status) -> Outcome {
        Outcome { consent_id: Uuid::new_v4(), status }
    }

    #[test]
    fn the_last_word_on_a_consent_counts() {
        let outcomes = Outcomes::default();
        let failed = outcome(Status::Failed);
        assert_eq!(outcomes.of(failed.consent_id), Status::Pending);
        outcomes.keep(failed);
        assert_eq!(outcomes.of(failed.consent_id), Status::Failed);
        outcomes.keep(Outcome { status: Status::Linked, ..failed });
        assert_eq!(outcomes.of(failed.consent_id), Status::Linked);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let moment = |milliseconds: usize| start + Duration::from_millis(milliseconds as u64);
        let (first, second) = (outcome(Status::Linked), outcome(Status::Linked));
        memory.keep(first, moment(0));
        memory.keep(second, moment(1));
        memory.keep(first, moment(2));
        for number in 3..KEPT + 3 - 1 {
            memory.keep(outcome(Status::Declined), moment(number));
        }
        let now = moment(KEPT + 3);
        assert_eq!(memory.of(second.consent_id, now), Status::Pending);
        assert_eq!(memory.of(first.consent_id, now), Status::Linked, "it was heard again");
        assert_eq!((memory.order.len(), memory.heard.len()), (KEPT, KEPT));
    }

    #[test]
    fn an_outcome_is_forgotten_after_an_hour() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let old = outcome(Status::Linked);
        memory.keep(old, start);
        let shortly_before = start + KEPT_FOR - Duration::from_secs(1);
        assert_eq!(memory.of(old.consent_id, shortly_before), Status::Linked);
        assert_eq!(memory.of(old.consent_id, start + KEPT_FOR), Status::Pending);
        memory.keep(outcome(Status::Linked), start + KEPT_FOR);
        assert_eq!((memory.order.len(), memory.heard.len()), (1, 1));
    }
}
