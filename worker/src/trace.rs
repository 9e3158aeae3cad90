//! What is traced of a batch, and of each of its messages in the message's own trace (docs/tracing.md).
//!
//! A batch has a trace of its own, which links to its messages' traces: what is done, is done for all of them. So that a
//! message's trace goes on to the end, it has a span there too, which links back. Only messages whose traces are recorded
//! are told apart; while none is, or tracing is off, nothing is done.

use crate::garmin::Call;
use crate::message::Message;
use apollo_shared::telemetry::TraceContext;
use apollo_shared::telemetry::traces::{self, MOST_LINKS, Span, SpanKind, Tracing};
use apollo_shared::topology::Lane;

/// Begins the trace of a batch; nothing if the trace of none of its messages is recorded.
pub(crate) fn batch(tracing: &Tracing, lane: Lane, messages: &[Message]) -> Span {
    if !tracing.is_on() {
        return Span::none();
    }
    let recorded: Vec<TraceContext> = messages.iter().filter_map(recorded).take(MOST_LINKS).collect();
    if recorded.is_empty() {
        return Span::none();
    }
    let mut span = tracing.span_of_many(SpanKind::Consumer, name(lane), &recorded);
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.type", "process");
    span.set("messaging.operation.name", "process");
    span.set("messaging.destination.name", lane.queue());
    span.set("messaging.batch.message_count", count(messages.len()));
    span
}

/// Begins the span of a message's work, in its own trace; nothing if that is not recorded.
pub(crate) fn message(name: &'static str, message: &Message) -> Span {
    let Some(context) = traces::is_within().then(|| recorded(message)).flatten() else { return Span::none() };
    let mut span = traces::continued(SpanKind::Consumer, name, context);
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.type", "process");
    span.set("messaging.operation.name", name);
    span.set("messaging.message.id", message.envelope.message_id.to_string());
    span.set("messaging.rabbitmq.destination.routing_key", message.routing_key.clone());
    span
}

/// Those of several messages.
pub(crate) fn messages(name: &'static str, messages: &[Message]) -> Vec<Span> {
    if !traces::is_within() {
        return Vec::new();
    }
    messages.iter().map(|it| message(name, it)).filter(Span::is_recorded).collect()
}

/// Begins the span of a request to Garmin, of which no more is told than what is asked for.
pub(crate) fn garmin(call: Call) -> Span {
    let mut span = traces::child(SpanKind::Client, "ask Garmin");
    span.set("apollo.garmin.call", call.name());
    span
}

/// Ends it. Without a status no answer came.
pub(crate) fn answered(mut span: Span, status: Option<u16>) {
    match status {
        Some(status) => span.set("http.response.status_code", i64::from(status)),
        None => span.fail("unreachable"),
    }
    if status.is_some_and(|status| status >= 400) {
        span.fail("refused");
    }
}

/// A count as attributes have it.
pub(crate) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn recorded(message: &Message) -> Option<TraceContext> {
    TraceContext::parse(&message.envelope.traceparent).filter(TraceContext::is_sampled)
}

const fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Summaries => "process apollo.summaries",
        Lane::Account => "process apollo.account",
        Lane::Pull => "process apollo.pull",
    }
}
