//! Publishing that is sure: persistent, mandatory, and done only when the broker has confirmed it.

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};

/// Why a message is not in its queue.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The connection or the channel failed before the confirm came. The message may be in the queue or not.
    #[error("the broker's confirm did not come")]
    Connection(#[from] lapin::Error),
    /// The broker says no: the queue is full or has lost its majority.
    #[error("the broker refused the message")]
    Refused,
    /// No queue is bound for its routing key.
    #[error("no queue takes the routing key {0}")]
    Unroutable(ShortString),
    /// A mistake of ours: the channel is not in confirm mode.
    #[error("the channel is not in confirm mode")]
    NotConfirming,
}

/// Publishes to a queue and waits until a majority of its replicas holds the message on disk.
///
/// An unroutable message is *acknowledged* too, after having been returned: only an acknowledgement without
/// a returned message is success.
///
/// One task at a time may publish on a channel, unless it waits for all of them together: lapin numbers a publish
/// and queues its frames in two steps, so of two at once each may get the other's confirm. And it gives a returned
/// message to whichever confirm of the channel comes next: of several at once any may be told that it is unroutable,
/// and the one that is may be told that it is not.
///
/// # Errors
/// See [`PublishError`]; whatever it is, the message must be published again.
pub async fn publish(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    properties: BasicProperties,
    body: &[u8],
) -> Result<(), PublishError> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let routing_key = crate::envelope::short_string(routing_key);
    let confirm =
        channel.basic_publish(exchange.into(), routing_key.clone(), options, body, properties).await?;
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Err(PublishError::Unroutable(routing_key))
        }
        Confirmation::Nack(None) => Err(PublishError::Refused),
        Confirmation::NotRequested => Err(PublishError::NotConfirming),
    }
}

/// Publishes to whoever listens, and waits until the broker has it; nobody may be listening.
///
/// # Errors
/// See [`PublishError`].
pub async fn announce(
    channel: &Channel,
    exchange: &str,
    properties: BasicProperties,
    body: &[u8],
) -> Result<(), PublishError> {
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish(exchange.into(), "".into(), options, body, properties).await?;
    match confirm.await? {
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) => Err(PublishError::Refused),
        Confirmation::NotRequested => Err(PublishError::NotConfirming),
    }
}
