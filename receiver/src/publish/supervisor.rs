//! Keeps a connection to publish over: when that is lost, or found too slow, everything is built anew from the start.

use super::line::Line;
use super::link::{CHANNELS, Link};
use super::ways::Ways;
use crate::metrics::Metrics;
use apollo_shared::broker::{Broker, close};
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use futures_util::{Stream, StreamExt as _};
use lapin::{Channel, Connection, Event};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that was closed without an error is noticed by looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long what is still under way, which nobody waits for any more, may hold up a stop.
const END_TIME: Duration = Duration::from_millis(1500);

/// Keeps the publisher connected, and tells whether it is.
pub(crate) struct Supervisor {
    broker: Broker,
    ways: Ways,
    line: Arc<Line>,
    metrics: Metrics,
}

/// How a connection has ended.
enum Ended {
    /// It was closed, as the receiver stops.
    Stopped,
    /// It was lost, or given up.
    Lost {
        /// Whether a message was ever confirmed over it.
        proven: bool,
    },
}

impl Supervisor {
    pub(super) fn new(broker: Broker, ways: Ways, line: Arc<Line>, metrics: Metrics) -> Self {
        Self { broker, ways, line, metrics }
    }

    /// Connects, watches, and connects again, until `stop`; then closes the connection.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(attempt) = stop.run_until_cancelled(self.broker.connect()).await {
            match attempt {
                Ok(connection) => match self.keep(connection, &stop).await {
                    Ended::Stopped => return,
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
                    self.away(&reason);
                }
            }
            if !backoff.pause(&stop).await {
                return;
            }
        }
    }

    /// Publishes over `connection` until it is lost, or until `stop`, when it is closed.
    async fn keep(&self, connection: Connection, stop: &CancellationToken) -> Ended {
        let events = connection.events_listener();
        let link = Arc::new(Link::new(connection, self.line.clone(), self.metrics.clone()));
        let mut publishing = JoinSet::new();
        for _ in 0..CHANNELS {
            publishing.spawn(link.clone().publish());
        }
        tracing::info!("connected to RabbitMQ");
        self.up();
        let lost = stop.run_until_cancelled(self.watch(&link, &mut publishing, events)).await.is_some();
        let proven = link.is_proven();
        let end = end(link, publishing);
        if lost {
            // What is under way there keeps its room in memory until its fate is known.
            tokio::spawn(end);
            return Ended::Lost { proven };
        }
        self.away("the receiver is stopping");
        let _ = timeout(END_TIME, end).await;
        Ended::Stopped
    }

    /// Returns when the connection is lost or given up.
    async fn watch(
        &self,
        link: &Link,
        publishing: &mut JoinSet<Option<Channel>>,
        events: impl Stream<Item = Event>,
    ) {
        let mut events = pin!(events);
        while link.connection.status().connected() {
            tokio::select! {
                () = link.retired.cancelled() => return,
                // None of them ends before, unless by a mistake of ours.
                _ = publishing.join_next() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!("RabbitMQ blocks publishing: {reason}");
                        self.away(&format!("it blocks publishing: {reason}"));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ does not block publishing any more");
                        self.up();
                    }
                    // The loop looks at the connection; a channel's error is for who uses it.
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    fn up(&self) {
        self.line.open();
        self.ways.broker(None);
    }

    fn away(&self, reason: &str) {
        self.line.close(&reason.into());
        self.ways.broker(Some(reason.to_owned()));
    }
}

/// Closes a connection when nothing is under way on it any more.
async fn end(link: Arc<Link>, mut publishing: JoinSet<Option<Channel>>) {
    link.give_up();
    let mut channels = Vec::new();
    while let Some(ended) = publishing.join_next().await {
        channels.extend(ended.ok().flatten());
    }
    if let Some(link) = Arc::into_inner(link) {
        close(link.connection).await;
    }
}
