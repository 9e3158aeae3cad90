//! Publishing as the receiver does, with chosen times and ids, and looking into queues.

use crate::Result;
use apollo_shared::envelope::Envelope;
use apollo_shared::publish::publish;
use apollo_shared::topology::{self, EXCHANGE};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::Value;

/// A connection to a test's virtual host.
pub struct Broker {
    channel: Channel,
    // Closed when dropped.
    _connection: Connection,
}

/// A message taken from a queue.
#[derive(Debug)]
pub struct Taken {
    /// Its routing key.
    pub routing_key: String,
    /// Its envelope.
    pub envelope: Envelope,
    /// A text header, such as `reason`.
    pub headers: FieldTable,
    /// Its body.
    pub body: Vec<u8>,
}

impl Taken {
    /// A header that holds text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.inner().get(name)?.as_long_string().map(ToString::to_string)
    }

    /// The body.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Broker {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        topology::declare(&connection).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, _connection: connection })
    }

    /// Publishes a notification.
    ///
    /// # Errors
    /// RabbitMQ does not confirm it.
    pub async fn publish(&self, envelope: &Envelope, body: &[u8]) -> Result<()> {
        let properties = envelope.to_properties("apollo-tests", FieldTable::default());
        let routing_key = format!("push.{}", envelope.endpoint);
        Ok(publish(&self.channel, EXCHANGE, &routing_key, properties, body).await?)
    }

    /// Publishes a message that was taken out of a queue, as it was.
    ///
    /// # Errors
    /// RabbitMQ does not confirm it.
    pub async fn publish_again(&self, taken: &Taken) -> Result<()> {
        let properties = taken.envelope.to_properties("apollo-tests", taken.headers.clone());
        Ok(publish(&self.channel, EXCHANGE, &taken.routing_key, properties, &taken.body).await?)
    }

    /// Takes the next message out of a queue.
    ///
    /// # Errors
    /// RabbitMQ refuses, or the message is not one of Apollo's.
    pub async fn take(&self, queue: &str) -> Result<Option<Taken>> {
        let Some(message) = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await? else {
            return Ok(None);
        };
        message.delivery.ack(BasicAckOptions::default()).await?;
        Ok(Some(Taken {
            routing_key: message.delivery.routing_key.to_string(),
            envelope: Envelope::from_properties(&message.delivery.properties)?,
            headers: message.delivery.properties.headers().clone().unwrap_or_default(),
            body: message.delivery.data,
        }))
    }

    /// Takes everything out of a queue.
    ///
    /// # Errors
    /// As for [`Broker::take`].
    pub async fn take_all(&self, queue: &str) -> Result<Vec<Taken>> {
        let mut taken = Vec::new();
        while let Some(message) = self.take(queue).await? {
            taken.push(message);
        }
        Ok(taken)
    }

    /// Removes a queue with all that is in it.
    ///
    /// # Errors
    /// RabbitMQ refuses.
    pub async fn delete(&self, queue: &str) -> Result<()> {
        self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }

    /// Declares a queue as no version of Apollo does.
    ///
    /// # Errors
    /// RabbitMQ refuses.
    pub async fn declare_classic(&self, queue: &str) -> Result<()> {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.into(), durable, FieldTable::default()).await?;
        Ok(())
    }

    /// How many messages wait in a queue, those handed out to a consumer not counted.
    ///
    /// # Errors
    /// RabbitMQ refuses.
    pub async fn waiting(&self, queue: &str) -> Result<u32> {
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        Ok(self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await?.message_count())
    }
}
