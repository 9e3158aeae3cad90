//! Backfill: history is asked for, accepted, and comes later as ordinary notifications (garmin-health-api.md 7).

use std::collections::{BTreeMap, BTreeSet};

use super::data_type::DataType;
use super::history::{self, DAY};
use super::incoming::Incoming;
use super::received::{Mode, Received, UploadError};
use super::refusal::Refusal;
use super::state::{State, rfc3339, unix_now};
use super::user_api;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Entries in one notification. Garmin's batches are large, and those of history larger.
const BLOCK: usize = 1_000;

/// How history is served.
#[derive(Debug, Clone, Default)]
pub struct BackfillOptions {
    /// Nothing is given from before this, in Unix seconds.
    pub minimum_start: i64,
    /// Names, as in the path, of types whose history the app has not enabled.
    pub not_enabled: BTreeSet<String>,
    /// How what was accepted is delivered. The details of activities are pushed always.
    pub delivered_as: Mode,
}

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Backfills {
    options: BackfillOptions,
    /// When each was accepted, in Unix seconds.
    accepted: BTreeMap<Period, i64>,
    waiting: Vec<Period>,
}

/// A stretch of one user's history under one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Period {
    user_id: String,
    key: &'static str,
    /// Unix seconds; the second is not part of it.
    range: (i64, i64),
}

impl Backfills {
    pub(super) fn new(options: BackfillOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Who connects again may ask again; what was not delivered never will be.
    pub(super) fn forget(&mut self, user_id: &str) {
        self.accepted.retain(|period, _| period.user_id != user_id);
        self.waiting.retain(|period| period.user_id != user_id);
    }
}

/// Below the API: `backfill/` and a type's name.
pub(super) fn backfill(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let name = request.last_segment();
    let data_type = DataType::of_backfill_path(name).ok_or(Refusal::NOT_FOUND)?;
    let user_id = user_api::user_of(state, request)?;
    check_allowed(state, &user_id, data_type)?;
    if state.backfills.options.not_enabled.contains(name) {
        return Err(Refusal::bad_request(format!("Endpoint not enabled for summary type: {name}")));
    }
    let range = summary_range(request, data_type)?;
    check_minimum_start(range.0, state.backfills.options.minimum_start)?;
    let period = Period { user_id, key: data_type.key, range };
    check_not_accepted(&state.backfills, &period)?;
    state.limiter.backfill(whole_days(range))?;
    state.backfills.accepted.insert(period.clone(), unix_now());
    state.backfills.waiting.push(period);
    Ok(StatusCode::ACCEPTED.into_response())
}

fn check_allowed(state: &State, user_id: &str, data_type: &DataType) -> Result<(), Refusal> {
    if !state.allows(user_id, "HISTORICAL_DATA_EXPORT") {
        return Err(Refusal::api(StatusCode::FORBIDDEN, "the user has not granted HISTORICAL_DATA_EXPORT"));
    }
    user_api::check_permission(state, user_id, data_type.family.permission())
}

fn summary_range(request: &Incoming, data_type: &DataType) -> Result<(i64, i64), Refusal> {
    let start = request.seconds("summaryStartTimeInSeconds")?;
    let end = request.seconds("summaryEndTimeInSeconds")?;
    let longest = data_type.family.longest_backfill_days();
    if end <= start {
        return Err(Refusal::bad_request("the summary end time must be later than the summary start time"));
    }
    if end - start > longest * DAY {
        return Err(Refusal::bad_request(format!("the summary times are more than {longest} days apart")));
    }
    Ok((start, end))
}

fn check_minimum_start(start: i64, minimum: i64) -> Result<(), Refusal> {
    if start >= minimum {
        return Ok(());
    }
    let (start, minimum) = (rfc3339(start), rfc3339(minimum));
    Err(Refusal::bad_request(format!("summary start {start} is before min start time of {minimum}")))
}

fn check_not_accepted(backfills: &Backfills, period: &Period) -> Result<(), Refusal> {
    let Some(accepted) = backfills.accepted.get(period) else { return Ok(()) };
    let message = format!("duplicate backfill: this period was processed at {}", rfc3339(*accepted));
    Err(Refusal::api(StatusCode::CONFLICT, message))
}

fn whole_days((start, end): (i64, i64)) -> u32 {
    u32::try_from((end - start).cast_unsigned().div_ceil(DAY.cast_unsigned())).unwrap_or(u32::MAX)
}

/// The bodies of the notifications that bring what was accepted since the last time: blocks of one key, of several users.
pub(super) fn take_deliveries(state: &mut State) -> Result<Vec<Vec<u8>>, UploadError> {
    let mut lists: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for period in std::mem::take(&mut state.backfills.waiting) {
        let token = state.oauth1_name(&period.user_id);
        let until = period.range.1.min(unix_now());
        for day in history::days((period.range.0, until)) {
            for (key, mut entry) in history::entries(&period.user_id, period.key, day) {
                if let Some(token) = &token {
                    entry["userAccessToken"] = token.as_str().into();
                }
                lists.entry(key).or_default().push(entry);
            }
        }
    }
    let blocks =
        lists.iter().flat_map(|(key, entries)| entries.chunks(BLOCK).map(move |block| (*key, block)));
    blocks.map(|(key, block)| deliver(state, key, block)).collect()
}

fn deliver(state: &mut State, key: &'static str, block: &[Value]) -> Result<Vec<u8>, UploadError> {
    let mode = if key == "activityDetails" { Mode::Push } else { state.backfills.options.delivered_as };
    let body = serde_json::to_vec(&BTreeMap::from([(key, block)])).map_err(UploadError::Notification)?;
    Received::read(&body, mode)?.keep(state)
}
