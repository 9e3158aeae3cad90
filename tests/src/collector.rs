//! A collector of traces, as an operator has one: it takes OTLP over HTTP, in protobuf, and keeps what it is sent.

use crate::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A span, as it was sent. Ids are in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The program that sent it.
    pub service: String,
    /// What it stands for.
    pub name: String,
    /// Its trace.
    pub trace_id: String,
    /// Its own id.
    pub span_id: String,
    /// Its parent's id; empty if it has none.
    pub parent_id: String,
    /// The ids of traces that it links to.
    pub links: Vec<String>,
    /// What is said about it.
    pub attributes: BTreeMap<String, String>,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
}

type Sent = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector that takes spans until it is dropped.
pub struct Collector {
    url: String,
    sent: Sent,
    task: JoinHandle<()>,
}

impl Collector {
    /// On a free port.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let sent = Sent::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&sent));
        let task = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { url, sent, task })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that was sent so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Recorded> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().flat_map(|request| &request.resource_spans).flat_map(of_program).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(sent): State<Sent>, body: Bytes) -> StatusCode {
    match ExportTraceServiceRequest::decode(body) {
        Ok(request) => {
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

fn of_program(spans: &ResourceSpans) -> Vec<Recorded> {
    let attributes = spans.resource.as_ref().map(|resource| text(&resource.attributes)).unwrap_or_default();
    let service = attributes.get("service.name").cloned().unwrap_or_default();
    let spans = spans.scope_spans.iter().flat_map(|scope| &scope.spans);
    spans.map(|span| recorded(&service, span)).collect()
}

fn recorded(service: &str, span: &Span) -> Recorded {
    Recorded {
        service: service.to_owned(),
        name: span.name.clone(),
        trace_id: hexadecimal(&span.trace_id),
        span_id: hexadecimal(&span.span_id),
        parent_id: hexadecimal(&span.parent_span_id),
        links: span.links.iter().map(|link| hexadecimal(&link.trace_id)).collect(),
        attributes: text(&span.attributes),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn text(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let value = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect()
}

fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
