//! An answer of Garmin's, and what it means.

use super::error::{Call, GarminError};
use apollo_shared::telemetry::with_causes;
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bytes of an answer at most. Garmin's have a few hundred.
const MAX_BYTES: usize = 64 * 1024;

/// Problems that are ours, in the words of OAuth's problem reporting extension.
const OURS: [&str; 7] = [
    "consumer_key_refused",
    "consumer_key_rejected",
    "consumer_key_unknown",
    "signature_invalid",
    "signature_method_rejected",
    "timestamp_refused",
    "version_rejected",
];

/// Problems of a token, or of what a participant has brought back, that will not pass.
const FINAL: [&str; 7] = [
    "permission_denied",
    "token_expired",
    "token_rejected",
    "token_revoked",
    "token_used",
    "user_refused",
    "verifier_invalid",
];

/// An answer, read to its end.
pub(super) struct Answer {
    call: Call,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The answer of an OAuth 2.0 token endpoint that gives nothing (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Oauth2Problem {
    error: String,
}

impl Answer {
    /// Reads an answer.
    pub(super) async fn read(call: Call, mut response: Response) -> Result<Self, GarminError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(call, error))? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(unavailable(call, format!("answered more than {MAX_BYTES} bytes"), None));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { call, status: response.status(), headers: response.headers().clone(), body })
    }

    /// The bytes of the body.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GarminError> {
        serde_json::from_slice(&self.body).map_err(|_| self.nonsense())
    }

    /// It is not what Garmin answers.
    pub(super) fn nonsense(&self) -> GarminError {
        unavailable(
            self.call,
            format!("answered {} with a body that makes no sense", self.status.as_u16()),
            None,
        )
    }

    /// What an unsuccessful answer of the OAuth 2.0 token endpoint means.
    ///
    /// Only `invalid_grant` says that a refresh token has ended. The others would be a mistake of ours or of Garmin's,
    /// and no reason to give up a user's token.
    pub(super) fn token_endpoint_failure(&self) -> GarminError {
        let problem: Option<Oauth2Problem> = serde_json::from_slice(&self.body).ok();
        let call = self.call;
        match problem.as_ref().map(|problem| problem.error.as_str()).filter(|_| self.is_definite()) {
            Some("invalid_grant") => GarminError::Rejected { call, error: "invalid_grant" },
            Some("invalid_client") => misconfigured(call, "invalid_client"),
            Some("unauthorized_client") => misconfigured(call, "unauthorized_client"),
            _ => self.unforeseen(),
        }
    }

    /// What an unsuccessful answer to a request token means.
    pub(super) fn request_token_failure(&self) -> GarminError {
        let call = self.call;
        match self.problem() {
            Some(Problem::Ours(error)) => misconfigured(call, error),
            Some(Problem::Final(error)) => GarminError::Rejected { call, error },
            Some(Problem::Other) | None => self.unforeseen(),
        }
    }

    /// What an unsuccessful answer to a call with a user's token means.
    ///
    /// A refusal ends a user's consent, so one that is about us and not about the token must not pass for it.
    pub(super) fn user_failure(&self) -> GarminError {
        if !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self.unforeseen();
        }
        match self.problem() {
            Some(Problem::Ours(error)) => misconfigured(self.call, error),
            Some(Problem::Other) => self.unforeseen(),
            Some(Problem::Final(_)) | None => {
                GarminError::Refused { call: self.call, status: self.status.as_u16() }
            }
        }
    }

    /// What an unsuccessful answer to a call for data means.
    pub(super) fn data_failure(&self) -> GarminError {
        let (call, status) = (self.call, self.status.as_u16());
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => {
                GarminError::RateLimited { call, retry_after: self.retry_after() }
            }
            StatusCode::GONE => GarminError::Gone { call, status },
            _ if self.is_definite() && self.names_the_download_token() => GarminError::Gone { call, status },
            StatusCode::FORBIDDEN | StatusCode::PRECONDITION_FAILED => {
                GarminError::NotPermitted { call, status }
            }
            StatusCode::UNAUTHORIZED => self.user_failure(),
            _ if self.status.is_redirection() => GarminError::Redirected { call, status },
            _ if self.is_definite() => GarminError::NotAccepted { call, status },
            _ => self.unforeseen(),
        }
    }

    /// The token in a callback URL, which is not the user's, is no good (garmin-health-api.md 2.5).
    fn names_the_download_token(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body).to_ascii_lowercase();
        ["invalidpulltoken", "invalid download token"].iter().any(|words| text.contains(words))
    }

    fn unforeseen(&self) -> GarminError {
        unavailable(self.call, format!("answered {}", self.status.as_u16()), self.retry_after())
    }

    /// An answer about the request, and not about the state that Garmin is in.
    fn is_definite(&self) -> bool {
        self.status.is_client_error()
            && !matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
    }

    /// The `oauth_problem` that the header or the body names.
    fn problem(&self) -> Option<Problem> {
        let challenges = self.headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.as_bytes());
        let word = challenges.chain([self.body.as_slice()]).find_map(problem_word)?;
        let known = |words: &[&'static str]| words.iter().copied().find(|known| *known == word);
        if !self.is_definite() {
            return None;
        }
        Some(match (known(&OURS), known(&FINAL)) {
            (Some(error), _) => Problem::Ours(error),
            (None, Some(error)) => Problem::Final(error),
            (None, None) => Problem::Other,
        })
    }

    /// Seconds; Garmin has not been seen to send a date.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// A problem that an OAuth 1.0a answer names.
enum Problem {
    Ours(&'static str),
    Final(&'static str),
    Other,
}

/// The word after `oauth_problem=`, in a header or a form.
fn problem_word(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let (_, after) = text.split_once("oauth_problem=")?;
    let word = after.trim_start_matches('"');
    let end = word.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(word.len());
    Some(word[..end].to_owned())
}

/// No answer, or not a whole one.
pub(super) fn unreachable(call: Call, error: reqwest::Error) -> GarminError {
    unavailable(call, format!("cannot be reached: {}", with_causes(&error.without_url())), None)
}

pub(super) fn unavailable(call: Call, why: String, retry_after: Option<Duration>) -> GarminError {
    GarminError::Unavailable { call, why, retry_after }
}

fn misconfigured(call: Call, error: &'static str) -> GarminError {
    let error = GarminError::Misconfigured { call, error };
    tracing::error!("{error}");
    error
}
