//! The exchanges and queues of design.md section 4, declared by the worker at its start.
//!
//! The receiver looks whether they are there, and declares them only where they are not: so that its user needs no right to
//! declare or delete anything, and a developer may start it alone.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// The topic exchange that everything is published to.
pub const EXCHANGE: &str = "apollo";

/// The topic exchange, and the queue behind it, of what could not be handled.
pub const DEAD: &str = "apollo.dead";

/// The fanout exchange over which the outcome of a consent goes to every receiver.
pub const OUTCOMES: &str = "apollo.outcomes";

/// The seconds after which a message may come back to its lane: it waits in a queue of its own for each.
pub const RETRY_SECONDS: [u32; 6] = [1, 5, 15, 60, 300, 1800];

/// Deliveries that a message may outlive before the broker moves it to [`DEAD`]: it took its worker down
/// with it each time. RabbitMQ counts the redeliveries, so a message is handed out once more than this.
const DELIVERY_LIMIT: i32 = 20;

/// What no reader of [`DEAD`] reaches: an operator who only looks makes a delivery of every letter, and RabbitMQ 4
/// would drop a letter at its 21st. (A limit of -1 means none there, but 0 to RabbitMQ 3.)
const NO_DELIVERY_LIMIT: i32 = i32::MAX;

/// A queue and the work that its messages ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Notifications with summaries.
    Summaries,
    /// Consents, deregistrations, permission changes.
    Account,
    /// Fetches from Garmin's API.
    Pull,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::Summaries, Self::Account, Self::Pull];

    /// The name in configuration, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Summaries => "summaries",
            Self::Account => "account",
            Self::Pull => "pull",
        }
    }

    /// The name of its queue.
    #[must_use]
    pub const fn queue(self) -> &'static str {
        match self {
            Self::Summaries => "apollo.summaries",
            Self::Account => "apollo.account",
            Self::Pull => "apollo.pull",
        }
    }

    const fn binding(self) -> &'static str {
        match self {
            Self::Summaries => "push.#",
            Self::Account => "account.#",
            Self::Pull => "pull.#",
        }
    }
}

/// Why the broker has not what Apollo needs.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something is missing, and may not be declared by a receiver's user.
    #[error(
        "Apollo's queues are not there yet and this user may not declare them: start a worker first, it declares them"
    )]
    Missing(#[source] lapin::Error),
    /// A worker's user lacks its rights.
    #[error(
        "this user may not declare Apollo's queues: give it the rights of apollo_worker in \
         ops/rabbitmq/permissions.json"
    )]
    Forbidden(#[source] lapin::Error),
    /// Something of the same name is there, with other properties.
    #[error(
        "an exchange or queue of this name was declared otherwise, perhaps by another version of Apollo: let that \
         version empty the queue, then delete it, and it is declared anew"
    )]
    DeclaredOtherwise(#[source] lapin::Error),
    /// The connection failed.
    #[error("the connection to RabbitMQ failed")]
    Connection(#[source] lapin::Error),
}

impl From<lapin::Error> for TopologyError {
    fn from(error: lapin::Error) -> Self {
        match soft_error(&error) {
            Some(AMQPSoftError::ACCESSREFUSED) => Self::Forbidden(error),
            Some(AMQPSoftError::PRECONDITIONFAILED) => Self::DeclaredOtherwise(error),
            _ => Self::Connection(error),
        }
    }
}

fn soft_error(error: &lapin::Error) -> Option<&AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

/// Looks whether what the receiver uses is there, which takes no rights, and declares everything if not.
///
/// # Errors
/// See [`TopologyError`].
pub async fn declare_if_missing(connection: &Connection) -> Result<(), TopologyError> {
    match look(&connection.create_channel().await?).await {
        Err(error) if soft_error(&error) == Some(&AMQPSoftError::NOTFOUND) => {
            declare(connection).await.map_err(|error| match error {
                TopologyError::Forbidden(source) => TopologyError::Missing(source),
                error => error,
            })
        }
        looked => Ok(looked?),
    }
}

/// The exchanges are there, and a queue for each routing key that a receiver publishes under.
async fn look(channel: &Channel) -> lapin::Result<()> {
    for (exchange, kind) in [(EXCHANGE, ExchangeKind::Topic), (OUTCOMES, ExchangeKind::Fanout)] {
        let passive = ExchangeDeclareOptions { passive: true, durable: true, ..Default::default() };
        channel.exchange_declare(exchange.into(), kind, passive, FieldTable::default()).await?;
    }
    for lane in [Lane::Summaries, Lane::Account] {
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        channel.queue_declare(lane.queue().into(), passive, FieldTable::default()).await?;
    }
    Ok(())
}

/// Declares every exchange, queue and binding; what exists already is left as it is.
///
/// # Errors
/// See [`TopologyError`].
pub async fn declare(connection: &Connection) -> Result<(), TopologyError> {
    let channel = &connection.create_channel().await?;
    for exchange in [EXCHANGE, DEAD] {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
    }
    declare_queue(channel, DEAD, dead_arguments()).await?;
    bind(channel, DEAD, DEAD, "#").await?;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(OUTCOMES.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
    for seconds in RETRY_SECONDS {
        declare_retry(channel, seconds).await?;
    }
    for lane in Lane::ALL {
        declare_queue(channel, lane.queue(), lane_arguments()).await?;
        bind(channel, lane.queue(), EXCHANGE, lane.binding()).await?;
    }
    Ok(())
}

/// The exchange, and the queue behind it, of what is to come back after `seconds`, one of [`RETRY_SECONDS`].
#[must_use]
pub fn retry(seconds: u32) -> String {
    format!("apollo.retry.{seconds}")
}

/// A message is published to the exchange under its own routing key, and keeps it when the broker moves it on: so one
/// queue serves all lanes.
async fn declare_retry(channel: &Channel, seconds: u32) -> lapin::Result<()> {
    let name = retry(seconds);
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(name.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await?;
    let mut arguments = quorum_arguments();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(i64::from(seconds) * 1000));
    arguments.insert("x-dead-letter-exchange".into(), text(EXCHANGE));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    declare_queue(channel, &name, arguments).await?;
    bind(channel, &name, &name, "#").await
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, routing_key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), routing_key.into(), options, FieldTable::default())
        .await
}

fn quorum_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn dead_arguments() -> FieldTable {
    let mut arguments = quorum_arguments();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(NO_DELIVERY_LIMIT));
    arguments
}

/// Dead-lettering by the broker is at least once (RabbitMQ's guide on quorum queues), which asks for
/// `reject-publish` as the overflow policy.
fn lane_arguments() -> FieldTable {
    let mut arguments = quorum_arguments();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

/// The exchange's name in the type that lapin asks for.
#[must_use]
pub fn exchange() -> ShortString {
    EXCHANGE.into()
}
