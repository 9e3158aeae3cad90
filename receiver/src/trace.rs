//! What is traced of a request and of the messages that it becomes, and the names by which logs know it.

use crate::problem::Problem;
use apollo_shared::envelope::Envelope;
use apollo_shared::telemetry::TraceContext;
use apollo_shared::telemetry::traces::{Span, SpanKind, Tracing};
use apollo_shared::topology::EXCHANGE;
use axum::http::{HeaderMap, StatusCode};

const TRACEPARENT: &str = "traceparent";

/// By which nginx names a request in its own log.
const REQUEST_ID: &str = "x-request-id";

/// Characters of a request's id at most: nginx makes 32.
const LONGEST_REQUEST_ID: usize = 64;

/// Of a request, for as long as anything is done for it.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Begins the spans of what is done for it.
    pub(crate) tracing: Tracing,
    /// The request's span, or the caller's while tracing is off.
    pub(crate) context: Option<TraceContext>,
    /// The request's id, if it came through nginx.
    pub(crate) request_id: Option<Box<str>>,
}

impl Origin {
    /// Of what no request of Garmin's has brought: the trace begins with the message.
    pub(crate) fn unknown(tracing: &Tracing) -> Self {
        Self { tracing: tracing.clone(), context: None, request_id: None }
    }

    /// The trace's id, for logs.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.context.map(|context| context.trace_id())
    }
}

/// Begins the span of a request, which is named after its method and its path: the one in the table of routes, never as it
/// came, as there may be a secret in it.
pub(crate) fn request(tracing: &Tracing, name: &'static str, headers: &HeaderMap) -> (Span, Origin) {
    let caller = header(headers, TRACEPARENT).and_then(TraceContext::parse);
    let request_id = header(headers, REQUEST_ID).filter(|id| is_request_id(id)).map(Box::<str>::from);
    let mut span = tracing.span(SpanKind::Server, name, caller);
    if span.is_recorded() {
        let (method, route) = name.split_once(' ').unwrap_or_default();
        span.set("http.request.method", method);
        span.set("http.route", route);
        if let Some(id) = &request_id {
            span.set("apollo.request_id", id.to_string());
        }
    }
    let context = span.context().or(caller);
    (span, Origin { tracing: tracing.clone(), context, request_id })
}

/// Ends a request's span.
pub(crate) fn answered(mut span: Span, status: StatusCode, problem: Option<&Problem>) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    match problem {
        // What a client did wrong is no failure of the server's, by OpenTelemetry's conventions.
        Some(problem) if status.is_server_error() => span.fail(problem.id()),
        Some(problem) => span.set("error.type", problem.id()),
        None => {}
    }
}

/// Begins the span of making a message durable, and puts it into the message's envelope.
pub(crate) fn publish(origin: &Origin, envelope: &mut Envelope, routing_key: &str, bytes: usize) -> Span {
    let mut span = origin.tracing.span(SpanKind::Producer, "publish apollo", origin.context);
    if let Some(context) = span.context() {
        envelope.traceparent = context.to_string();
    }
    if span.is_recorded() {
        span.set("messaging.system", "rabbitmq");
        span.set("messaging.operation.type", "send");
        span.set("messaging.operation.name", "publish");
        span.set("messaging.destination.name", EXCHANGE);
        span.set("messaging.rabbitmq.destination.routing_key", routing_key.to_owned());
        span.set("messaging.message.id", envelope.message_id.to_string());
        span.set("messaging.message.body.size", i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    span
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_request_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LONGEST_REQUEST_ID).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_what_its_headers_say_if_that_can_be_believed() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (name, text, is_taken) in [
            (TRACEPARENT, traceparent, true),
            (TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736", false),
            (REQUEST_ID, "9f86d081884c7d659a2feaa0c55ad015", true),
            (REQUEST_ID, "a line\" of another's", false),
            (REQUEST_ID, "", false),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), text.parse().unwrap())]);
            let (_, origin) = request(&Tracing::default(), "POST /api_client/garmin", &headers);
            let taken = origin.context.map(|context| context.to_string());
            let taken = taken.or(origin.request_id.map(String::from));
            assert_eq!(taken.as_deref(), is_taken.then_some(text));
        }
    }
}
