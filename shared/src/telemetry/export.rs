//! Where recorded spans go: over OTLP (HTTP, protobuf) to a collector, in batches, from a thread of OpenTelemetry's.
//!
//! Nothing waits for it. A span that finds the queue full is dropped, and so is a batch that the collector does not take; the log
//! says so, but not each time.

use super::traces::TracingConfigError;
use async_trait::async_trait;
use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    Config, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};
use reqwest::{Client, Url, redirect};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The part of all traces that is recorded where no setting says otherwise. A study of some hundred participants has a
/// notification a second: that makes a trace every two minutes. Under the heaviest load, 20,000 a second, it makes 200 a second,
/// which a small collector takes.
const DEFAULT_RATIO: f64 = 0.01;

/// The variable that names another way of sampling.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

/// How long a collector may take for a batch.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How often it is logged that a collector takes nothing.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read, of which only the beginning is of interest.
const LARGEST_ANSWER: u64 = 64 * 1024;

/// Spans of `service` for the collector at `endpoint`. Call it within the runtime that is to send them.
pub(super) fn provider(
    endpoint: &Url,
    service: &'static str,
    version: &'static str,
) -> Result<SdkTracerProvider, TracingConfigError> {
    let http = Client::builder().redirect(redirect::Policy::none()).timeout(ANSWER_TIME).build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender { http, runtime: Handle::current(), logged: Mutex::default() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_of(endpoint))
        .build()?;
    Ok(SdkTracerProvider::builder()
        .with_sampler(AlsoLinked(sampler()))
        .with_resource(resource(service, version))
        .with_batch_exporter(exporter)
        .build())
}

/// The path for traces, below the one that is for everything.
fn traces_of(endpoint: &Url) -> String {
    format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'))
}

/// What `OTEL_TRACES_SAMPLER` says, or the default.
fn sampler() -> Box<dyn ShouldSample> {
    match std::env::var(SAMPLER) {
        Ok(name) if !name.is_empty() => Config::default().sampler,
        _ => Sampler::parent_based(Sampler::TraceIdRatioBased(DEFAULT_RATIO)).into(),
    }
}

/// What is known of this program, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.
fn resource(service: &'static str, version: &'static str) -> Resource {
    let told = Resource::builder().build();
    let name = told.get(&Key::from_static_str("service.name"));
    let is_told = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let of_program = [KeyValue::new("service.version", version), KeyValue::new("host.name", host_name())];
    let missing = of_program.into_iter().filter(|attribute| told.get(&attribute.key).is_none());
    let resource = Resource::builder().with_attributes(missing);
    if is_told { resource.build() } else { resource.with_service_name(service).build() }
}

/// Which of several programs it is.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// Samples as told, and whatever links to a span that is recorded: a batch, for the messages in it.
#[derive(Debug, Clone)]
struct AlsoLinked(Box<dyn ShouldSample>);

impl ShouldSample for AlsoLinked {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.iter().any(|link| link.span_context.is_sampled()) {
            let decision = SamplingDecision::RecordAndSample;
            return SamplingResult { decision, attributes: vec![], trace_state: TraceState::default() };
        }
        self.0.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// Sends batches by the program's own HTTP client, on its own runtime: OpenTelemetry's thread has none.
#[derive(Debug)]
struct Sender {
    http: Client,
    runtime: Handle,
    logged: Mutex<Option<Instant>>,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answered = self.runtime.spawn(send(self.http.clone(), request)).await?;
        match &answered {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => self.log(&format!("it answers {}", response.status())),
            Err(error) => self.log(&super::with_causes(error)),
        }
        Ok(answered?)
    }
}

impl Sender {
    fn log(&self, why: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_PAUSE) {
            tracing::warn!(
                "OTEL_EXPORTER_OTLP_ENDPOINT does not take spans, which are dropped if that goes on: {why}"
            );
            *logged = Some(Instant::now());
        }
    }
}

async fn send(http: Client, request: Request<Bytes>) -> reqwest::Result<Response<Bytes>> {
    let (head, body) = request.into_parts();
    let url = head.uri.to_string();
    let request = http.request(head.method, url).headers(head.headers).body(body);
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let is_small = answer.content_length().is_some_and(|bytes| bytes <= LARGEST_ANSWER);
    let body =
        if is_small { answer.bytes().await.map_err(reqwest::Error::without_url)? } else { Bytes::new() };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    #[test]
    fn spans_go_below_the_path_of_the_endpoint() {
        for endpoint in ["http://collector:4318", "http://collector:4318/", "http://collector:4318//"] {
            assert_eq!(traces_of(&endpoint.parse().unwrap()), "http://collector:4318/v1/traces");
        }
        let behind = "https://traces.example/otlp/".parse().unwrap();
        assert_eq!(traces_of(&behind), "https://traces.example/otlp/v1/traces");
    }

    #[test]
    fn a_batch_is_recorded_if_one_of_its_messages_is() {
        let sampler = AlsoLinked(Box::new(Sampler::AlwaysOff));
        let decision = |flags| {
            let of = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, TraceState::default());
            let links = [Link::with_context(of)];
            sampler.should_sample(None, TraceId::from(2), "batch", &SpanKind::Internal, &[], &links).decision
        };
        assert_eq!(decision(TraceFlags::SAMPLED), SamplingDecision::RecordAndSample);
        assert_eq!(decision(TraceFlags::default()), SamplingDecision::Drop);
    }
}
