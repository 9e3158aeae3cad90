//! What was handed over on a channel, and whose fate is open.

use super::line::Waiting;
use super::{Message, NotPublished};
use apollo_shared::publish::{PublishError, publish};
use apollo_shared::topology::EXCHANGE;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::types::FieldTable;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The AMQP property app_id.
const APP_ID: &str = "apollo-receiver";

/// See the [module](self).
pub(super) struct Outbox<'channel> {
    channel: &'channel Channel,
    in_flight: FuturesUnordered<Publishing<'channel>>,
    /// How many were handed over since nothing was in flight.
    together: usize,
    refused: bool,
}

/// A message whose fate is known.
pub(super) struct Settled {
    pub(super) waiting: Waiting,
    pub(super) outcome: Result<(), PublishError>,
    /// How long that took.
    pub(super) time: Duration,
}

impl<'channel> Outbox<'channel> {
    pub(super) fn new(channel: &'channel Channel) -> Self {
        Self { channel, in_flight: FuturesUnordered::new(), together: 0, refused: false }
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether what was handed over last had the channel for itself.
    pub(super) fn was_alone(&self) -> bool {
        self.together == 1
    }

    /// Whether the broker has said no to a message.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Puts a message behind those before it. It leaves when what is [settled](Self::settled) is asked for next.
    pub(super) fn hand_over(&mut self, waiting: Waiting) {
        if self.is_empty() {
            self.together = 0;
        }
        self.together += 1;
        let confirm = publish_message(self.channel, waiting.message.clone()).boxed();
        self.in_flight.push(Publishing { waiting: Some(waiting), handed_over: Instant::now(), confirm });
    }

    /// All whose fate is known, as soon as there is one: what one of them says may be meant for another.
    pub(super) async fn settled(&mut self) -> Vec<Settled> {
        let mut settled = Vec::from_iter(self.in_flight.next().await);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            match self.in_flight.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(next)) => settled.push(next),
                // A pause, which is no answer yet.
                Poll::Pending if woken.0.swap(false, Ordering::Relaxed) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.refused |= settled.iter().any(|settled| matches!(settled.outcome, Err(PublishError::Refused)));
        settled
    }

    /// Tells all who wait, and awaits the fate of their messages all the same.
    pub(super) fn tell(&mut self, reason: &NotPublished) {
        for waiting in self.in_flight.iter_mut().filter_map(|publishing| publishing.waiting.as_mut()) {
            waiting.answer(Err(reason.clone()));
        }
    }

    /// Whether somebody has waited for so long.
    pub(super) fn has_waited(&self, time: Duration) -> bool {
        let mut waiting = self.in_flight.iter().filter_map(|publishing| publishing.waiting.as_ref());
        waiting.any(|waiting| waiting.is_awaited() && waiting.since.elapsed() >= time)
    }
}

/// A message on its way, which keeps its room in memory whatever becomes of who waits.
struct Publishing<'channel> {
    /// Taken when the fate is known.
    waiting: Option<Waiting>,
    handed_over: Instant,
    confirm: BoxFuture<'channel, Result<(), PublishError>>,
}

impl Future for Publishing<'_> {
    type Output = Settled;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Settled> {
        let outcome = ready!(self.confirm.as_mut().poll(context));
        let time = self.handed_over.elapsed();
        // Once its fate is known nobody asks again.
        self.waiting.take().map_or(Poll::Pending, |waiting| Poll::Ready(Settled { waiting, outcome, time }))
    }
}

async fn publish_message(channel: &Channel, message: Arc<Message>) -> Result<(), PublishError> {
    let properties = message.envelope.to_properties(APP_ID, FieldTable::default());
    publish(channel, EXCHANGE, &message.routing_key, properties, message.body.as_bytes()).await
}

/// Notes that it was called.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
