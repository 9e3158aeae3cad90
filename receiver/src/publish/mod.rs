//! Makes one message durable: by the broker's confirm, or in the spool while the broker is away, blocks, refuses or is
//! slow (design.md, law 1). What is in the spool goes into the broker later, and stays the message that it was.

mod line;
mod link;
mod outbox;
mod supervisor;
mod ways;

use crate::budget::Reservation;
use crate::metrics::Metrics;
use crate::spool::{Spool, SpoolError};
use apollo_shared::admin::Readiness;
use apollo_shared::broker::Broker;
use apollo_shared::envelope::Envelope;
use apollo_shared::publish::PublishError;
use apollo_shared::telemetry::with_causes;
use std::sync::Arc;
use std::time::Duration;

use line::Line;
pub(crate) use supervisor::Supervisor;
use ways::Ways;

/// How long the broker may take to confirm a message before it counts as away: a hundred times what a busy one takes, and a
/// tenth of what Garmin waits.
pub(crate) const SLOW: Duration = Duration::from_secs(3);

/// What is to be made durable.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its properties and headers.
    pub(crate) envelope: Envelope,
    /// Such as `push.dailies`.
    pub(crate) routing_key: String,
    /// JSON.
    pub(crate) body: String,
    /// What it takes in memory, if that is counted: until nobody holds it any more, the AMQP client included.
    pub(crate) _room: Option<Arc<Reservation>>,
}

/// Who has a message that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A quorum queue.
    Broker,
    /// The receiver's own disk.
    Spool,
}

impl Keeper {
    /// The word in traces.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Spool => "spool",
        }
    }
}

/// The broker does not have a message, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotPublished {
    /// There is no connection, or the broker lets nobody publish.
    #[error("the broker is not available: {0}")]
    Away(Arc<str>),
    /// It was tried, and nothing has come back.
    #[error("the broker did not confirm within {} s", SLOW.as_secs())]
    Slow,
    /// It was tried and failed.
    #[error("the broker did not take the message")]
    Failed(#[source] Arc<PublishError>),
}

/// A message is not durable, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not published ({}), and not in the spool", with_causes(.broker))]
pub(crate) struct NotDurable {
    broker: NotPublished,
    #[source]
    spool: SpoolError,
}

impl From<PublishError> for NotPublished {
    fn from(error: PublishError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<lapin::Error> for NotPublished {
    fn from(error: lapin::Error) -> Self {
        PublishError::from(error).into()
    }
}

/// Makes messages durable, for as many tasks as like, over the connection that the [`Supervisor`] keeps.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    line: Arc<Line>,
    spool: Option<Spool>,
    ways: Ways,
}

impl Publisher {
    /// A publisher and the supervisor of its connection, which is yet to be run.
    pub(crate) fn new(
        broker: Broker,
        spool: Option<Spool>,
        readiness: Readiness,
        metrics: Metrics,
    ) -> (Self, Supervisor) {
        let reason = "not connected yet";
        let no_spool = spool.is_none().then(|| SpoolError::Off.to_string());
        let ways = Ways::new(readiness, metrics.broker_connected.clone(), reason, no_spool);
        let line = Arc::new(Line::closed(reason));
        let supervisor = Supervisor::new(broker, ways.clone(), line.clone(), metrics);
        (Self { line, spool, ways }, supervisor)
    }

    /// Returns when the message is durable. This is the one place that a 200 relies on.
    pub(crate) async fn make_durable(&self, message: &Arc<Message>) -> Result<Keeper, NotDurable> {
        let Err(broker) = self.publish(message).await else { return Ok(Keeper::Broker) };
        self.store(message).await.map_err(|spool| NotDurable { broker, spool })?;
        Ok(Keeper::Spool)
    }

    /// Returns when a quorum queue has confirmed the message, or when that does not come soon.
    pub(crate) async fn publish(&self, message: &Arc<Message>) -> Result<(), NotPublished> {
        let answered = self.line.join(message.clone())?;
        // Nobody leaves the line without an answer, unless the runtime ends.
        answered.await.unwrap_or_else(|_| Err(NotPublished::Away("the receiver is stopping".into())))
    }

    /// As [`Publisher::publish`], but waits a moment for a broker that is away.
    pub(crate) async fn publish_patiently(&self, message: &Arc<Message>) -> Result<(), NotPublished> {
        let _ = tokio::time::timeout(SLOW, self.broker_is_up()).await;
        self.publish(message).await
    }

    /// Returns when messages can be published.
    pub(crate) async fn broker_is_up(&self) {
        self.line.opened().await;
    }

    async fn store(&self, message: &Arc<Message>) -> Result<(), SpoolError> {
        let stored = match &self.spool {
            Some(spool) => spool.store(message).await,
            None => Err(SpoolError::Off),
        };
        self.ways.spool(stored.as_ref().err().map(|error| with_causes(error)));
        stored
    }
}
