//! What travels beside a message's body: the AMQP properties and headers of design.md section 4.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// A moment in microseconds since the Unix epoch, UTC: the resolution of PostgreSQL's `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microseconds(pub i64);

impl Microseconds {
    /// The present moment by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The properties and headers of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// A UUIDv7; among messages received in the same microsecond the greater one is the newer.
    pub message_id: Uuid,
    /// The endpoint's name, AMQP property `type`.
    pub endpoint: String,
    /// When the receiver took it, header `received_at`; of what was pulled, when it was uploaded to Garmin. Orders versions.
    pub received_at: Microseconds,
    /// When it came to Apollo, if that is not `received_at`; header `arrived_at`.
    pub arrived_at: Option<Microseconds>,
    /// The place, in the body it came in, of this body's first entry; header `entry_index`. It is 0 but for a
    /// single entry taken out of its notification (a dead letter, a ping), which keeps its place among its
    /// former neighbours when it comes back.
    pub first_entry_index: u32,
    /// How often it has been put off, header `attempt`.
    pub attempt: u32,
    /// W3C trace context, header `traceparent`.
    pub traceparent: String,
}

/// A message without the properties that Apollo's receiver sets.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// `message_id` is missing or no UUID.
    #[error("the property message_id is missing or is not a UUID")]
    MessageId,
    /// The header `received_at` is missing or no integer.
    #[error("the header received_at (microseconds since 1970) is missing or is not an integer")]
    ReceivedAt,
}

const RECEIVED_AT: &str = "received_at";
const ARRIVED_AT: &str = "arrived_at";
const ENTRY_INDEX: &str = "entry_index";
const ATTEMPT: &str = "attempt";
const TRACEPARENT: &str = "traceparent";
const PERSISTENT: u8 = 2;

/// Where the trace's id stands in a `traceparent`.
const TRACE_ID: std::ops::Range<usize> = 3..35;

impl Envelope {
    /// The envelope of a notification that arrived just now.
    #[must_use]
    pub fn of_arrival(endpoint: &str, received_at: Microseconds, traceparent: Option<&str>) -> Self {
        let message_id = Uuid::now_v7();
        Self {
            message_id,
            endpoint: endpoint.to_owned(),
            received_at,
            arrived_at: None,
            first_entry_index: 0,
            attempt: 0,
            traceparent: traceparent.map_or_else(|| untraced(message_id), str::to_owned),
        }
    }

    /// When it came to Apollo.
    #[must_use]
    pub fn arrived(&self) -> Microseconds {
        self.arrived_at.unwrap_or(self.received_at)
    }

    /// The trace that it belongs to, in 32 hexadecimal digits, for logs.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(TRACE_ID).unwrap_or_default()
    }

    /// What a line of the log about this message names beside its text: the message's id and the trace's.
    #[must_use]
    pub fn for_logs(&self) -> (Uuid, &str) {
        (self.message_id, self.trace_id())
    }

    /// As AMQP properties: persistent JSON, with `headers` beside those of the envelope.
    #[must_use]
    pub fn to_properties(&self, app_id: &str, mut headers: FieldTable) -> BasicProperties {
        headers.insert(RECEIVED_AT.into(), AMQPValue::LongLongInt(self.received_at.0));
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(self.traceparent.as_str().into()));
        if let Some(arrived_at) = self.arrived_at {
            headers.insert(ARRIVED_AT.into(), AMQPValue::LongLongInt(arrived_at.0));
        }
        if self.first_entry_index > 0 {
            headers.insert(ENTRY_INDEX.into(), AMQPValue::LongLongInt(self.first_entry_index.into()));
        }
        if self.attempt > 0 {
            headers.insert(ATTEMPT.into(), AMQPValue::LongLongInt(self.attempt.into()));
        }
        BasicProperties::default()
            .with_message_id(self.message_id.to_string().into())
            .with_type(short_string(&self.endpoint))
            .with_content_type("application/json".into())
            .with_app_id(short_string(app_id))
            .with_delivery_mode(PERSISTENT)
            .with_timestamp(u64::try_from(self.received_at.0 / 1_000_000).unwrap_or(0))
            .with_headers(headers)
    }

    /// Reads what [`Envelope::to_properties`] wrote.
    ///
    /// # Errors
    /// When the message was not published by Apollo: it has no id or no time of arrival, without which its
    /// version among others cannot be told.
    pub fn from_properties(properties: &BasicProperties) -> Result<Self, EnvelopeError> {
        let message_id = properties
            .message_id()
            .as_ref()
            .and_then(|id| Uuid::parse_str(id.as_str()).ok())
            .ok_or(EnvelopeError::MessageId)?;
        let received_at =
            integer_header(properties, RECEIVED_AT).map(Microseconds).ok_or(EnvelopeError::ReceivedAt)?;
        Ok(Self {
            message_id,
            endpoint: properties.kind().as_ref().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            received_at,
            arrived_at: integer_header(properties, ARRIVED_AT).map(Microseconds),
            first_entry_index: count_header(properties, ENTRY_INDEX),
            attempt: count_header(properties, ATTEMPT),
            traceparent: text_header(properties, TRACEPARENT).unwrap_or_else(|| untraced(message_id)),
        })
    }
}

/// AMQP's short strings hold at most 255 bytes; a longer text is cut at a character's end.
#[must_use]
pub fn short_string(text: &str) -> ShortString {
    text[..text.floor_char_boundary(255)].into()
}

fn count_header(properties: &BasicProperties, name: &str) -> u32 {
    integer_header(properties, name).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

/// An integer header, whatever width it was encoded in.
#[must_use]
pub fn integer_header(properties: &BasicProperties, name: &str) -> Option<i64> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::ShortShortInt(value) => Some((*value).into()),
        AMQPValue::ShortInt(value) => Some((*value).into()),
        AMQPValue::LongInt(value) => Some((*value).into()),
        AMQPValue::LongLongInt(value) => Some(*value),
        _ => None,
    }
}

/// A text header.
#[must_use]
pub fn text_header(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(value) => Some(value.to_string()),
        AMQPValue::ShortString(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A trace context that is not sampled and whose trace id is the message's id, so that logs can be joined.
fn untraced(message_id: Uuid) -> String {
    let (_, low) = message_id.as_u64_pair();
    format!("00-{}-{low:016x}-00", message_id.simple())
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.endpoint, self.message_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_back_as_written() {
        let mut envelope = Envelope::of_arrival("dailies", Microseconds(1_794_265_200_123_456), None);
        envelope.arrived_at = Some(Microseconds(1_794_265_300_000_001));
        envelope.first_entry_index = 7;
        envelope.attempt = 3;
        let properties = envelope.to_properties("apollo-receiver", FieldTable::default());
        assert_eq!(Envelope::from_properties(&properties), Ok(envelope));
        assert_eq!(properties.delivery_mode(), &Some(2));
        assert_eq!(properties.timestamp(), &Some(1_794_265_200));
    }

    #[test]
    fn a_foreign_message_is_named_for_what_it_lacks() {
        let bare = BasicProperties::default();
        assert_eq!(Envelope::from_properties(&bare), Err(EnvelopeError::MessageId));
        let unreceived = bare.with_message_id(Uuid::now_v7().to_string().into());
        assert_eq!(Envelope::from_properties(&unreceived), Err(EnvelopeError::ReceivedAt));
    }

    #[test]
    fn ids_of_one_process_increase() {
        let ids: Vec<Uuid> =
            (0..1000).map(|_| Envelope::of_arrival("dailies", Microseconds(0), None).message_id).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(short_string(&"ä".repeat(200)).as_str(), "ä".repeat(127));
    }
}
