//! The pull endpoints: what devices have uploaded, fetched with a callback URL (garmin-health-api.md 2.5).

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::data_type::DataType;
use super::incoming::Incoming;
use super::refusal::Refusal;
use super::state::State;
use super::uploads::UploadRange;
use super::user_api;

/// The longest range of upload times, in seconds.
const LONGEST_RANGE: i64 = 86_400;

/// Below the API: a data type's path.
pub(super) fn pull(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let data_type = DataType::of_pull_path(request.last_segment()).ok_or(Refusal::NOT_FOUND)?;
    let user_id = user_api::user_of(state, request)?;
    user_api::check_permission(state, &user_id, data_type.family.permission())?;
    let range = upload_range(request)?;
    check_token(state, &user_id, data_type.pull_path, range, request.get("token"))?;
    let entries = state.uploads.entries(&user_id, data_type.pull_path, range);
    let json = [(CONTENT_TYPE, "application/json;charset=UTF-8")];
    Ok(match entries {
        Ok(entries) => (json, entries).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

fn upload_range(request: &Incoming) -> Result<UploadRange, Refusal> {
    let start = request.seconds("uploadStartTimeInSeconds")?;
    let end = request.seconds("uploadEndTimeInSeconds")?;
    match end - start {
        ..=0 => Err(Refusal::bad_request("the upload end time must be later than the upload start time")),
        1..=LONGEST_RANGE => Ok((start, end)),
        _ => Err(Refusal::bad_request("the upload times are more than 86400 seconds apart")),
    }
}

/// The token must be one that was given for just this, unless it is the developer portal's.
fn check_token(
    state: &State,
    user_id: &str,
    pull_path: &str,
    range: UploadRange,
    token: Option<&str>,
) -> Result<(), Refusal> {
    let of_portal = token == Some(&state.pull_token);
    if of_portal || state.uploads.is_callback(user_id, pull_path, range, token) {
        return Ok(());
    }
    Err(match token {
        None => Refusal::invalid_pull_token(StatusCode::BAD_REQUEST),
        Some(_) => Refusal::invalid_pull_token(StatusCode::UNAUTHORIZED),
    })
}
