//! How Garmin says no.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A call that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401 with the name of what is wrong with an OAuth 1.0a signature, as OAuth's problem reporting extension calls it.
    Oauth1(&'static str),
    /// An error of RFC 6749, section 5.2.
    Oauth2 { status: StatusCode, error: &'static str, description: &'static str },
    /// An error of the API.
    Api { status: StatusCode, message: Cow<'static, str> },
    /// 429: there is room again after so long.
    TooMuch(Duration),
}

impl Refusal {
    /// What there is no such path for.
    pub(super) const NOT_FOUND: Self =
        Self::Api { status: StatusCode::NOT_FOUND, message: Cow::Borrowed("there is nothing here") };

    pub(super) fn api(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Api { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::api(StatusCode::BAD_REQUEST, message)
    }

    /// What a token that has ended, or never was, gets.
    pub(super) fn token_not_active() -> Self {
        Self::api(StatusCode::UNAUTHORIZED, "Token is not active")
    }

    /// What a callback URL gets whose own token is missing or wrong.
    pub(super) fn invalid_pull_token(status: StatusCode) -> Self {
        Self::api(status, "InvalidPullToken: Invalid download token")
    }

    pub(super) fn invalid_client() -> Self {
        Self::Oauth2 {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: "client_id and client_secret are not those of an app",
        }
    }

    pub(super) fn invalid_grant(description: &'static str) -> Self {
        Self::Oauth2 { status: StatusCode::BAD_REQUEST, error: "invalid_grant", description }
    }

    pub(super) fn invalid_request(description: &'static str) -> Self {
        Self::Oauth2 { status: StatusCode::BAD_REQUEST, error: "invalid_request", description }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Oauth1(problem) => {
                (StatusCode::UNAUTHORIZED, format!("oauth_problem={problem}")).into_response()
            }
            Self::Oauth2 { status, error, description } => {
                (status, Json(json!({ "error": error, "error_description": description }))).into_response()
            }
            Self::Api { status, message } => {
                (status, Json(json!({ "errorMessage": message }))).into_response()
            }
            Self::TooMuch(wait) => {
                let seconds = wait.as_millis().div_ceil(1_000).max(1).to_string();
                let message = Json(json!({ "errorMessage": "the limit of this app is reached" }));
                (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], message).into_response()
            }
        }
    }
}
