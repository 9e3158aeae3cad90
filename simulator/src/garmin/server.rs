//! The HTTP side: which path is which call, and what a call meets with.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request as HttpRequest, State as Extract};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use axum::{Extension, Router};
use futures_util::stream;
use serde::Deserialize;

use super::call::{Call, Failure, Request};
use super::incoming::{Incoming, Scheme};
use super::received::{Mode, Received, UploadError};
use super::refusal::Refusal;
use super::state::State;
use super::{activity_file, backfill, consent, oauth1, oauth2, pull, user_api};

pub(super) const REQUEST_TOKEN: &str = "/oauth-service/oauth/request_token";
pub(super) const OAUTH1_CONFIRM: &str = "/oauthConfirm";
pub(super) const ACCESS_TOKEN: &str = "/oauth-service/oauth/access_token";
pub(super) const OAUTH2_CONFIRM: &str = "/oauth2Confirm";
pub(super) const TOKEN: &str = "/di-oauth2-service/oauth/token";
pub(super) const TOKEN_EXCHANGE: &str = "/partner-gateway/rest/user/token-exchange";
pub(super) const API: &str = "/wellness-api/rest";
/// Not Garmin's: where this Garmin is told what devices have uploaded.
pub(super) const UPLOADS: &str = "/simulator/uploads";

/// More than the longest notification, in bytes.
const LONGEST_UPLOAD: usize = 128 * 1024 * 1024;

/// The state, shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct Provider(Arc<Mutex<State>>);

impl Provider {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Garmin::upload`].
    pub(super) fn upload(&self, body: &[u8], mode: Mode) -> Result<Vec<u8>, UploadError> {
        let received = Received::read(body, mode)?;
        received.keep(&mut self.lock())
    }
}

/// Everything, on a listener of that kind.
pub(super) fn router(provider: Provider, scheme: Scheme) -> Router {
    let api = |name: &str| format!("{API}/{name}");
    Router::new()
        .route(REQUEST_TOKEN, handler(MethodFilter::POST, Call::RequestToken))
        .route(OAUTH1_CONFIRM, get(consent::show_oauth1).post(consent::decide_oauth1))
        .route(ACCESS_TOKEN, handler(MethodFilter::POST, Call::AccessToken))
        .route(OAUTH2_CONFIRM, get(consent::show_oauth2).post(consent::decide_oauth2))
        .route(TOKEN, handler(MethodFilter::POST, Call::Token))
        .route(TOKEN_EXCHANGE, handler(MethodFilter::POST, Call::TokenExchange))
        .route(&api("user/id"), handler(MethodFilter::GET, Call::UserId))
        .route(&api("user/permissions"), handler(MethodFilter::GET, Call::Permissions))
        .route(&api("user/registration"), handler(MethodFilter::DELETE, Call::DeleteRegistration))
        .route(&api("activityFile"), handler(MethodFilter::GET, Call::ActivityFile))
        .route(&api("backfill/{type}"), handler(MethodFilter::GET, Call::Backfill))
        .route(&api("{type}"), handler(MethodFilter::GET, Call::Pull))
        .route(UPLOADS, post(upload).layer(DefaultBodyLimit::max(LONGEST_UPLOAD)))
        .layer(Extension(scheme))
        .with_state(provider)
}

/// The handler of one call, for a path that takes one method.
fn handler(method: MethodFilter, call: Call) -> MethodRouter<Provider> {
    on(method, move |Extract(provider): Extract<Provider>, request: HttpRequest| {
        serve(provider, call, request)
    })
}

#[derive(Deserialize)]
struct UploadQuery {
    #[serde(default)]
    mode: Mode,
}

/// `POST /simulator/uploads?mode=push|ping`: a push notification's body becomes that of the notification to send.
async fn upload(
    Extract(provider): Extract<Provider>,
    Query(query): Query<UploadQuery>,
    body: Bytes,
) -> Response {
    match provider.upload(&body, query.mode) {
        Ok(notification) => ([(CONTENT_TYPE, "application/json")], notification).into_response(),
        Err(error) => Refusal::bad_request(error.to_string()).into_response(),
    }
}

async fn serve(provider: Provider, call: Call, request: HttpRequest) -> Response {
    let request = match Incoming::read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    // One address serves both.
    let refreshing = call == Call::Token && request.get("grant_type") == Some("refresh_token");
    let call = if refreshing { Call::Refresh } else { call };
    let (index, failure) = arrived(&mut provider.lock(), call);
    let response = match failure {
        None => Some(answer(&provider, call, &request)),
        Some(failure) => fail(failure, &provider, call, &request).await,
    };
    provider.lock().requests[index].status = response.as_ref().map(|response| response.status().as_u16());
    response.unwrap_or_else(no_answer)
}

fn arrived(state: &mut State, call: Call) -> (usize, Option<Failure>) {
    state.requests.push(Request { call, arrived: Instant::now(), status: None });
    (state.requests.len() - 1, state.failures.take(call))
}

fn answer(provider: &Provider, call: Call, request: &Incoming) -> Response {
    let state = &mut provider.lock();
    let handle: fn(&mut State, &Incoming) -> Result<Response, Refusal> = match call {
        Call::RequestToken => oauth1::request_token,
        Call::AccessToken => oauth1::access_token,
        Call::Token => oauth2::token,
        Call::Refresh => oauth2::refresh,
        Call::UserId => user_api::user_id,
        Call::Permissions => user_api::permissions,
        Call::DeleteRegistration => user_api::delete_registration,
        Call::TokenExchange => oauth2::exchange,
        Call::Pull => pull::pull,
        Call::ActivityFile => activity_file::download,
        Call::Backfill => backfill::backfill,
    };
    let room = if call.is_for_data() { state.limiter.request() } else { Ok(()) };
    room.and_then(|()| handle(state, request)).into_response()
}

/// What a call meets with that is to fail; nothing if its connection is to end without an answer.
async fn fail(failure: Failure, provider: &Provider, call: Call, request: &Incoming) -> Option<Response> {
    let status = |status| StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match failure {
        Failure::Status(code) => Some(status(code).into_response()),
        Failure::Refusal { status: code, body } => Some((status(code), body).into_response()),
        Failure::Redirect(address) => Some((StatusCode::FOUND, [(LOCATION, address)]).into_response()),
        Failure::Slow(time) => {
            tokio::time::sleep(time).await;
            Some(answer(provider, call, request))
        }
        Failure::Nonsense => Some(Html("<html><title>Scheduled maintenance</title>").into_response()),
        Failure::Drop => None,
        Failure::LoseAnswer => {
            answer(provider, call, request);
            None
        }
    }
}

/// A body that fails before its first byte makes the server close the connection before it has sent anything.
fn no_answer() -> Response {
    let failing = stream::iter([Err::<Vec<u8>, _>(io::Error::from(io::ErrorKind::ConnectionAborted))]);
    Body::from_stream(failing).into_response()
}
