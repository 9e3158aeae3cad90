//! A message as a lane hands it to its handler, and messages that a handler wants published.

mod reason;

use apollo_shared::envelope::{Envelope, Microseconds, text_header};
use apollo_shared::topology;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
pub use reason::Reason;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The AMQP `app_id` of what the worker publishes.
pub(crate) const APP_ID: &str = "apollo-worker";

/// How long a message that was given back stays away, so that others have their turn; one of
/// [`topology::RETRY_SECONDS`].
const GIVEN_BACK_SECONDS: u32 = 60;

/// Seconds between the attempts at what Garmin does not give or tell: growing, and then every half hour for a day. For so
/// long files can be had (garmin-health-api.md 1.18).
pub(crate) const STEPS_OF_A_DAY: [u32; 52] = {
    let mut steps = [1800; 52];
    (steps[0], steps[1], steps[2], steps[3]) = (5, 15, 60, 300);
    steps
};

/// A message taken from a queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// What its properties say.
    pub envelope: Envelope,
    /// The routing key it was first published with.
    pub routing_key: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a delivery, and takes its body out of it.
    ///
    /// # Errors
    /// The dead letter that it must become, if Apollo did not publish it.
    pub fn of_delivery(delivery: &mut Delivery) -> Result<Self, Box<Outgoing>> {
        let routing_key = text_header(&delivery.properties, ORIGINAL_ROUTING_KEY)
            .unwrap_or_else(|| delivery.routing_key.to_string());
        let body = std::mem::take(&mut delivery.data);
        match Envelope::from_properties(&delivery.properties) {
            Ok(envelope) => Ok(Self { envelope, routing_key, body }),
            Err(error) => {
                let envelope = Envelope::of_arrival("unknown", Microseconds::now(), None);
                let message = Self { envelope, routing_key, body };
                Err(Box::new(message.dead(Reason::Envelope, &error.to_string())))
            }
        }
    }

    /// The whole message as a dead letter.
    #[must_use]
    pub fn dead(&self, reason: Reason, error: &str) -> Outgoing {
        self.outgoing(Destination::Dead { reason, error: error.to_owned() }, self.body.clone(), 0)
    }

    /// One value out of its body as a dead letter, which is an ordinary notification again when replayed.
    #[must_use]
    pub fn dead_part(&self, part: &Part<'_>, reason: Reason, error: &str) -> Outgoing {
        let destination = Destination::Dead { reason, error: error.to_owned() };
        self.outgoing(destination, part.to_body(), part.entry_index)
    }

    /// One value out of its body for another lane.
    #[must_use]
    pub fn forwarded(&self, part: &Part<'_>, routing_key: String) -> Outgoing {
        self.outgoing(Destination::Lane { routing_key }, part.to_body(), part.entry_index)
    }

    /// The whole message again, after `seconds`, one of [`topology::RETRY_SECONDS`].
    #[must_use]
    pub fn put_off(&self, seconds: u32) -> Outgoing {
        self.outgoing(Destination::Retry { seconds }, self.body.clone(), self.envelope.first_entry_index)
    }

    /// The whole message back in its queue, as if it had not been taken out of it: what hindered it had nothing to
    /// do with it, and must not use up its deliveries or attempts.
    #[must_use]
    pub fn given_back(&self) -> Outgoing {
        let mut outgoing = self.put_off(GIVEN_BACK_SECONDS);
        outgoing.envelope.attempt = self.envelope.attempt;
        outgoing
    }

    /// One value out of its body again, after `seconds`.
    #[must_use]
    pub fn put_off_part(&self, part: &Part<'_>, seconds: u32) -> Outgoing {
        self.outgoing(Destination::Retry { seconds }, part.to_body(), part.entry_index)
    }

    fn outgoing(&self, destination: Destination, body: Vec<u8>, first_entry_index: u32) -> Outgoing {
        let attempt = match &destination {
            Destination::Retry { .. } => self.envelope.attempt + 1,
            _ => 0,
        };
        let envelope = Envelope { first_entry_index, attempt, ..self.envelope.clone() };
        let original_routing_key = self.routing_key.clone();
        Outgoing { envelope, original_routing_key, destination, body, room: None }
    }
}

/// A part of a notification's body.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The top-level key it stands under, as written, quotes included: it may be one that cannot be decoded.
    pub key: &'a str,
    /// An entry of the key's list, or the key's whole value.
    pub value: PartValue<'a>,
    /// The place of the entry, or of the first of the value's entries, in the body.
    pub entry_index: u32,
}

/// What a part is.
#[derive(Debug, Clone, Copy)]
pub enum PartValue<'a> {
    /// An entry of a list.
    Entry(&'a RawValue),
    /// The value of a key.
    Whole(&'a RawValue),
}

impl Part<'_> {
    /// `{"<key>": [entry]}`, or `{"<key>": value}`.
    fn to_body(self) -> Vec<u8> {
        let key = self.key;
        match self.value {
            PartValue::Entry(entry) => format!("{{{key}: [{}]}}", entry.get()),
            PartValue::Whole(value) => format!("{{{key}: {}}}", value.get()),
        }
        .into_bytes()
    }
}

/// A message to publish before the one that it comes from is acknowledged.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its properties: those of the message it comes from, so that its version stays the same.
    pub envelope: Envelope,
    original_routing_key: String,
    /// Where it goes.
    pub destination: Destination,
    /// Its body.
    pub body: Vec<u8>,
    /// The room in memory that it takes, where that is scarce: given back when the message is gone.
    pub room: Option<Arc<OwnedSemaphorePermit>>,
}

/// Where a message goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// To `apollo.dead`.
    Dead {
        /// The kind of defect.
        reason: Reason,
        /// The defect, in a sentence.
        error: String,
    },
    /// To another lane.
    Lane {
        /// The routing key.
        routing_key: String,
    },
    /// Back to its own lane, when so many seconds have passed.
    Retry {
        /// One of [`topology::RETRY_SECONDS`].
        seconds: u32,
    },
    /// To every receiver, of which there may be none.
    Receivers,
}

/// The header of a dead letter with the kind of its defect, [`Reason::name`].
pub const REASON: &str = "reason";

/// The header of a dead letter with the defect in a sentence.
pub const ERROR: &str = "error";

/// The header of a dead letter with the lane that it comes from.
pub const LANE: &str = "lane";

/// The header of a dead letter with the routing key that it is published with when it is replayed.
pub const ORIGINAL_ROUTING_KEY: &str = "original-routing-key";

impl Outgoing {
    /// Whether it is a message as a whole that has become a dead letter.
    #[must_use]
    pub fn is_dead_message(&self) -> bool {
        use Reason::{
            AnswerTooLarge, CallbackRefused, Consent, Envelope, GarminRefused, NeedsConsent,
            NotANotification, Panic,
        };
        let Destination::Dead { reason, .. } = &self.destination else { return false };
        matches!(
            reason,
            Consent
                | Envelope
                | NotANotification
                | Panic
                | AnswerTooLarge
                | CallbackRefused
                | GarminRefused
                | NeedsConsent
        )
    }

    /// News for the receivers.
    #[must_use]
    pub fn news(kind: &str, body: Vec<u8>) -> Self {
        let envelope = Envelope::of_arrival(kind, Microseconds::now(), None);
        let original_routing_key = String::new();
        Self { envelope, original_routing_key, destination: Destination::Receivers, body, room: None }
    }

    /// A notification as a receiver publishes it.
    #[must_use]
    pub fn notification(envelope: Envelope, routing_key: String, body: Vec<u8>) -> Self {
        let original_routing_key = routing_key.clone();
        Self {
            envelope,
            original_routing_key,
            destination: Destination::Lane { routing_key },
            body,
            room: None,
        }
    }

    /// The exchange and the routing key to publish with.
    #[must_use]
    pub fn address(&self) -> (Cow<'static, str>, &str) {
        match &self.destination {
            Destination::Dead { .. } => (topology::DEAD.into(), &self.original_routing_key),
            Destination::Lane { routing_key } => (topology::EXCHANGE.into(), routing_key),
            Destination::Retry { seconds } => (topology::retry(*seconds).into(), &self.original_routing_key),
            Destination::Receivers => (topology::OUTCOMES.into(), ""),
        }
    }

    /// The AMQP properties, for a message that leaves `lane`.
    #[must_use]
    pub fn properties(&self, lane: topology::Lane) -> BasicProperties {
        let mut headers = FieldTable::default();
        if let Destination::Dead { reason, error } = &self.destination {
            let routing_key = self.original_routing_key.as_str();
            for (name, text) in [
                (REASON, reason.name()),
                (ERROR, error),
                (LANE, lane.name()),
                (ORIGINAL_ROUTING_KEY, routing_key),
            ] {
                headers.insert(name.into(), AMQPValue::LongString(text.into()));
            }
        }
        self.envelope.to_properties(APP_ID, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::STEPS_OF_A_DAY;
    use apollo_shared::topology::RETRY_SECONDS;

    #[test]
    fn garmin_is_asked_for_a_day_in_growing_steps() {
        assert!(STEPS_OF_A_DAY.iter().all(|seconds| RETRY_SECONDS.contains(seconds)));
        assert!(STEPS_OF_A_DAY.is_sorted());
        assert!((82_000..=90_000).contains(&STEPS_OF_A_DAY.iter().sum::<u32>()));
    }
}
