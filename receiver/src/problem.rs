//! Every error answer of the receiver, as RFC 9457 problem documents with stable types.

use crate::notification::Flaw;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Seconds after which a 503 suggests to come back. A lost broker is looked for at least that often.
const RETRY_AFTER: &str = "5";

/// What is wrong with a request, or with Apollo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No such path; also a wrong or missing secret path segment, which must look the same.
    NotFound,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimedOut,
    /// The connection or the compressed data ended before the body did.
    BodyIncomplete,
    /// The body is no notification.
    Malformed(Flaw),
    /// The body is over the limit, inflated or not.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A `Content-Encoding` other than gzip.
    UnsupportedEncoding,
    /// No room among the bytes in flight became free in time.
    Busy,
    /// Neither the broker nor the spool took the message.
    NotDurable,
    /// Neither did in time. It may be stored or not.
    Unconfirmed,
}

#[derive(Serialize)]
struct Document {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::BodyIncomplete | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy | Self::NotDurable | Self::Unconfirmed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable name that programs may rely on; the document's type is `urn:apollo:problem:` and this.
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BodyTimedOut => "body-timed-out",
            Self::BodyIncomplete => "body-incomplete",
            Self::Malformed(Flaw::CutShort) => "cut-short",
            Self::Malformed(Flaw::NotJson { .. } | Flaw::NotUtf8 { .. }) => "not-json",
            Self::Malformed(Flaw::NotAnObject) => "not-an-object",
            Self::Malformed(Flaw::NoList) => "no-list",
            Self::TooLarge { .. } => "too-large",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::Busy => "busy",
            Self::NotDurable => "not-durable",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::BodyTimedOut => "The body did not arrive in time",
            Self::BodyIncomplete => "The body is incomplete",
            Self::Malformed(_) => "Not a notification",
            Self::TooLarge { .. } => "The body is too large",
            Self::UnsupportedEncoding => "Unsupported content encoding",
            Self::Busy => "Too much is in flight",
            Self::NotDurable => "The message broker is not available, and the spool takes nothing",
            Self::Unconfirmed => "The message was not durable in time",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "Nothing is served under this path: check the URL that was registered.".into(),
            Self::MethodNotAllowed => "Use a method that the header Allow names.".into(),
            Self::BodyTimedOut => "Send the request again, the whole body within 30 seconds.".into(),
            Self::BodyIncomplete => {
                "The body ended before its length, or its gzip data is damaged: send the request again."
                    .into()
            }
            Self::Malformed(Flaw::CutShort) => "The JSON ends before it is complete: send it again.".into(),
            Self::Malformed(flaw) => format!(
                "Send a JSON object such as {{\"dailies\": [...]}} with at least one list in it: {flaw}."
            ),
            Self::TooLarge { limit } => format!(
                "Send at most {limit} bytes, after decompression too; \
                 RECEIVER__MAX_BODY_BYTES is where the operator sets the limit."
            ),
            Self::UnsupportedEncoding => "Send the body as it is, or with Content-Encoding: gzip.".into(),
            Self::Busy => "Nothing was stored: send the request again after the time in Retry-After.".into(),
            Self::NotDurable | Self::Unconfirmed => {
                "It is not sure to be stored: send the request again after \
                                                     the time in Retry-After; repetition does no harm."
                    .into()
            }
        }
    }
}

impl From<Flaw> for Problem {
    fn from(flaw: Flaw) -> Self {
        Self::Malformed(flaw)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let document = Document {
            r#type: format!("urn:apollo:problem:{}", self.id()),
            title: self.title(),
            status: status.as_u16(),
            detail: self.detail(),
        };
        let mut response = (status, axum::Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ALL: [Problem; 14] = [
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::BodyTimedOut,
        Problem::BodyIncomplete,
        Problem::Malformed(Flaw::CutShort),
        Problem::Malformed(Flaw::NotJson { line: 1, column: 2 }),
        Problem::Malformed(Flaw::NotUtf8 { offset: 3 }),
        Problem::Malformed(Flaw::NotAnObject),
        Problem::Malformed(Flaw::NoList),
        Problem::TooLarge { limit: 100 },
        Problem::UnsupportedEncoding,
        Problem::Busy,
        Problem::NotDurable,
        Problem::Unconfirmed,
    ];

    #[tokio::test]
    async fn every_problem_is_a_document_that_says_what_to_do() {
        let mut types = HashSet::new();
        for problem in ALL {
            let response = problem.clone().into_response();
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            let retry = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry, response.status() == 503, "{problem:?}");
            assert_ne!(response.status(), 429, "Garmin would back off for long");

            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(document["status"], status);
            assert!(document["detail"].as_str().unwrap().ends_with('.'), "{document}");
            types.insert(document["type"].as_str().unwrap().to_owned());
        }
        assert_eq!(types.len(), ALL.len() - 1, "only the two ways of not being JSON share a type");
    }
}
