//! The connection that messages are published over.
//!
//! A supervisor keeps one; when that is lost, or found too slow, everything is built anew from the start. Each message
//! in flight has a channel to itself, lent from a pool, for these reasons:
//! - lapin numbers a publish and queues its frames in two steps, so two publishes at once on one channel can
//!   be confirmed for each other, and a returned message can be taken for its neighbour's;
//! - the broker answers a message that it cannot take by closing the channel, which then harms no other;
//! - what lies unconfirmed in the client is bounded by the number of channels.

use super::ways::Ways;
use super::{Message, NotPublished};
use crate::metrics::Metrics;
use apollo_shared::broker::{Broker, close};
use apollo_shared::publish::{PublishError, publish};
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::EXCHANGE;
use futures_util::{Stream, StreamExt as _};
use lapin::options::ConfirmSelectOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Event};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// The AMQP property app_id.
const APP_ID: &str = "apollo-receiver";

/// Messages in flight. With a round trip of 5 ms these are 25,000 a second; RabbitMQ allows 2,047 channels.
const CHANNELS: usize = 128;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that was closed without an error is noticed by looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) enum Broking {
    Away(Arc<str>),
    Up(Arc<Link>),
}

/// A connection, and the channels on it that are idle.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
    permits: Semaphore,
    /// Whether a message was ever confirmed over it.
    proven: AtomicBool,
    /// Set when it is of no use any more.
    retired: CancellationToken,
}

impl Link {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            idle: Mutex::default(),
            permits: Semaphore::new(CHANNELS),
            proven: AtomicBool::new(false),
            retired: CancellationToken::new(),
        }
    }

    /// Returns when a quorum queue has confirmed the message. To be run to its end: the channel is lent until then.
    pub(super) async fn publish(&self, message: &Message, metrics: &Metrics) -> Result<(), NotPublished> {
        let _permit = self.permits.acquire().await;
        if self.retired.is_cancelled() {
            return Err(NotPublished::Away("the connection was given up".into()));
        }
        let channel = self.channel().await?;
        let properties = message.envelope.to_properties(APP_ID, FieldTable::default());
        let handed_over = Instant::now();
        let outcome =
            publish(&channel, EXCHANGE, &message.routing_key, properties, message.body.as_bytes()).await;
        if outcome.is_ok() {
            self.proven.store(true, Ordering::Relaxed);
            metrics.publish_confirm.observe(handed_over.elapsed().as_secs_f64());
        }
        self.take_back(channel);
        if let Err(PublishError::Unroutable(_)) = outcome {
            // A queue was deleted. A new start declares it again; what is in flight here may finish.
            self.give_up();
        }
        Ok(outcome?)
    }

    /// Has the supervisor connect anew.
    pub(super) fn give_up(&self) {
        self.retired.cancel();
    }

    /// A channel in confirm mode that nobody else uses.
    async fn channel(&self) -> Result<Channel, lapin::Error> {
        while let Some(channel) = self.pop_idle() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let opened = self.open_channel().await;
        self.retire_if_lost();
        opened
    }

    async fn open_channel(&self) -> Result<Channel, lapin::Error> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    fn pop_idle(&self) -> Option<Channel> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn take_back(&self, channel: Channel) {
        if channel.status().connected() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        }
        self.retire_if_lost();
    }

    fn retire_if_lost(&self) {
        if !self.connection.status().connected() {
            self.give_up();
        }
    }
}

/// Keeps the publisher connected, and tells whether it is.
pub(crate) struct Supervisor {
    broker: Broker,
    ways: Ways,
    broking: watch::Sender<Broking>,
}

/// How a connection has ended.
enum Ended {
    /// It is to be closed, as the receiver stops.
    Stopped(Arc<Link>),
    /// It was lost, or given up.
    Lost {
        /// Whether a message was ever confirmed over it.
        proven: bool,
    },
}

impl Supervisor {
    pub(super) fn new(broker: Broker, ways: Ways, broking: watch::Sender<Broking>) -> Self {
        Self { broker, ways, broking }
    }

    /// Connects, watches, and connects again, until `stop`; then closes the connection.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(attempt) = stop.run_until_cancelled(self.broker.connect()).await {
            match attempt {
                Ok(connection) => match self.keep(connection, &stop).await {
                    Ended::Stopped(link) => return end(link).await,
                    Ended::Lost { proven } => {
                        // A broker that can be connected to but confirms nothing is asked less and less often.
                        if proven {
                            backoff.reset();
                        }
                        tracing::warn!("connection to RabbitMQ lost or given up, connecting again");
                        self.away("the connection was lost, or the broker was too slow");
                    }
                },
                Err(error) => {
                    let reason = with_causes(&error);
                    tracing::warn!("{reason}; trying again");
                    self.away(reason);
                }
            }
            if !backoff.pause(&stop).await {
                return;
            }
        }
    }

    /// Publishes over `connection` until it is lost, or until `stop`, when it is handed back to be closed.
    async fn keep(&self, connection: Connection, stop: &CancellationToken) -> Ended {
        let events = connection.events_listener();
        let link = Arc::new(Link::new(connection));
        tracing::info!("connected to RabbitMQ");
        self.up(&link);
        if stop.run_until_cancelled(self.watch(&link, events)).await.is_some() {
            return Ended::Lost { proven: link.proven.load(Ordering::Relaxed) };
        }
        self.away("the receiver is stopping");
        Ended::Stopped(link)
    }

    /// Returns when the connection is lost or given up.
    async fn watch(&self, link: &Arc<Link>, events: impl Stream<Item = Event>) {
        let mut events = pin!(events);
        while link.connection.status().connected() {
            tokio::select! {
                () = link.retired.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!("RabbitMQ blocks publishing: {reason}");
                        self.away(format!("it blocks publishing: {reason}"));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ does not block publishing any more");
                        self.up(link);
                    }
                    // The loop looks at the connection; a channel's error is for who uses it.
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    fn up(&self, link: &Arc<Link>) {
        self.broking.send_replace(Broking::Up(link.clone()));
        self.ways.broker(None);
    }

    fn away(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.broking.send_replace(Broking::Away(reason.as_str().into()));
        self.ways.broker(Some(reason));
    }
}

/// Closes a connection, unless messages are still under way on it.
async fn end(link: Arc<Link>) {
    if let Some(Link { connection, idle: _until_closed, .. }) = Arc::into_inner(link) {
        close(connection).await;
    }
}
