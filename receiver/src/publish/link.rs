//! The connection that messages are published over.
//!
//! A few tasks each have a channel, on which each hands over what waits in the line, as long as not too much is in flight,
//! and answers as the confirms come. So the more is to be done, the more is done at once: what waits leaves in one
//! write, and the broker takes, stores and confirms it as one. The rules that this follows:
//! - lapin numbers a publish and queues its frames in two steps, so only one task may publish on a channel;
//! - lapin gives a returned message to whichever confirm of the channel comes next, which may be another's, but never
//!   comes later than its own. So confirms are believed only when all that have come by then are seen, and none of them
//!   brings a message back. If one does, or if the broker closes the channel as it does for a message that it cannot take, then
//!   nobody can tell whose fault it was: all that are in flight are suspects. Each is published again, alone, and none harms another;
//! - a channel on which the broker refused a message is left for a new one: in RabbitMQ a channel that was opened as the node
//!   that led a queue had just died goes on refusing everything for that queue, long after another leads it;
//! - a message that was handed over keeps its room in memory until its fate is known, whatever becomes of who waits.

use super::line::{Line, Waiting};
use super::outbox::{Outbox, Settled};
use super::{NotPublished, SLOW};
use crate::metrics::Metrics;
use apollo_shared::publish::PublishError;
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Channels, each of which is a process in RabbitMQ.
pub(super) const CHANNELS: usize = 4;

/// Messages in flight on a channel: twice as many as RabbitMQ lets through to a quorum queue at once, so that it never waits
/// for more.
const IN_FLIGHT: usize = 64;

/// How often it is looked who waits too long.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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

/// Messages of which one has failed in a way that may be another's fault.
#[derive(Default)]
struct Suspects {
    waiting: VecDeque<Waiting>,
    /// Whether all that are in flight are to join them.
    all: bool,
    /// Whether what is in flight is one of them, which has the channel for itself.
    on_trial: bool,
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
    pub(super) async fn publish(self: Arc<Self>) -> Option<Channel> {
        let mut suspects = Suspects::default();
        loop {
            let channel = match timeout(SLOW, self.open_channel()).await {
                Ok(Ok(channel)) => channel,
                Ok(Err(error)) => return self.fail(suspects, &error.into()),
                Err(_) => return self.fail(suspects, &NotPublished::Slow),
            };
            self.publish_over(&channel, &mut suspects).await;
            if self.retired.is_cancelled() && suspects.waiting.is_empty() {
                return Some(channel);
            }
        }
    }

    async fn open_channel(&self) -> Result<Channel, lapin::Error> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn fail(&self, suspects: Suspects, reason: &NotPublished) -> Option<Channel> {
        self.give_up();
        suspects.waiting.into_iter().for_each(|mut waiting| waiting.answer(Err(reason.clone())));
        None
    }

    /// Publishes until the channel is closed or the broker refused a message on it, or until this is given up and nothing is to be
    /// done any more.
    async fn publish_over(&self, channel: &Channel, suspects: &mut Suspects) {
        let mut outbox = Outbox::new(channel);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut closing = pin!(self.line.closing());
        loop {
            if outbox.is_empty() {
                if !channel.status().connected() || outbox.was_refused() {
                    return;
                }
                let suspect = suspects.waiting.pop_front();
                suspects.on_trial = suspect.is_some();
                match suspect {
                    Some(suspect) => outbox.hand_over(suspect),
                    None if self.retired.is_cancelled() => return,
                    None => {}
                }
            }
            let held_back = suspects.all || suspects.on_trial || outbox.was_refused();
            let free = !held_back && !self.retired.is_cancelled();
            let room = if free { IN_FLIGHT - outbox.len() } else { 0 };
            tokio::select! {
                biased;
                settled = outbox.settled(), if !outbox.is_empty() => self.settle(settled, &outbox, suspects),
                batch = self.line.next_batch(room), if room > 0 => {
                    if channel.status().connected() {
                        batch.into_iter().for_each(|waiting| outbox.hand_over(waiting));
                    } else {
                        suspects.waiting.extend(batch);
                    }
                }
                reason = closing.as_mut() => {
                    tell(&mut outbox, suspects, &NotPublished::Away(reason));
                    closing.set(self.line.closing());
                }
                _ = look.tick(), if !outbox.is_empty() => {
                    if outbox.has_waited(SLOW) {
                        tell(&mut outbox, suspects, &NotPublished::Slow);
                        self.give_up();
                    }
                }
                () = self.retired.cancelled(), if !self.retired.is_cancelled() => {}
            }
        }
    }

    /// Answers who waits for messages whose fate is known; or makes suspects of them.
    fn settle(&self, settled: Vec<Settled>, outbox: &Outbox<'_>, suspects: &mut Suspects) {
        suspects.all |= !outbox.was_alone() && settled.iter().any(concerns_others);
        for Settled { mut waiting, outcome, time } in settled {
            if suspects.all && waiting.is_awaited() {
                suspects.waiting.push_back(waiting);
                continue;
            }
            match &outcome {
                Ok(()) => {
                    self.proven.store(true, Ordering::Relaxed);
                    self.metrics.publish_confirm.observe(time.as_secs_f64());
                }
                // A queue was deleted, which a new start declares again.
                Err(PublishError::Unroutable(_)) => self.give_up(),
                Err(_) => {}
            }
            waiting.answer(outcome.map_err(NotPublished::from));
        }
        suspects.all &= !outbox.is_empty();
    }
}

fn tell(outbox: &mut Outbox<'_>, suspects: &mut Suspects, reason: &NotPublished) {
    outbox.tell(reason);
    suspects.waiting.drain(..).for_each(|mut waiting| waiting.answer(Err(reason.clone())));
}

/// Whether a failure says nothing of the message alone: it may be its neighbour's, or the connection's.
fn concerns_others(settled: &Settled) -> bool {
    match settled.outcome {
        Err(PublishError::Connection(_) | PublishError::Unroutable(_)) => true,
        Ok(()) | Err(PublishError::Refused | PublishError::NotConfirming) => false,
    }
}
