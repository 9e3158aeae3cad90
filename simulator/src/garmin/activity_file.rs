//! The files of activities: each URL is good for a day, and for one download (garmin-health-api.md 1.18).

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::incoming::Incoming;
use super::refusal::Refusal;
use super::state::{State, unix_now};
use super::{text_file, user_api};
use crate::fit::{self, course::Course};

/// How long a URL is good for, in seconds.
const URL_SECONDS: i64 = 86_400;

/// The files that can be downloaded or have been, by the token in their URL.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<String, File>);

#[derive(Debug)]
struct File {
    user_id: String,
    id: u64,
    file_type: String,
    /// In Unix seconds; over as well once it was downloaded.
    good_until: i64,
}

impl Files {
    pub(super) fn offer(&mut self, token: String, user_id: String, id: u64, file_type: String) {
        let good_until = unix_now() + URL_SECONDS;
        self.0.insert(token, File { user_id, id, file_type, good_until });
    }

    /// The URLs so far are good for nothing any more.
    pub(super) fn expire(&mut self) {
        self.0.values_mut().for_each(|file| file.good_until = 0);
    }
}

/// Below the API: `activityFile?id=N&token=T`.
pub(super) fn download(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let user_id = user_api::user_of(state, request)?;
    user_api::check_permission(state, &user_id, "ACTIVITY_EXPORT")?;
    let id: Option<u64> = request.get("id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Refusal::bad_request("id is not that of an activity"))?;
    let token = request.get("token").ok_or_else(|| Refusal::bad_request("token is missing"))?;
    let file = state.files.0.get_mut(token).filter(|file| file.user_id == user_id && file.id == id);
    let file = file.ok_or_else(|| Refusal::invalid_pull_token(StatusCode::UNAUTHORIZED))?;
    if file.good_until <= unix_now() {
        return Err(Refusal::api(StatusCode::GONE, "the file was downloaded before, or its time is over"));
    }
    file.good_until = 0;
    let content = file_content(id, &file.file_type);
    Ok(([(CONTENT_TYPE, "application/octet-stream")], content).into_response())
}

/// The activities begin in the days after this (the start of 2026 in Unix seconds).
const FIRST_BEGIN: i64 = 1_767_225_600;

const MINUTE: u64 = 60;
const DAY: u64 = 1_440 * MINUTE;

/// What is in the file of that activity: always the same. A label is no promise: of what is called GPX every third is a FIT
/// file; what has no label is one always.
#[must_use]
pub fn file_content(id: u64, file_type: &str) -> Vec<u8> {
    // Between ten minutes and forty, some time in the first 300 days of the year.
    let begins = FIRST_BEGIN + (id % (300 * DAY)).cast_signed();
    let seconds = (10 * MINUTE + id % (30 * MINUTE)) as u32;
    match file_type {
        "TCX" => text_file::tcx(&Course::new(id, begins, seconds)).into_bytes(),
        "GPX" if !id.is_multiple_of(3) => text_file::gpx(&Course::new(id, begins, seconds)).into_bytes(),
        _ => fit::activity(id, begins, seconds),
    }
}
