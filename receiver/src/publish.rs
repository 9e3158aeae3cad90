//! The confirmed publisher: makes one message durable, or says that it is not.
//!
//! A supervisor keeps one connection; when that is lost, everything is built anew from the start. Each message
//! in flight has a channel to itself, lent from a pool, for these reasons:
//! - lapin numbers a publish and queues its frames in two steps, so two publishes at once on one channel can
//!   be confirmed for each other, and a returned message can be taken for its neighbour's;
//! - the broker answers a message that it cannot take by closing the channel, which then harms no other;
//! - what lies unconfirmed in the client is bounded by the number of channels.

use crate::metrics::Metrics;
use apollo_shared::admin::Readiness;
use apollo_shared::broker::{Broker, close};
use apollo_shared::envelope::Envelope;
use apollo_shared::publish::{PublishError, publish};
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::EXCHANGE;
use futures_util::{Stream, StreamExt as _};
use lapin::options::ConfirmSelectOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Event};
use std::pin::pin;
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

/// The component's name in readiness.
const BROKER: &str = "broker";

/// What is to be made durable.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its properties and headers.
    pub(crate) envelope: Envelope,
    /// Such as `push.dailies`.
    pub(crate) routing_key: String,
    /// JSON.
    pub(crate) body: String,
}

/// A message is not durable, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotDurable {
    /// There is no connection, or the broker lets nobody publish.
    #[error("the broker is not available: {0}")]
    Away(Arc<str>),
    /// It was tried and failed.
    #[error("the broker did not take the message")]
    Failed(#[source] Arc<PublishError>),
}

impl From<PublishError> for NotDurable {
    fn from(error: PublishError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<lapin::Error> for NotDurable {
    fn from(error: lapin::Error) -> Self {
        PublishError::from(error).into()
    }
}

#[derive(Debug, Clone)]
enum Broking {
    Away(Arc<str>),
    Up(Arc<Link>),
}

/// Publishes, for as many tasks as like, over the connection that the [`Supervisor`] keeps.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    broking: watch::Receiver<Broking>,
    metrics: Metrics,
}

impl Publisher {
    /// A publisher and the supervisor of its connection, which is yet to be run.
    pub(crate) fn new(broker: Broker, readiness: Readiness, metrics: Metrics) -> (Self, Supervisor) {
        let reason = "not connected yet";
        readiness.not_ready(BROKER, reason);
        let (sender, broking) = watch::channel(Broking::Away(reason.into()));
        (Self { broking, metrics }, Supervisor { broker, readiness, broking: sender })
    }

    /// Returns when a quorum queue has confirmed the message. This is the one place that a 200 relies on,
    /// and where a second way of making a message durable belongs.
    ///
    /// To be run to its end: a message once handed over keeps its channel until its fate is known.
    pub(crate) async fn make_durable(&self, message: &Message) -> Result<(), NotDurable> {
        let link = match &*self.broking.borrow() {
            Broking::Up(link) => link.clone(),
            Broking::Away(reason) => return Err(NotDurable::Away(reason.clone())),
        };
        let _permit = link.permits.acquire().await;
        let channel = link.channel().await?;
        let properties = message.envelope.to_properties(APP_ID, FieldTable::default());
        let handed_over = Instant::now();
        let outcome =
            publish(&channel, EXCHANGE, &message.routing_key, properties, message.body.as_bytes()).await;
        if outcome.is_ok() {
            self.metrics.publish_confirm.observe(handed_over.elapsed().as_secs_f64());
        }
        link.take_back(channel);
        if let Err(PublishError::Unroutable(_)) = outcome {
            // A queue was deleted. A new start declares it again; what is in flight here may finish.
            link.retired.cancel();
        }
        Ok(outcome?)
    }
}

/// A connection, and the channels on it that are idle.
#[derive(Debug)]
struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
    permits: Semaphore,
    /// Set when it is of no use any more.
    retired: CancellationToken,
}

impl Link {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            idle: Mutex::default(),
            permits: Semaphore::new(CHANNELS),
            retired: CancellationToken::new(),
        }
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
            self.retired.cancel();
        }
    }
}

/// Keeps the publisher connected, and tells whether it is.
pub(crate) struct Supervisor {
    broker: Broker,
    readiness: Readiness,
    broking: watch::Sender<Broking>,
}

impl Supervisor {
    /// Connects, watches, and connects again, until `stop`; then closes the connection.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(attempt) = stop.run_until_cancelled(self.broker.connect()).await {
            match attempt {
                Ok(connection) => {
                    backoff.reset();
                    if let Some(Link { connection, idle: _until_closed, .. }) =
                        self.keep(connection, &stop).await
                    {
                        return close(connection).await;
                    }
                    tracing::warn!("connection to RabbitMQ lost or given up, connecting again");
                    self.away("the connection was lost");
                }
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
    async fn keep(&self, connection: Connection, stop: &CancellationToken) -> Option<Link> {
        let events = connection.events_listener();
        let link = Arc::new(Link::new(connection));
        tracing::info!("connected to RabbitMQ");
        self.up(&link);
        if stop.run_until_cancelled(self.watch(&link, events)).await.is_some() {
            return None;
        }
        self.away("the receiver is stopping");
        Arc::into_inner(link)
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
        self.readiness.ready(BROKER);
    }

    fn away(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.broking.send_replace(Broking::Away(reason.as_str().into()));
        self.readiness.not_ready(BROKER, reason);
    }
}
