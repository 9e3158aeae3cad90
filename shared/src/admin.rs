//! The admin listener of both programs: metrics, liveness, readiness. Never public.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What keeps a program from doing its work just now, by component. No entry: ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// `component` cannot do its work, because of `reason`.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.lock().insert(component, reason.into());
    }

    /// `component` works.
    pub fn ready(&self, component: &'static str) {
        self.lock().remove(component);
    }

    /// The reasons for not being ready, one a line; `None` when ready.
    #[must_use]
    pub fn reasons(&self) -> Option<String> {
        let reasons = self.by_component();
        let lines: Vec<String> =
            reasons.iter().map(|(component, reason)| format!("{component}: {reason}")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The reasons for not being ready, by component.
    #[must_use]
    pub fn by_component(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Admin {
    registry: Registry,
    readiness: Readiness,
}

/// Serves `GET /metrics`, `/health/live` and `/health/ready`, and the program's own `routes`, until `stop`.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    readiness: Readiness,
    routes: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .with_state(Admin { registry, readiness })
        .merge(routes);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.readiness.reasons() {
        None => "ready\n".into_response(),
        Some(reasons) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reasons}\n")).into_response(),
    }
}

/// Asks the admin listener at `address` whether its program is ready; for the health checks of containers,
/// whose images hold no HTTP client.
///
/// # Errors
/// What the listener answered when it is not ready, or why it could not be asked.
pub async fn check(address: SocketAddr) -> io::Result<()> {
    let answer = tokio::time::timeout(Duration::from_secs(5), ask_ready(address))
        .await
        .map_err(|_| io::Error::other(format!("{address} did not answer within 5 s")))??;
    if answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let reasons = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
    Err(io::Error::other(reasons.trim().to_owned()))
}

async fn ask_ready(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/ready HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_is_told_with_its_reasons() {
        let readiness = Readiness::default();
        readiness.not_ready("broker", "connection refused");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server =
            tokio::spawn(serve(listener, Registry::new(), readiness.clone(), Router::new(), stop.clone()));

        let refusal = check(address).await.unwrap_err();
        assert_eq!(refusal.to_string(), "broker: connection refused");
        readiness.ready("broker");
        check(address).await.unwrap();

        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
