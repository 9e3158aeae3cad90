//! Consume, gather a batch, handle it, publish what came of it, acknowledge: the same for every lane.
//!
//! A lane runs several slots. Each has a consumer with a prefetch of its own and takes one batch after the other;
//! while one slot waits for the database, another reads. All consume over one channel: the broker notices the end of
//! each channel by itself, and would hand what the first had out to the next, which has ended too, and count a
//! delivery each time. Consuming and publishing go over two connections: a broker that blocks publishers must not hold back the
//! acknowledgements that would relieve it.
//!
//! Whatever fails, everything is built again from the start: start and restart are one path. What was not
//! acknowledged comes again, and is harmless (design.md, laws 2 and 3). Only work that does not end cannot be left
//! behind in a running program: the program ends then, and is started again by its supervisor.

mod in_hand;
mod slot;

use crate::config::LaneConfig;
use crate::message::{Message, Outgoing};
use crate::metrics::Metrics;
use apollo_shared::admin::Readiness;
use apollo_shared::broker::{self, Broker, ConnectError};
use apollo_shared::publish::PublishError;
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::traces::Tracing;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
pub use in_hand::InHand;
use lapin::Connection;
use lapin::options::BasicQosOptions;
use slot::Slot;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A lane that has served for so long begins with short pauses again: each start makes one more delivery of what was
/// in hand, so a lane that fails over and over must not use up a message's deliveries (see
/// [`apollo_shared::topology`]) in seconds.
const SETTLED: Duration = Duration::from_secs(30);

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
    /// The work cannot be done now, through no fault of the messages: they go back to their queue.
    GivenBack,
    /// The work does not end, and cannot be ended but with the program.
    Stuck,
}

/// Why a lane gives up, and the program with it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the lane {0} has work in hand that does not end, so the program does; what it had in hand comes again"
)]
pub struct StuckError(&'static str);

/// Why a lane has to be built anew.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error("no connection")]
    Connect(#[from] ConnectError),
    #[error("the connection to RabbitMQ failed")]
    Connection(#[from] lapin::Error),
    #[error("the connection to RabbitMQ was lost before a batch was acknowledged; it will come again")]
    Lost,
    #[error("the broker ended the consumer")]
    Cancelled,
    #[error("a dead letter or a follow-up could not be published")]
    Publish(#[from] PublishError),
    #[error("the batch could not be acknowledged; it will come again")]
    NotAcknowledged,
    #[error("a batch went back to its queue")]
    GivenBack,
    #[error("work in hand does not end")]
    Stuck,
    #[error("a task of the lane ended")]
    Task(#[from] tokio::task::JoinError),
}

impl LaneError {
    /// The word in traces.
    const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Connection(_) | Self::Lost => "connection",
            Self::Cancelled => "cancelled",
            Self::Publish(_) => "publish",
            Self::NotAcknowledged => "not-acknowledged",
            Self::GivenBack => "given-back",
            Self::Stuck => "stuck",
            Self::Task(_) => "task",
        }
    }
}

/// What a lane works with until any of it fails.
struct Opened<H> {
    consuming: Connection,
    publishing: Connection,
    slots: Vec<Slot<H>>,
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
    /// Begins the spans of batches.
    pub tracing: Tracing,
    /// Where the state of the connection is told.
    pub readiness: Readiness,
    /// Where the batches in hand are counted.
    pub in_hand: InHand,
}

impl<H: Handler> LaneRunner<H> {
    /// Serves the lane until `stop`, then finishes the batches in hand.
    ///
    /// # Errors
    /// The program must end.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StuckError> {
        let runner = Arc::new(self);
        let lane = runner.handler.lane().name();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let error = match runner.serve(&stop).await {
                Ok(()) => continue,
                Err(LaneError::Stuck) => return Err(StuckError(lane)),
                Err(error) => error,
            };
            if begun.elapsed() > SETTLED {
                backoff.reset();
            }
            let reason = with_causes(&error);
            tracing::warn!(lane, "the lane {lane} starts anew: {reason}");
            runner.readiness.not_ready(lane, reason);
            backoff.pause(&stop).await;
        }
        Ok(())
    }

    /// Serves until `stop` or the first failure of a slot, which ends the others too.
    async fn serve(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), LaneError> {
        if !self.handler.prepare(stop).await {
            return Ok(());
        }
        let Some(opened) = stop.run_until_cancelled(self.open()).await else {
            return Ok(());
        };
        let Opened { consuming, publishing, slots } = opened?;
        let slots_stop = stop.child_token();
        let mut running = JoinSet::new();
        for slot in slots {
            running.spawn(slot.run(slots_stop.clone()));
        }
        self.readiness.ready(self.handler.lane().name());
        let mut outcome = Ok(());
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended.map_err(LaneError::from).and_then(|result| result) {
                slots_stop.cancel();
                outcome = match (outcome, error) {
                    (Ok(()), error) | (Err(_), error @ LaneError::Stuck) => Err(error),
                    (earlier, _) => earlier,
                };
            }
        }
        broker::close(consuming).await;
        broker::close(publishing).await;
        outcome
    }

    async fn open(self: &Arc<Self>) -> Result<Opened<H>, LaneError> {
        let (consuming, publishing) = (self.broker.connect().await?, self.broker.connect().await?);
        let channel = broker::open_channel(&consuming).await?;
        channel.basic_qos(self.config.prefetch.get(), BasicQosOptions::default()).await?;
        let mut slots = Vec::new();
        for _ in 0..self.config.concurrency.get() {
            slots.push(Slot::open(self, &channel, consuming.status(), &publishing).await?);
        }
        Ok(Opened { consuming, publishing, slots })
    }
}
