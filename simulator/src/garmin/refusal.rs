//! How Garmin says no.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A call that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401 with the name of what is wrong with an OAuth 1.0a signature, as OAuth's problem reporting extension calls it.
    Oauth1(&'static str),
    /// An error of RFC 6749, section 5.2.
    Oauth2 { status: StatusCode, error: &'static str, description: &'static str },
    /// An error of the user API.
    Api { status: StatusCode, message: &'static str },
}

impl Refusal {
    pub(super) fn bad_request(message: &'static str) -> Self {
        Self::Api { status: StatusCode::BAD_REQUEST, message }
    }

    /// What a token that has ended, or never was, gets.
    pub(super) fn token_not_active() -> Self {
        Self::Api { status: StatusCode::UNAUTHORIZED, message: "Token is not active" }
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
        }
    }
}
