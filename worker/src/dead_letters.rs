//! The queue of dead letters, for the operator's commands.
//!
//! Letters stay unacknowledged until they are dealt with: whatever happens to the command, the broker puts the rest
//! back where it was. A look goes over no more letters than there were when it began, so a
//! letter that dies again at once is not met a second time. Two commands at once would hide letters from each other,
//! so the second is refused: an exclusive queue is the lock, which the broker frees with its connection.

pub mod file;
mod letter;
mod reader;

pub use letter::Letter;

use apollo_shared::broker::{self, Broker, ConnectError};
use apollo_shared::envelope::EnvelopeError;
use apollo_shared::publish::{PublishError, publish};
use apollo_shared::retry::Backoff;
use apollo_shared::topology::{DEAD, EXCHANGE};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use reader::{PREFETCH, Reader};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The exclusive queue that is the lock.
const LOCK: &str = "apollo.dead.lock";

/// How long the broker may take to put letters back after a look.
const PUT_BACK: Duration = Duration::from_secs(10);

/// Why dead letters cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum DeadLettersError {
    /// The broker is away.
    #[error("no connection")]
    Connect(#[from] ConnectError),
    /// The connection failed; what was not dealt with is in the queue again.
    #[error("the connection to RabbitMQ failed; letters that were not dealt with are in the queue again")]
    Connection(#[from] lapin::Error),
    /// The queue has gone, for instance as its node has.
    #[error("the broker stopped handing letters out; they are in the queue again")]
    Ended,
    /// Another command is at it.
    #[error(
        "another `apollo-worker dead-letters` is at work on this broker, and letters that it holds cannot be seen: \
         wait until it has ended"
    )]
    Busy,
    /// A letter was dealt with, but is in the queue again.
    #[error(
        "a letter was not acknowledged, so it is in the queue again: it has been published or saved, which may be \
         done twice"
    )]
    NotAcknowledged,
    /// The letter could not be published.
    #[error("the letter {letter} could not be published; it is still a dead letter")]
    Publish {
        /// Its id.
        letter: String,
        /// Why.
        source: PublishError,
    },
    /// The letter is no message of Apollo's.
    #[error("a letter cannot be replayed, only dropped, as Apollo did not publish it")]
    NotApollos(#[from] EnvelopeError),
}

/// What becomes of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays in its place.
    Keep,
    /// It leaves the queue for good.
    Remove,
}

/// How a look at the queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the last letter.
    Complete,
    /// Before that, as it was told to.
    Stopped,
}

/// The queue, held against other operators.
pub struct DeadLetters {
    connection: Connection,
    publisher: Channel,
}

impl DeadLetters {
    /// Connects, and keeps others out.
    ///
    /// # Errors
    /// See [`DeadLettersError`].
    pub async fn open(broker: &Broker) -> Result<Self, DeadLettersError> {
        let connection = broker.connect().await?;
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let lock = broker::open_channel(&connection).await?;
        lock.queue_declare(LOCK.into(), exclusive, FieldTable::default()).await.map_err(locked)?;
        let publisher = broker::open_channel(&connection).await?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, publisher })
    }

    /// How many letters there are.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn count(&self) -> Result<u32, DeadLettersError> {
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let queue = self.publisher.queue_declare(DEAD.into(), passive, FieldTable::default()).await?;
        Ok(queue.message_count())
    }

    /// The next letter; nothing if there is none any more, whatever the count said.
    async fn next(&self, reader: &mut Reader<'_>) -> Result<Option<Delivery>, DeadLettersError> {
        loop {
            if let Some(delivery) = reader.next().await? {
                return Ok(Some(delivery));
            }
            if self.count().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Shows `visit` every letter that is there now, oldest first, until `stop`.
    ///
    /// # Errors
    /// The connection failed, or `visit` did.
    pub async fn visit<E: From<DeadLettersError>>(
        &self,
        stop: &CancellationToken,
        mut visit: impl AsyncFnMut(Letter) -> Result<Verdict, E>,
    ) -> Result<End, E> {
        let (mut left, mut kept) = (self.count().await?, 0);
        let mut reader = Reader::open(&self.connection).await?;
        while left > 0 && !stop.is_cancelled() {
            let Some(mut delivery) = self.next(&mut reader).await? else { break };
            left -= 1;
            match visit(Letter::of_delivery(&mut delivery)).await? {
                Verdict::Keep => {
                    kept += 1;
                    reader.keep();
                }
                Verdict::Remove => {
                    self.remove(&delivery).await?;
                }
            }
        }
        self.put_back(reader, kept).await?;
        Ok(if stop.is_cancelled() { End::Stopped } else { End::Complete })
    }

    async fn remove(&self, letter: &Delivery) -> Result<(), DeadLettersError> {
        let acked = tokio::select! {
            acked = letter.ack(BasicAckOptions::default()) => acked?,
            () = broker::lost(self.connection.status()) => false,
        };
        if acked { Ok(()) } else { Err(DeadLettersError::NotAcknowledged) }
    }

    /// Puts the letters that a reader has kept back in their order, so that the next look finds all of them.
    async fn put_back(&self, reader: Reader<'_>, kept: u32) -> Result<(), DeadLettersError> {
        let mut back = 0;
        for channel in reader.end().await? {
            channel.close(200, "the letters are put back".into()).await?;
            back += u32::from(PREFETCH);
            self.wait_for(back.min(kept)).await?;
        }
        Ok(())
    }

    /// Waits, not for ever, until there are so many letters again.
    async fn wait_for(&self, letters: u32) -> Result<(), DeadLettersError> {
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
        let waiting = async {
            while self.count().await? < letters {
                backoff.pause(&CancellationToken::new()).await;
            }
            Ok(())
        };
        tokio::time::timeout(PUT_BACK, waiting).await.unwrap_or(Ok(()))
    }

    /// Publishes a letter as what it was, to where it was first published; its version among others is the old one.
    ///
    /// # Errors
    /// See [`DeadLettersError`]; the letter must not be removed then.
    pub async fn republish(&self, letter: &Letter) -> Result<(), DeadLettersError> {
        let properties = letter.properties()?;
        let published =
            publish(&self.publisher, EXCHANGE, &letter.routing_key, properties, &letter.body).await;
        published.map_err(|source| DeadLettersError::Publish { letter: letter.id(), source })
    }

    /// Lets others in.
    pub async fn close(self) {
        broker::close(self.connection).await;
    }
}

fn locked(error: lapin::Error) -> DeadLettersError {
    let is_locked = match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => {
            *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED)
        }
        _ => false,
    };
    if is_locked { DeadLettersError::Busy } else { error.into() }
}
