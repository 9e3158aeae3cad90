//! The paths of the admin listener on which the status is told.

use super::{Observer, page};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;

/// Where the status is told to programs.
pub const JSON_PATH: &str = "/status.json";

/// `GET /` and `/status` for people, `/status.json` for programs.
pub fn routes(observer: Observer) -> Router {
    Router::new()
        .route("/", get(for_people))
        .route("/status", get(for_people))
        .route(JSON_PATH, get(for_programs))
        .with_state(Arc::new(observer))
}

async fn for_people(State(observer): State<Arc<Observer>>) -> Response {
    page::answer(&observer.look().await)
}

async fn for_programs(State(observer): State<Arc<Observer>>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(observer.look().await)).into_response()
}
