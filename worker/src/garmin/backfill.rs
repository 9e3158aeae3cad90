//! A request for history, and what Garmin says to it (garmin-health-api.md 7).

use super::answer::Answer;
use super::client::GarminClient;
use super::error::{Call, GarminError};
use super::tokens::UserToken;
use crate::backfill::{BackfillKind, Range};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use time::format_description::well_known::Iso8601;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// Characters of Garmin's words that are kept.
const LONGEST_MESSAGE: usize = 300;

/// A word longer than this may be a token, which nobody needs to read.
const LONGEST_WORD: usize = 40;

/// What may stand before the moment from which on Garmin takes requests, in its own words or close to them.
const MINIMUM_WORDS: [&str; 5] = ["min start", "minimum start", "minstart", "min_start", "earliest"];

/// What may be said about a range that is too long for one request.
const TOO_LONG_WORDS: [&str; 8] =
    ["too long", "too large", "longer than", "greater than", "more than", "exceed", "maximum", "at most"];

/// What Garmin says to a request for history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackfillAnswer {
    /// 202: the summaries come later, as notifications.
    Requested,
    /// 409: it had been requested before.
    DoneBefore,
    /// 400: the app is not set to be sent this type.
    NotEnabled,
    /// 400: it begins before this moment, than which Garmin reaches no further back.
    BeforeMinimum(OffsetDateTime),
    /// 400: the range is too long.
    TooLong,
    /// 403: the user does not permit that history is sent.
    NoHistory,
    /// 412: the user does not permit this type.
    TypeNotPermitted,
    /// Another refusal, which asking again would not change.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// Garmin's words, shortened; for the operator, not for logs.
        message: String,
    },
}

impl GarminClient {
    /// Asks for a range of a user's history.
    ///
    /// # Errors
    /// [`GarminError::Refused`] if the token has ended, [`GarminError::RateLimited`]; see [`GarminError`].
    pub async fn backfill(
        &self,
        kind: &BackfillKind,
        range: Range,
        token: &UserToken,
    ) -> Result<BackfillAnswer, GarminError> {
        let mut url = self.api(&format!("backfill/{}", kind.api_path()));
        url.query_pairs_mut()
            .append_pair("summaryStartTimeInSeconds", &range.starts_at.unix_timestamp().to_string())
            .append_pair("summaryEndTimeInSeconds", &range.ends_at.unix_timestamp().to_string());
        let answer = self.send(Call::Backfill, self.as_user(Method::GET, &url, token)).await?;
        read(&answer)
    }
}

fn read(answer: &Answer) -> Result<BackfillAnswer, GarminError> {
    Ok(match answer.status {
        StatusCode::OK | StatusCode::ACCEPTED => BackfillAnswer::Requested,
        StatusCode::CONFLICT => BackfillAnswer::DoneBefore,
        StatusCode::BAD_REQUEST => of_bad_request(answer.body()),
        _ => match answer.data_failure() {
            GarminError::NotPermitted { status: 412, .. } => BackfillAnswer::TypeNotPermitted,
            GarminError::NotPermitted { .. } => BackfillAnswer::NoHistory,
            GarminError::NotAccepted { status, .. } | GarminError::Gone { status, .. } => {
                BackfillAnswer::Rejected { status, message: message(answer.body()) }
            }
            failure => return Err(failure),
        },
    })
}

/// Garmin tells several things by 400, apart in its words only.
fn of_bad_request(body: &[u8]) -> BackfillAnswer {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let words = words(body, json.as_ref());
    let lower = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    if says(&["not enabled"]) {
        return BackfillAnswer::NotEnabled;
    }
    if let Some(minimum) = minimum_field(json.as_ref()).or_else(|| minimum_words(&lower)) {
        return BackfillAnswer::BeforeMinimum(minimum);
    }
    if says(&TOO_LONG_WORDS) {
        return BackfillAnswer::TooLong;
    }
    BackfillAnswer::Rejected { status: 400, message: message(body) }
}

/// Garmin's message, or the whole body if there is none.
fn words(body: &[u8], json: Option<&Value>) -> String {
    let message = json.and_then(|json| json.get("errorMessage")).and_then(Value::as_str);
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

/// A field such as `minStartTimeInSeconds`.
fn minimum_field(json: Option<&Value>) -> Option<OffsetDateTime> {
    let is_minimum = |name: &str| {
        let name = name.to_lowercase();
        name.starts_with("min") && name.contains("start")
    };
    let (_, value) = json?.as_object()?.iter().find(|(name, _)| is_minimum(name))?;
    match value {
        Value::Number(number) => of_unix_time(number.as_i64()?),
        Value::String(text) => moment(text.trim()),
        _ => None,
    }
}

/// The first moment that stands behind words for the minimum.
fn minimum_words(lower: &str) -> Option<OffsetDateTime> {
    let behind = MINIMUM_WORDS.iter().filter_map(|words| Some(lower.split_once(words)?.1));
    behind.min_by_key(|behind| behind.len()).and_then(|behind| {
        let parts = behind.split(|c: char| !c.is_ascii_alphanumeric() && !"-:+.".contains(c));
        parts.filter_map(|part| moment(part.trim_end_matches(['.', ':']))).next()
    })
}

/// A moment as Garmin may write it: in ISO 8601, to the day or finer, or as Unix seconds or milliseconds.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.to_uppercase();
    let day = || Some(Date::parse(&text, format_description!("[year]-[month]-[day]")).ok()?.midnight());
    let local = || PrimitiveDateTime::parse(&text, &Iso8601::DEFAULT).ok();
    text.parse()
        .ok()
        .and_then(of_unix_time)
        .or_else(|| OffsetDateTime::parse(&text, &Iso8601::DEFAULT).ok())
        .or_else(|| local().or_else(day).map(PrimitiveDateTime::assume_utc))
}

/// Seconds, or milliseconds if they would lie thousands of years ahead. Small numbers are something else.
fn of_unix_time(number: i64) -> Option<OffsetDateTime> {
    let seconds = match number {
        100_000_000..100_000_000_000 => number,
        100_000_000_000..100_000_000_000_000 => number / 1000,
        _ => return None,
    };
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

/// What of a refusal an operator can make use of, and nothing that might be a secret.
fn message(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let words = words(body, json.as_ref());
    let words = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let words: Vec<&str> =
        words.map(|word| if word.chars().count() > LONGEST_WORD { "…" } else { word }).collect();
    words.join(" ").chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_minimum_start_is_read_in_every_way_it_may_be_written() {
        let minimum = BackfillAnswer::BeforeMinimum(datetime!(2024-11-21 08:30:00 UTC));
        for body in [
            r#"{"errorMessage":"start 2019-01-01T00:00:00Z before min start time of 2024-11-21T08:30:00Z"}"#,
            r#"{"errorMessage":"start 1546300800 is before min start time 1732177800"}"#,
            r#"{"errorMessage":"start 1546300800000 before Minimum Start Time: 1732177800000."}"#,
            r#"{"errorMessage":"[2019-01-01T00:00Z] before min start time of [2024-11-21T08:30Z]"}"#,
            r#"{"errorMessage":"the earliest is 2024-11-21T09:30:00.000+01:00, not 2019-01-01"}"#,
            r#"{"errorMessage":"too old","minStartTimeInSeconds":1732177800}"#,
            r#"{"minimumStartTime":"2024-11-21T08:30:00Z"}"#,
            "summaryStartTimeInSeconds 1546300800 exceeds the min start time 1732177800",
        ] {
            assert_eq!(of_bad_request(body.as_bytes()), minimum, "{body}");
        }
        assert_eq!(
            of_bad_request(b"before min start time of 2024-11-22"),
            BackfillAnswer::BeforeMinimum(datetime!(2024-11-22 00:00 UTC))
        );
    }

    #[test]
    fn other_refusals_are_told_apart() {
        let read = |body: &str| of_bad_request(body.as_bytes());
        let not_enabled = r#"{"errorMessage":"Endpoint not enabled for summary type: CONNECT_DAILY"}"#;
        assert_eq!(read(not_enabled), BackfillAnswer::NotEnabled);
        let too_long = r#"{"errorMessage":"time range is longer than 2592000 seconds"}"#;
        assert_eq!(read(too_long), BackfillAnswer::TooLong);
        assert_eq!(
            read(r#"{"errorMessage":"missing\u0000  parameter"}"#),
            BackfillAnswer::Rejected { status: 400, message: "missing parameter".into() }
        );
        assert_eq!(
            read("min start time unknown"),
            BackfillAnswer::Rejected { status: 400, message: "min start time unknown".into() }
        );
    }

    #[test]
    fn what_may_be_a_token_is_not_kept() {
        let token = "x".repeat(41);
        let body = format!("token {token} {}", "no ".repeat(500));
        let message = message(body.as_bytes());
        assert!(message.starts_with("token … no no"), "{message}");
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
    }
}
