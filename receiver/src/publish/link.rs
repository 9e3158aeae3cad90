//! The connection that messages are published over, in batches.
//!
//! A few tasks each have a channel, on which each publishes all that waits in the line, awaits all the confirms, and
//! begins again. So the more is to be done, the more is done at once: a batch leaves in one write, and the broker takes,
//! stores and confirms it as one. The rules that this follows:
//! - lapin numbers a publish and queues its frames in two steps, so only one task may publish on a channel;
//! - lapin hands a returned message to whichever confirm comes next, and of several confirms in one frame any may be the
//!   next. But all returns of a batch have come when its last confirm has: if no confirm of a batch brings one, there
//!   was none. If one does, or if the broker closes the channel as it does for a message that it cannot take, then
//!   nobody can tell whose fault it was: each message of the batch is published again, alone, and none harms another;
//! - a message that was handed over keeps its room in memory until its fate is known, whatever becomes of who waits.

use super::line::{Line, Waiting};
use super::{Message, NotPublished, SLOW};
use crate::metrics::Metrics;
use apollo_shared::publish::{PublishError, publish};
use apollo_shared::topology::EXCHANGE;
use futures_util::future::poll_immediate;
use lapin::options::ConfirmSelectOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// The AMQP property app_id.
const APP_ID: &str = "apollo-receiver";

/// Batches in flight. With one, broker and receiver would wait for each other in turn; with many, batches are small.
pub(super) const CHANNELS: usize = 4;

/// A connection, and what is known of it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    line: Arc<Line>,
    metrics: Metrics,
    /// Whether a message was ever confirmed over it.
    proven: AtomicBool,
    /// Set when it is of no use any more.
    pub(super) retired: CancellationToken,
}

impl Link {
    pub(super) fn new(connection: Connection, line: Arc<Line>, metrics: Metrics) -> Self {
        Self { connection, line, metrics, proven: AtomicBool::new(false), retired: CancellationToken::new() }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Has the supervisor connect anew; what is in flight here may finish.
    pub(super) fn give_up(&self) {
        self.retired.cancel();
    }

    /// Publishes what comes into the line until this is given up. The channel that it leaves is to be kept until the
    /// connection is closed: it would be closed too.
    pub(super) async fn publish_batches(self: Arc<Self>) -> Option<Channel> {
        let mut channel = None;
        while !self.retired.is_cancelled()
            && let Some(batch) = self.retired.run_until_cancelled(self.line.next_batch()).await
        {
            self.publish_batch(&mut channel, batch).await;
        }
        channel
    }

    /// Returns when the fate of all its messages is known. Who waits for them is told that, or that it takes too long.
    async fn publish_batch(&self, channel: &mut Option<Channel>, batch: Vec<Waiting>) {
        let Some(first) = batch.first() else { return };
        let overdue = first.since + SLOW;
        let messages: Vec<Arc<Message>> = batch.iter().map(|waiting| waiting.message.clone()).collect();
        let mut publishing = pin!(self.publish_fairly(channel, &messages));
        let reason = tokio::select! {
            biased;
            outcomes = publishing.as_mut() => {
                return batch.into_iter().zip(outcomes).for_each(|(waiting, outcome)| waiting.answer(outcome));
            }
            reason = self.line.closing() => NotPublished::Away(reason),
            () = sleep_until(overdue) => {
                self.give_up();
                NotPublished::Slow
            }
        };
        batch.into_iter().for_each(|waiting| waiting.answer(Err(reason.clone())));
        publishing.await;
    }

    /// Publishes all at once, and each alone if that has failed as a whole.
    async fn publish_fairly(
        &self,
        channel: &mut Option<Channel>,
        messages: &[Arc<Message>],
    ) -> Vec<Result<(), NotPublished>> {
        let mut outcomes = self.publish_at_once(channel, messages).await;
        let failed = outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(concerns_others));
        if failed && messages.len() > 1 {
            outcomes.clear();
            for message in messages {
                outcomes.append(&mut self.publish_at_once(channel, std::slice::from_ref(message)).await);
            }
        }
        if !self.connection.status().connected()
            || outcomes.iter().any(|outcome| matches!(outcome, Err(PublishError::Unroutable(_))))
        {
            // It is lost, or a queue was deleted, which a new start declares again.
            self.give_up();
        }
        outcomes.into_iter().map(|outcome| Ok(outcome?)).collect()
    }

    /// Returns when a quorum queue has confirmed or refused each message. To be run to its end: until then the channel
    /// is of no other use.
    async fn publish_at_once(
        &self,
        channel: &mut Option<Channel>,
        messages: &[Arc<Message>],
    ) -> Vec<Result<(), PublishError>> {
        let channel = match self.open(channel).await {
            Ok(channel) => channel,
            Err(error) => return messages.iter().map(|_| Err(error.clone().into())).collect(),
        };
        let handed_over = Instant::now();
        let mut begun = Vec::with_capacity(messages.len());
        for message in messages {
            let properties = message.envelope.to_properties(APP_ID, FieldTable::default());
            let body = message.body.as_bytes();
            let mut publishing = Box::pin(publish(channel, EXCHANGE, &message.routing_key, properties, body));
            // Puts it behind the one before it; what is left is to wait.
            let outcome = poll_immediate(publishing.as_mut()).await;
            begun.push((publishing, outcome));
        }
        let mut outcomes = Vec::with_capacity(begun.len());
        for (publishing, outcome) in begun {
            outcomes.push(match outcome {
                Some(outcome) => outcome,
                None => publishing.await,
            });
        }
        let seconds = handed_over.elapsed().as_secs_f64();
        for _ in outcomes.iter().filter(|outcome| outcome.is_ok()) {
            self.proven.store(true, Ordering::Relaxed);
            self.metrics.publish_confirm.observe(seconds);
        }
        outcomes
    }

    /// The channel, in confirm mode; a new one if it was closed.
    async fn open<'a>(&self, channel: &'a mut Option<Channel>) -> Result<&'a Channel, lapin::Error> {
        let usable = match channel.take() {
            Some(open) if open.status().connected() => open,
            _ => {
                let opened = self.connection.create_channel().await?;
                opened.confirm_select(ConfirmSelectOptions::default()).await?;
                opened
            }
        };
        Ok(channel.insert(usable))
    }
}

/// Whether a failure says nothing of the message alone: it may be its neighbour's, or the connection's.
fn concerns_others(error: &PublishError) -> bool {
    match error {
        PublishError::Connection(_) | PublishError::Unroutable(_) => true,
        PublishError::Refused | PublishError::NotConfirming => false,
    }
}
