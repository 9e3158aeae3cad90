//! One of a lane's consumers: what it takes, and in which portions.
//!
//! When a message takes the program down with it, the broker counts one more delivery of everything that was in hand.
//! So that only this message reaches the delivery limit, whatever has been redelivered a few times is *suspect*, and
//! is handled alone and acknowledged before the next, in random order: of a poison message's neighbours about half
//! get through each time. What came back because of restarts is suspect too, and merely slower.

use super::{Handled, Handler, LaneError, LaneRunner};
use crate::message::{Destination, Message, Outgoing};
use crate::trace;
use apollo_shared::broker;
use apollo_shared::envelope::integer_header;
use apollo_shared::publish::{announce, publish};
use apollo_shared::telemetry::traces::{self, Span, SpanKind};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionStatus, Consumer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Bytes of a batch's bodies, at most, though a single larger message is a batch too.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Redeliveries that make a message suspect: a worker that is restarted in the middle of its work makes one.
const SUSPECT: i64 = 3;

/// The header in which quorum queues count a message's redeliveries.
const REDELIVERIES: &str = "x-delivery-count";

/// With suspects in hand, how long to wait for one more message, as order is random only among those in hand.
const SUSPECTS_WAIT: Duration = Duration::from_millis(100);

/// See the [module](self).
pub(super) struct Slot<H> {
    runner: Arc<LaneRunner<H>>,
    consumer: Consumer,
    /// Of the connection over which it consumes.
    consuming: ConnectionStatus,
    publisher: Channel,
}

/// What a slot has in hand.
#[derive(Default)]
struct Gathered {
    ordinary: Batch,
    suspects: Vec<Delivery>,
}

/// Messages to be handled together.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    /// Of what Apollo did not publish.
    outgoing: Vec<Outgoing>,
    bytes: usize,
    /// Of all of them, in the order in which they came.
    ackers: Vec<Acker>,
}

impl<H: Handler> Slot<H> {
    pub(super) async fn open(
        runner: &Arc<LaneRunner<H>>,
        channel: &Channel,
        consuming: &ConnectionStatus,
        publishing: &Connection,
    ) -> Result<Self, LaneError> {
        let queue = runner.handler.lane().queue();
        let consumer = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        let publisher = broker::open_channel(publishing).await?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { runner: Arc::clone(runner), consumer, consuming: consuming.clone(), publisher })
    }

    /// Takes what comes until `stop`, and finishes what is in hand.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), LaneError> {
        loop {
            let Some(first) = stop.run_until_cancelled(self.consumer.next()).await else {
                return Ok(());
            };
            let Gathered { ordinary, suspects } = self.gather(first.ok_or(LaneError::Cancelled)??).await?;
            self.finish(ordinary, &stop).await?;
            self.finish_alone(suspects, &stop).await?;
        }
    }

    /// Waits a little for more after the first message, and takes what is already there.
    async fn gather(&mut self, first: Delivery) -> Result<Gathered, LaneError> {
        let config = &self.runner.config;
        let deadline = Instant::now() + Duration::from_millis(config.batch_wait_ms);
        let mut gathered = Gathered::default();
        gathered.add(first);
        while !gathered.is_enough(config.batch_messages.get()) {
            let deadline =
                if gathered.suspects.is_empty() { deadline } else { Instant::now() + SUSPECTS_WAIT };
            match timeout_at(deadline, self.consumer.next()).await {
                Ok(next) => gathered.add(next.ok_or(LaneError::Cancelled)??),
                Err(_) => break,
            }
        }
        Ok(gathered)
    }

    async fn finish_alone(
        &self,
        mut suspects: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(), LaneError> {
        if !suspects.is_empty() {
            let (lane, count) = (self.runner.handler.lane().name(), suspects.len());
            tracing::warn!(
                lane,
                "messages of the lane {lane} that were redelivered {SUSPECT} times or more are handled one by one: {count}"
            );
        }
        fastrand::shuffle(&mut suspects);
        for suspect in suspects {
            if stop.is_cancelled() {
                break;
            }
            let mut alone = Batch::default();
            alone.add(suspect);
            self.finish(alone, stop).await?;
        }
        Ok(())
    }

    async fn finish(&self, batch: Batch, stop: &CancellationToken) -> Result<(), LaneError> {
        if batch.ackers.is_empty() {
            return Ok(());
        }
        let _in_hand = self.runner.in_hand.hold(self.runner.handler.lane(), batch.ackers.len());
        let mut span = trace::batch(&self.runner.tracing, self.runner.handler.lane(), &batch.messages);
        let finished = traces::within(&span, self.finish_batch(batch, stop)).await;
        if let Err(error) = &finished {
            span.fail(error.name());
        }
        finished
    }

    async fn finish_batch(&self, batch: Batch, stop: &CancellationToken) -> Result<(), LaneError> {
        let Batch { messages, mut outgoing, ackers, .. } = batch;
        let messages = Arc::new(messages);
        match self.runner.handler.handle(Arc::clone(&messages), stop).await {
            Handled::Done(more) => outgoing.extend(more),
            Handled::GivenBack if stop.is_cancelled() => return Ok(()),
            Handled::GivenBack => {
                outgoing.extend(messages.iter().map(Message::given_back));
                self.replace(&outgoing, &ackers).await?;
                return Err(LaneError::GivenBack);
            }
            Handled::Stuck => return Err(LaneError::Stuck),
        }
        self.replace(&outgoing, &ackers).await?;
        let dead = outgoing.iter().filter(|outgoing| outgoing.is_dead_message()).count();
        self.runner.metrics.acknowledged(self.runner.handler.lane(), ackers.len() - dead, dead);
        Ok(())
    }

    /// Acknowledges messages when what they leave behind has been confirmed.
    async fn replace(&self, outgoing: &[Outgoing], ackers: &[Acker]) -> Result<(), LaneError> {
        try_join_all(outgoing.iter().map(|outgoing| self.publish(outgoing))).await?;
        let _span = self.acknowledging(ackers.len());
        let acks = ackers.iter().map(|acker| acker.ack(BasicAckOptions::default()));
        let acked = tokio::select! {
            acked = try_join_all(acks) => acked?,
            () = broker::lost(&self.consuming) => return Err(LaneError::Lost),
        };
        if acked.contains(&false) { Err(LaneError::NotAcknowledged) } else { Ok(()) }
    }

    fn acknowledging(&self, messages: usize) -> Span {
        let mut span = traces::child(SpanKind::Client, "acknowledge");
        span.set("messaging.system", "rabbitmq");
        span.set("messaging.operation.type", "settle");
        span.set("messaging.operation.name", "ack");
        span.set("messaging.destination.name", self.runner.handler.lane().queue());
        span.set("messaging.batch.message_count", trace::count(messages));
        span
    }

    async fn publish(&self, outgoing: &Outgoing) -> Result<(), LaneError> {
        let lane = self.runner.handler.lane();
        let (exchange, routing_key) = outgoing.address();
        let properties = outgoing.properties(lane);
        match &outgoing.destination {
            Destination::Receivers => {
                announce(&self.publisher, &exchange, properties, &outgoing.body).await?
            }
            _ => publish(&self.publisher, &exchange, routing_key, properties, &outgoing.body).await?,
        }
        self.runner.metrics.published(lane, outgoing);
        Ok(())
    }
}

impl Gathered {
    fn add(&mut self, delivery: Delivery) {
        match integer_header(&delivery.properties, REDELIVERIES) {
            Some(redeliveries) if redeliveries >= SUSPECT => self.suspects.push(delivery),
            _ => self.ordinary.add(delivery),
        }
    }

    /// With suspects in hand there is never enough: the prefetch is the limit.
    fn is_enough(&self, batch_messages: usize) -> bool {
        let full = self.ordinary.ackers.len() >= batch_messages || self.ordinary.bytes >= BATCH_BYTES;
        full && self.suspects.is_empty()
    }
}

impl Batch {
    fn add(&mut self, mut delivery: Delivery) {
        self.bytes += delivery.data.len();
        match Message::of_delivery(&mut delivery) {
            Ok(message) => self.messages.push(message),
            Err(dead) => self.outgoing.push(*dead),
        }
        self.ackers.push(delivery.acker);
    }
}
