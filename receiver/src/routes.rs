//! Every public path, in one table.

use crate::app::Edge;
use crate::problem::Problem;
use crate::{consent, push};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a page may take from its request's head to its answer: the only limit of a form that comes slowly. Of a push
/// each step has a limit of its own.
const PAGE_TIME: Duration = Duration::from_secs(60);

/// The public listener's paths (design.md section 3).
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let secret = if edge.push_tokens.is_some() { "/{token}" } else { "" };
    let of_garmin = |path: &str| format!("{secret}{path}");
    let garmin = Router::new()
        .route(&of_garmin("/api_client/garmin"), post(push::to_any))
        .route(&of_garmin("/api_client/garmin/{endpoint}"), post(push::to_endpoint))
        .route(&of_garmin("/oauth/garmin/deregistration"), post(push::deregistration))
        .route(&of_garmin("/oauth/garmin/permissions"), post(push::permissions));
    let pages = Router::new()
        .route("/", get(consent::front_page))
        .route("/oauth/garmin/consent", get(consent::show).post(consent::submit))
        .route("/oauth/garmin/callback", get(consent::arrive))
        .route("/oauth/garmin/status/{consent_id}", get(consent::status))
        .route("/healthcheck", get(health_check))
        // For the form; Garmin's bodies are read within limits of their own.
        .layer(DefaultBodyLimit::max(consent::LONGEST_FORM))
        .layer(middleware::from_fn(in_time));
    Router::new()
        .merge(garmin)
        .merge(pages)
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .with_state(edge)
}

/// Answers 408 instead of a page that has not answered in time.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = pin!(next.run(request));
    timeout(PAGE_TIME, answer).await.unwrap_or_else(|_| Problem::BodyTimedOut.into_response())
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    host: String,
}

async fn health_check(State(edge): State<Arc<Edge>>) -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), host: edge.host.clone() })
}

#[cfg(test)]
pub(crate) mod tests;
