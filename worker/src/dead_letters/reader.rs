//! Reads a queue to its end without acknowledging, in bounded memory and in order.
//!
//! Fetching letters one by one takes a round trip each. A consumer is far faster, but gets no more than its prefetch
//! until it acknowledges; so one that waits because its letters stay is followed by another. Each has a channel of its
//! own, and these are closed one after the other: only what comes back at a channel's end comes back in its order.

use super::DeadLettersError;
use apollo_shared::broker;
use apollo_shared::topology::DEAD;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use std::time::Duration;

/// Letters in memory at most.
pub(super) const PREFETCH: u16 = 256;

/// A silence after which it is worth asking whether there are any letters left.
const SILENCE: Duration = Duration::from_millis(500);

/// See the [module](self).
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    channel: Channel,
    consumer: Consumer,
    /// Letters that the consumer has brought and that stay.
    kept: u16,
    /// Of consumers that wait, each with as many letters as its prefetch.
    full: Vec<Channel>,
}

impl<'a> Reader<'a> {
    pub(super) async fn open(connection: &'a Connection) -> Result<Self, DeadLettersError> {
        let (channel, consumer) = consume(connection).await?;
        Ok(Self { connection, channel, consumer, kept: 0, full: Vec::new() })
    }

    /// The next letter; nothing if none came for a moment.
    pub(super) async fn next(&mut self) -> Result<Option<Delivery>, DeadLettersError> {
        if self.kept == PREFETCH {
            let (channel, consumer) = consume(self.connection).await?;
            self.full.push(std::mem::replace(&mut self.channel, channel));
            self.consumer = consumer;
            self.kept = 0;
        }
        match tokio::time::timeout(SILENCE, self.consumer.next()).await {
            Ok(Some(delivery)) => Ok(Some(delivery?)),
            Ok(None) => Err(DeadLettersError::Ended),
            Err(_) => Ok(None),
        }
    }

    /// The last letter stays.
    pub(super) fn keep(&mut self) {
        self.kept += 1;
    }

    /// The channels that hold what stays, to be closed in this order; nothing is handed out to them any more.
    pub(super) async fn end(self) -> Result<Vec<Channel>, DeadLettersError> {
        self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default()).await?;
        let mut channels = self.full;
        channels.push(self.channel);
        Ok(channels)
    }
}

async fn consume(connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
    let channel = broker::open_channel(connection).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(DEAD.into(), "".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}
