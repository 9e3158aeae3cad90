//! What is known of a dead letter, whether a worker made it or the broker did.

use crate::message::{APP_ID, ERROR, LANE, ORIGINAL_ROUTING_KEY, REASON, Reason};
use apollo_shared::envelope::{Envelope, EnvelopeError, Microseconds, text_header};
use apollo_shared::topology::Lane;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use time::OffsetDateTime;

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it is replayed with, unless Apollo did not publish it.
    pub envelope: Result<Envelope, EnvelopeError>,
    /// The kind of its defect: the name of a [`Reason`], or what the broker calls it.
    pub reason: String,
    /// Its defect, in a sentence.
    pub error: String,
    /// The name of the lane that it comes from; empty if that is not known.
    pub lane: String,
    /// The routing key that it was first published with.
    pub routing_key: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Letter {
    /// Reads a delivery, and takes its body out of it.
    pub(super) fn of_delivery(delivery: &mut Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |name| text_header(properties, name);
        let death = Death::of(properties);
        let routing_key = text(ORIGINAL_ROUTING_KEY).or_else(|| death.as_ref().and_then(Death::routing_key));
        Self {
            envelope: Envelope::from_properties(properties),
            reason: text(REASON).or_else(|| death.as_ref().map(Death::reason)).unwrap_or_default(),
            error: text(ERROR).or_else(|| death.as_ref().map(Death::error)).unwrap_or_default(),
            lane: text(LANE).or_else(|| death.as_ref().map(Death::lane)).unwrap_or_default(),
            routing_key: routing_key.unwrap_or_else(|| delivery.routing_key.to_string()),
            body: std::mem::take(&mut delivery.data),
        }
    }

    /// Its message's id; letters that were parts of one message have the same.
    #[must_use]
    pub fn id(&self) -> String {
        self.envelope.as_ref().map(|envelope| envelope.message_id.to_string()).unwrap_or_default()
    }

    /// The name of its type, `dailies` for instance; empty if Apollo did not publish it.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.envelope.as_ref().map(|envelope| envelope.endpoint.as_str()).unwrap_or_default()
    }

    /// The place of its first entry in the body that it came in.
    #[must_use]
    pub fn entry_index(&self) -> u32 {
        self.envelope.as_ref().map_or(0, |envelope| envelope.first_entry_index)
    }

    /// When the receiver took it.
    #[must_use]
    pub fn received_at(&self) -> Option<OffsetDateTime> {
        moment(self.envelope.as_ref().ok()?.received_at)
    }

    /// What it is published with when it is replayed: its attempts begin anew.
    pub(super) fn properties(&self) -> Result<BasicProperties, EnvelopeError> {
        let envelope = Envelope { attempt: 0, ..self.envelope.clone()? };
        Ok(envelope.to_properties(APP_ID, FieldTable::default()))
    }
}

/// What the broker notes of a message when it moves it to another exchange: an entry of the header `x-death`.
struct Death<'a>(&'a FieldTable);

impl<'a> Death<'a> {
    /// The one that made it a dead letter, or else the last.
    fn of(properties: &'a BasicProperties) -> Option<Self> {
        let AMQPValue::FieldArray(deaths) = properties.headers().as_ref()?.inner().get("x-death")? else {
            return None;
        };
        let tables = deaths.as_slice().iter().filter_map(|death| match death {
            AMQPValue::FieldTable(table) => Some(Self(table)),
            _ => None,
        });
        let mut deaths: Vec<Self> = tables.collect();
        let limit = deaths.iter().position(|death| death.reason() == Reason::DeliveryLimit.name());
        (!deaths.is_empty()).then(|| deaths.swap_remove(limit.unwrap_or(0)))
    }

    fn text(&self, name: &str) -> String {
        self.0.inner().get(name).map(text).unwrap_or_default()
    }

    fn reason(&self) -> String {
        self.text("reason")
    }

    fn lane(&self) -> String {
        let queue = self.text("queue");
        let lane = Lane::ALL.into_iter().find(|lane| lane.queue() == queue);
        lane.map_or_else(String::new, |lane| lane.name().to_owned())
    }

    fn routing_key(&self) -> Option<String> {
        match self.0.inner().get("routing-keys")? {
            AMQPValue::FieldArray(keys) => keys.as_slice().first().map(text),
            _ => None,
        }
    }

    fn error(&self) -> String {
        let known = Reason::ALL.iter().find(|reason| reason.name() == self.reason());
        let meaning = known.map_or("RabbitMQ moved it here", |reason| reason.meaning());
        match self.0.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => {
                let moment = i64::try_from(*seconds).ok();
                let moment = moment.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
                moment.map_or_else(|| meaning.to_owned(), |moment| format!("{meaning}, at {moment}"))
            }
            _ => meaning.to_owned(),
        }
    }
}

fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        _ => String::new(),
    }
}

/// As a calendar has it.
pub(super) fn moment(microseconds: Microseconds) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds.0) * 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::FieldArray;

    fn death(reason: &str, queue: &str) -> AMQPValue {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut table = FieldTable::default();
        table.insert("reason".into(), text(reason));
        table.insert("queue".into(), text(queue));
        table.insert("routing-keys".into(), AMQPValue::FieldArray(vec![text("push.dailies")].into()));
        AMQPValue::FieldTable(table)
    }

    #[test]
    fn of_several_deaths_the_one_counts_that_made_it_a_dead_letter() {
        let deaths = vec![death("expired", "apollo.retry.60"), death("delivery_limit", "apollo.summaries")];
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(deaths)));
        let mut delivery = Delivery::mock(1, "".into(), "".into(), true, Vec::new());
        delivery.properties = BasicProperties::default().with_headers(headers);
        let letter = Letter::of_delivery(&mut delivery);
        assert_eq!(
            (letter.reason.as_str(), letter.lane.as_str(), letter.routing_key.as_str()),
            ("delivery_limit", "summaries", "push.dailies")
        );
    }
}
