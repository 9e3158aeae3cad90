//! The user API: whose token it is, what the user allows, and the end of the connection (garmin-health-api.md 4, 5).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::incoming::Incoming;
use super::refusal::Refusal;
use super::state::State;
use super::{PermissionsAnswer, oauth1, oauth2};

pub(super) fn user_id(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let user_id = user_of(state, request)?;
    Ok(Json(json!({ "userId": user_id })).into_response())
}

pub(super) fn permissions(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let user_id = user_of(state, request)?;
    let account = state.accounts.get(&user_id).cloned().ok_or(Refusal::token_not_active())?;
    let answer = match state.permissions_answer {
        PermissionsAnswer::Array => json!(account.permissions),
        PermissionsAnswer::Object => json!({
            "userId": user_id,
            "summaryId": state.notice_id(),
            "permissions": account.permissions,
            "changeTimeInSeconds": account.changed_at,
        }),
    };
    Ok(Json(answer).into_response())
}

pub(super) fn delete_registration(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let user_id = user_of(state, request)?;
    state.disconnect(&user_id);
    state.deleted_registrations.push(user_id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses what the user has not allowed.
pub(super) fn check_permission(state: &State, user_id: &str, permission: &str) -> Result<(), Refusal> {
    let refused =
        || Refusal::api(StatusCode::PRECONDITION_FAILED, format!("the user has not granted {permission}"));
    if state.allows(user_id, permission) { Ok(()) } else { Err(refused()) }
}

/// Either kind of token will do.
pub(super) fn user_of(state: &mut State, request: &Incoming) -> Result<String, Refusal> {
    match request.authorization.as_deref().and_then(bearer) {
        Some(token) => oauth2::user_of(state, token),
        None => oauth1::user_of(state, request),
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}
