//! Spans, by OpenTelemetry: off and free unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set (docs/tracing.md).
//!
//! All of OpenTelemetry is behind this module and its neighbour. Programs begin spans here, and say what is known of them;
//! a span ends when it is dropped. While tracing is off a [`Span`] is nothing, and nothing is done for it.
//! Within a task the span that work belongs to is known without being passed along ([`within`]), so that what is deep down,
//! as a call of Garmin's API, can be a [`child`] of it.

use super::context::TraceContext;
use super::export;
use clap::Args;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use reqwest::Url;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use opentelemetry::trace::SpanKind;

/// How long a stop may wait until what is queued has been sent.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// Links of a span at most, which is also what OpenTelemetry keeps by default: one for each message of a batch.
pub const MOST_LINKS: usize = 128;

/// Where spans go.
#[derive(Debug, Clone, Default, Args)]
#[command(
    next_help_heading = "Traces (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and others count too: docs/tracing.md)"
)]
pub struct TracingConfig {
    /// A collector that takes OTLP over HTTP, such as http://collector:4318; without it nothing is traced
    #[arg(
        long = "otel-exporter-otlp-endpoint",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true
    )]
    pub endpoint: Option<String>,
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TracingConfigError {
    /// No address to send to.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: not an address such as http://collector:4318")]
    Endpoint,
    /// The HTTP client cannot be made.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: spans cannot be sent")]
    Client(#[from] reqwest::Error),
    /// Another of OpenTelemetry's settings.
    #[error("the settings of OpenTelemetry (OTEL_…)")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Begins spans; or does nothing, if tracing is off.
#[derive(Clone, Default)]
pub struct Tracing(Option<Arc<On>>);

struct On {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Tracing {
    /// Tracing as configured, for the program `service`. Call it within the runtime of the program.
    ///
    /// # Errors
    /// See [`TracingConfigError`].
    pub fn start(
        config: &TracingConfig,
        service: &'static str,
        version: &'static str,
    ) -> Result<Self, TracingConfigError> {
        let Some(endpoint) = config.endpoint.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let endpoint = Url::parse(endpoint).map_err(|_| TracingConfigError::Endpoint)?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(TracingConfigError::Endpoint);
        }
        let provider = export::provider(&endpoint, service, version)?;
        let tracer = provider.tracer(service);
        Ok(Self(Some(Arc::new(On { provider, tracer }))))
    }

    /// Begins a span as a child of `parent`, or a trace.
    #[must_use]
    pub fn span(&self, kind: SpanKind, name: &'static str, parent: Option<TraceContext>) -> Span {
        self.begin(kind, name, parent, &[])
    }

    /// Begins a trace with a span for several others, which it links to. Of more than [`MOST_LINKS`] the rest is left out.
    #[must_use]
    pub fn span_of_many(&self, kind: SpanKind, name: &'static str, others: &[TraceContext]) -> Span {
        self.begin(kind, name, None, others)
    }

    fn begin(
        &self,
        kind: SpanKind,
        name: &'static str,
        parent: Option<TraceContext>,
        links: &[TraceContext],
    ) -> Span {
        let Some(on) = &self.0 else { return Span::none() };
        let mut builder = on.tracer.span_builder(name).with_kind(kind);
        if !links.is_empty() {
            let links = links.iter().take(MOST_LINKS).map(|link| Link::with_context(remote(*link)));
            builder = builder.with_links(links.collect());
        }
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(remote(parent)),
            None => Context::new(),
        };
        let span = on.tracer.build_with_context(builder, &parent);
        Span(Some(Box::new(Begun { span, tracing: self.clone() })))
    }

    /// Whether there is any sense in preparing a span.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends what is queued, within two seconds. Spans that end later are dropped.
    pub async fn stop(&self) {
        if let Some(on) = &self.0 {
            let provider = on.provider.clone();
            // It blocks. What cannot be sent now has been logged.
            let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIME));
            let _ = flushed.await;
        }
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracing(on)" } else { "Tracing(off)" })
    }
}

/// A span, which ends when it is dropped; nothing while tracing is off.
pub struct Span(Option<Box<Begun>>);

struct Begun {
    span: opentelemetry_sdk::trace::Span,
    tracing: Tracing,
}

impl Span {
    /// No span.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// What others know it by, whether it is recorded or not; nothing while tracing is off.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let context = self.0.as_ref()?.span.span_context();
        context.is_valid().then(|| TraceContext {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
            flags: context.trace_flags().to_u8(),
        })
    }

    /// Says something about it, if it is recorded. Never anything of a participant's: no id, no token, no address that has
    /// one in it, nothing of a body.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(begun) = self.recorded() {
            begun.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that what it stands for has failed, and in which way: one of few words.
    pub fn fail(&mut self, error_type: &'static str) {
        if let Some(begun) = self.recorded() {
            begun.span.set_attribute(KeyValue::new("error.type", error_type));
            begun.span.set_status(Status::error(error_type));
        }
    }

    /// Whether what is said about it comes to anything.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(|begun| begun.span.is_recording())
    }

    fn recorded(&mut self) -> Option<&mut Begun> {
        self.0.as_deref_mut().filter(|begun| begun.span.is_recording())
    }

    fn place(&self) -> Option<Place> {
        let begun = self.0.as_ref().filter(|begun| begun.span.is_recording())?;
        Some(Place { tracing: begun.tracing.clone(), context: self.context()? })
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.context()).finish()
    }
}

/// The recorded span that work belongs to.
struct Place {
    tracing: Tracing,
    context: TraceContext,
}

tokio::task_local! {
    static PLACE: Option<Place>;
}

/// Does work that belongs to `span`.
pub fn within<F: Future>(span: &Span, work: F) -> impl Future<Output = F::Output> {
    PLACE.scope(span.place(), work)
}

/// Whether this work belongs to a span that is recorded.
#[must_use]
pub fn is_within() -> bool {
    PLACE.try_with(Option::is_some).unwrap_or_default()
}

/// Begins a child of the span that this work belongs to; nothing if it belongs to none that is recorded.
#[must_use]
pub fn child(kind: SpanKind, name: &'static str) -> Span {
    here(|place| place.tracing.span(kind, name, Some(place.context)))
}

/// Begins a child of a span elsewhere, whose trace this work continues, with a link to the span that the work belongs to;
/// nothing if either is not recorded.
#[must_use]
pub fn continued(kind: SpanKind, name: &'static str, elsewhere: TraceContext) -> Span {
    here(|place| match elsewhere.is_sampled() {
        true => place.tracing.begin(kind, name, Some(elsewhere), &[place.context]),
        false => Span::none(),
    })
}

fn here(begin: impl FnOnce(&Place) -> Span) -> Span {
    PLACE.try_with(|place| place.as_ref().map(begin)).ok().flatten().unwrap_or_else(Span::none)
}

fn remote(context: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        true,
        TraceState::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(endpoint: &str) -> Result<Tracing, TracingConfigError> {
        Tracing::start(&TracingConfig { endpoint: Some(endpoint.to_owned()) }, "apollo-test", "0")
    }

    #[test]
    fn an_endpoint_that_is_none_is_named_and_an_empty_one_is_off() {
        for wrong in ["collector", "collector:4318", "ftp://collector"] {
            let error = start(wrong).unwrap_err().to_string();
            assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{wrong}: {error}");
        }
        assert!(!start(" ").unwrap().is_on());
        assert!(!Tracing::start(&TracingConfig::default(), "apollo-test", "0").unwrap().is_on());
    }

    #[tokio::test]
    async fn while_it_is_off_there_is_no_span_wherever_one_is_asked_for() {
        let off = Tracing::default();
        let mut span = off.span(SpanKind::Server, "request", None);
        span.set("key", "value");
        assert_eq!(span.context(), None);
        let child = within(&span, async { child(SpanKind::Internal, "step") }).await;
        assert_eq!(child.context(), None);
        off.stop().await;
    }

    #[tokio::test]
    async fn a_trace_that_somebody_decided_not_to_record_is_continued_unrecorded() {
        // Nobody listens there.
        let on = start("http://127.0.0.1:9").unwrap();
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let span = on.span(SpanKind::Server, "request", TraceContext::parse(header));
        let context = span.context().unwrap().to_string();
        assert!(context.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && context.ends_with("-00"));
        assert_ne!(context, header);
        let step = within(&span, async { child(SpanKind::Internal, "step") }).await;
        assert_eq!(step.context(), None, "what is not recorded costs nothing below");
    }
}
