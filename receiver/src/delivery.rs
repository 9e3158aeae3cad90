//! From a notification to durable messages: one where it may stay whole, several where it is large or for
//! several lanes.

use crate::budget::{COPIES, Reservation};
use crate::notification::{Notification, Route};
use crate::publish::{Keeper, Message, NotDurable, Publisher};
use crate::split::Parts;
use crate::trace::{self, Origin};
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::telemetry::traces::Span;
use apollo_shared::telemetry::with_causes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;

/// Parts of one body in flight at once: enough to keep the broker busy, and few enough that small notifications do not wait
/// long behind a large one.
const PARTS_IN_FLIGHT: usize = 64;

/// What is known of a notification besides its body.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The type that the path named.
    pub(crate) of_path: Option<&'static Endpoint>,
    /// When its body was complete.
    pub(crate) received_at: Microseconds,
    /// The request.
    pub(crate) origin: Arc<Origin>,
    /// What its body takes in memory.
    pub(crate) room: Arc<Reservation>,
}

impl Arrival {
    fn message(&self, route: Route, push_type: &str, body: String) -> (Arc<Message>, Span) {
        let (name, routing_key) = match route {
            Route::Push => (push_type, format!("push.{push_type}")),
            Route::Account(endpoint) => (endpoint.key, endpoint.routing_key()),
        };
        let traceparent = self.origin.context.map(|context| context.to_string());
        let mut envelope = Envelope::of_arrival(name, self.received_at, traceparent.as_deref());
        let span = trace::publish(&self.origin, &mut envelope, &routing_key, body.len());
        (Arc::new(Message { envelope, routing_key, body, _room: Some(self.room.clone()) }), span)
    }
}

/// Returns when everything in `notification` is durable, or when the first failure is known and nothing is
/// in flight any more.
pub(crate) async fn deliver(
    publisher: &Publisher,
    notification: Notification,
    arrival: &Arrival,
    split_bytes: usize,
) -> Result<(), NotDurable> {
    let push_type = notification.push_type(arrival.of_path);
    match notification.route {
        Some(route) if notification.text.len() <= split_bytes => {
            let (message, span) = arrival.message(route, push_type, notification.text);
            deliver_message(publisher, &message, span, &arrival.origin).await
        }
        // On the heap, which keeps the others, of which there are many, small.
        _ => {
            let parts = Parts::new(notification, split_bytes);
            Box::pin(deliver_parts(publisher, parts, arrival, push_type)).await
        }
    }
}

/// Parts are made as the ones before them are durable: body and parts in flight, each with the copy that is
/// sent, never need more than the [`COPIES`] of the body that are reserved.
async fn deliver_parts(
    publisher: &Publisher,
    mut parts: Parts,
    arrival: &Arrival,
    push_type: &str,
) -> Result<(), NotDurable> {
    let reserved = COPIES * parts.held();
    let mut in_flight = FuturesUnordered::new();
    let mut bytes_in_flight = 0;
    let mut outcome = Ok(());
    while outcome.is_ok()
        && let Some(plan) = parts.plan()
    {
        while in_flight.len() >= PARTS_IN_FLIGHT
            || parts.held() + COPIES * (bytes_in_flight + plan.len()) > reserved
        {
            let Some((bytes, delivered)) = in_flight.next().await else { break };
            bytes_in_flight -= bytes;
            outcome = outcome.and(delivered);
        }
        let route = plan.route;
        let (message, span) = arrival.message(route, push_type, parts.make(plan));
        let bytes = message.body.capacity();
        bytes_in_flight += bytes;
        in_flight
            .push(async move { (bytes, deliver_message(publisher, &message, span, &arrival.origin).await) });
    }
    while let Some((_, delivered)) = in_flight.next().await {
        outcome = outcome.and(delivered);
    }
    outcome
}

/// Returns when one message is durable, or is known not to be; either is logged, and ends the span of its publishing.
pub(crate) async fn deliver_message(
    publisher: &Publisher,
    message: &Arc<Message>,
    mut span: Span,
    origin: &Origin,
) -> Result<(), NotDurable> {
    let outcome = publisher.make_durable(message).await;
    let (endpoint, id) = (&message.envelope.endpoint, message.envelope.message_id);
    let (request_id, trace_id) = (origin.request_id.as_deref(), message.envelope.trace_id());
    match &outcome {
        Ok(keeper) => {
            span.set("apollo.keeper", keeper.name());
            tracing::debug!(endpoint, message_id = %id, request_id, trace_id, "{endpoint} {id} is durable");
        }
        Err(error) => {
            span.fail("not-durable");
            let why = with_causes(error);
            tracing::warn!(endpoint, message_id = %id, request_id, trace_id, "{endpoint} {id}: {why}");
        }
    }
    outcome.map(|_: Keeper| ())
}
