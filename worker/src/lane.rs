//! Consume, gather a batch, handle it, publish what came of it, acknowledge: the same for every lane.
//!
//! A lane runs several slots. Each has a channel and a prefetch of its own and takes one batch after the other,
//! so a batch is acknowledged by one frame; while one slot waits for the database, another reads.
//! Consuming and publishing go over two connections: a broker that blocks publishers must not hold back the
//! acknowledgements that would relieve it.
//!
//! Whatever fails, everything is built again from the start: start and restart are one path. What was not
//! acknowledged comes again, and is harmless (design.md, laws 2 and 3).

use crate::config::LaneConfig;
use crate::message::{Destination, Message, Outgoing};
use crate::metrics::Metrics;
use apollo_shared::admin::Readiness;
use apollo_shared::broker::{self, Broker, ConnectError};
use apollo_shared::publish::{PublishError, announce, publish};
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Bytes of a batch's bodies, at most, though a single larger message is a batch too.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What a lane's messages ask for.
pub trait Handler: Send + Sync + 'static {
    /// The lane.
    fn lane(&self) -> Lane;

    /// Waits until the work can be done. False if `stop` came first.
    fn prepare(&self, stop: &CancellationToken) -> impl Future<Output = bool> + Send;

    /// Does the work of a batch, so that it is durable when this returns.
    fn handle(
        &self,
        messages: Arc<Vec<Message>>,
        stop: &CancellationToken,
    ) -> impl Future<Output = Handled> + Send;
}

/// What became of a batch.
#[derive(Debug)]
pub enum Handled {
    /// The work is done and durable; these are to be published before the batch is acknowledged.
    Done(Vec<Outgoing>),
    /// The work cannot be done now: the batch goes back to its queue.
    GivenBack,
}

/// Why a lane has to be built anew.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error("no connection")]
    Connect(#[from] ConnectError),
    #[error("the connection to RabbitMQ failed")]
    Connection(#[from] lapin::Error),
    #[error("the broker ended the consumer")]
    Cancelled,
    #[error("a dead letter or a follow-up could not be published")]
    Publish(#[from] PublishError),
    #[error("the batch could not be acknowledged; it will come again")]
    NotAcknowledged,
    #[error("a batch went back to its queue")]
    GivenBack,
    #[error("a task of the lane ended")]
    Task(#[from] tokio::task::JoinError),
}

/// Runs one lane.
pub struct LaneRunner<H> {
    /// What is done with its messages.
    pub handler: Arc<H>,
    /// Where they come from.
    pub broker: Broker,
    /// How many at a time.
    pub config: LaneConfig,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the state of the connection is told.
    pub readiness: Readiness,
}

impl<H: Handler> LaneRunner<H> {
    /// Serves the lane until `stop`, then finishes the batches in hand.
    pub async fn run(self, stop: CancellationToken) {
        let runner = Arc::new(self);
        let lane = runner.handler.lane().name();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while !stop.is_cancelled() {
            let served = runner.serve(&mut backoff, &stop).await;
            let Err(error) = served else { continue };
            let reason = with_causes(&error);
            tracing::warn!(lane, "the lane {lane} starts anew: {reason}");
            runner.readiness.not_ready(lane, reason);
            backoff.pause(&stop).await;
        }
    }

    /// Serves until `stop` or the first failure of a slot, which ends the others too.
    async fn serve(
        self: &Arc<Self>,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<(), LaneError> {
        if !self.handler.prepare(stop).await {
            return Ok(());
        }
        let Some(connections) = stop.run_until_cancelled(self.connect()).await else {
            return Ok(());
        };
        let (consuming, publishing) = connections?;
        self.readiness.ready(self.handler.lane().name());
        backoff.reset();

        let slots_stop = stop.child_token();
        let mut slots = JoinSet::new();
        for _ in 0..self.config.concurrency.get() {
            let slot = Slot::open(self, &consuming, &publishing).await?;
            slots.spawn(slot.run(slots_stop.clone()));
        }
        let mut outcome = Ok(());
        while let Some(ended) = slots.join_next().await {
            if let Err(error) = ended.map_err(LaneError::from).and_then(|result| result) {
                slots_stop.cancel();
                outcome = outcome.and(Err(error));
            }
        }
        broker::close(consuming).await;
        broker::close(publishing).await;
        outcome
    }

    async fn connect(&self) -> Result<(Connection, Connection), LaneError> {
        Ok((self.broker.connect().await?, self.broker.connect().await?))
    }
}

/// One of a lane's consumers.
struct Slot<H> {
    runner: Arc<LaneRunner<H>>,
    consumer: Consumer,
    publisher: Channel,
}

/// Messages to be handled together.
#[derive(Default)]
struct Gathered {
    messages: Vec<Message>,
    /// Of what Apollo did not publish.
    outgoing: Vec<Outgoing>,
    bytes: usize,
    /// The last of them, without its body; acknowledging it acknowledges all.
    last: Option<Delivery>,
}

impl<H: Handler> Slot<H> {
    async fn open(
        runner: &Arc<LaneRunner<H>>,
        consuming: &Connection,
        publishing: &Connection,
    ) -> Result<Self, LaneError> {
        let channel = consuming.create_channel().await?;
        channel.basic_qos(runner.config.prefetch.get(), BasicQosOptions::default()).await?;
        let queue = runner.handler.lane().queue();
        let consumer = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        let publisher = publishing.create_channel().await?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { runner: Arc::clone(runner), consumer, publisher })
    }

    async fn run(mut self, stop: CancellationToken) -> Result<(), LaneError> {
        loop {
            let Some(first) = stop.run_until_cancelled(self.consumer.next()).await else {
                return Ok(());
            };
            let gathered = self.gather(first.ok_or(LaneError::Cancelled)??).await?;
            self.finish(gathered, &stop).await?;
        }
    }

    /// Waits a little for more after the first message, and takes what is already there.
    async fn gather(&mut self, first: Delivery) -> Result<Gathered, LaneError> {
        let config = &self.runner.config;
        let deadline = Instant::now() + Duration::from_millis(config.batch_wait_ms);
        let mut gathered = Gathered::default();
        gathered.add(first);
        while gathered.messages.len() < config.batch_messages.get() && gathered.bytes < BATCH_BYTES {
            match timeout_at(deadline, self.consumer.next()).await {
                Ok(next) => gathered.add(next.ok_or(LaneError::Cancelled)??),
                Err(_) => break,
            }
        }
        Ok(gathered)
    }

    async fn finish(&self, gathered: Gathered, stop: &CancellationToken) -> Result<(), LaneError> {
        let Gathered { messages, mut outgoing, last, .. } = gathered;
        let lane = self.runner.handler.lane();
        let taken = messages.len() + outgoing.len();
        match self.runner.handler.handle(Arc::new(messages), stop).await {
            Handled::Done(more) => outgoing.extend(more),
            Handled::GivenBack if stop.is_cancelled() => return Ok(()),
            Handled::GivenBack => return Err(LaneError::GivenBack),
        }
        try_join_all(outgoing.iter().map(|outgoing| self.publish(lane, outgoing))).await?;
        if let Some(last) = last
            && !last.ack(BasicAckOptions { multiple: true }).await?
        {
            return Err(LaneError::NotAcknowledged);
        }
        let dead = outgoing.iter().filter(|outgoing| outgoing.is_dead_message()).count();
        self.runner.metrics.acknowledged(lane, taken - dead, dead);
        Ok(())
    }

    async fn publish(&self, lane: Lane, outgoing: &Outgoing) -> Result<(), LaneError> {
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
    fn add(&mut self, mut delivery: Delivery) {
        self.bytes += delivery.data.len();
        match Message::of_delivery(&mut delivery) {
            Ok(message) => self.messages.push(message),
            Err(dead) => self.outgoing.push(*dead),
        }
        self.last = Some(delivery);
    }
}
