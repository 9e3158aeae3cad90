//! Every public path, in one table.

use crate::app::Edge;
use crate::problem::Problem;
use crate::{consent, push};
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Serialize;
use std::sync::Arc;

/// The public listener's paths (design.md section 3).
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let garmin = Router::new()
        .route("/api_client/garmin", post(push::to_any))
        .route("/api_client/garmin/{endpoint}", post(push::to_endpoint))
        .route("/oauth/garmin/deregistration", post(push::deregistration))
        .route("/oauth/garmin/permissions", post(push::permissions));
    let garmin = if edge.push_tokens.is_some() { Router::new().nest("/{token}", garmin) } else { garmin };
    Router::new()
        .merge(garmin.route_layer(middleware::from_fn_with_state(edge.clone(), push::admit)))
        .route("/", get(consent::front_page))
        .route("/oauth/garmin/consent", get(consent::show).post(consent::submit))
        .route("/oauth/garmin/callback", get(consent::arrive))
        .route("/oauth/garmin/status/{consent_id}", get(consent::status))
        .route("/healthcheck", get(health_check))
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        // For the form; Garmin's bodies are read within limits of their own.
        .layer(DefaultBodyLimit::max(consent::LONGEST_FORM))
        .with_state(edge)
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
