//! A request as the handlers read it: its parameters decoded, its body no more than a form.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName};
use url::{Url, form_urlencoded};

use super::refusal::Refusal;

/// No form that belongs here is longer, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// Seconds of the year 5138, or milliseconds of 1973.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// How a request came; put among its extensions by the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) path: String,
    /// The address without its query, as signatures name it (RFC 5849, 3.4.1.2).
    pub(super) base_uri: String,
    /// The parameters of the query and of a form in the body.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) authorization: Option<String>,
}

impl Incoming {
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let text = |name: HeaderName| header(&head.headers, &name);
        let host = text(HOST).ok_or(Refusal::bad_request("the header Host is missing"))?;
        let scheme = head.extensions.get().copied().unwrap_or(Scheme::Http).name();
        let base_uri = Url::parse(&format!("{scheme}://{host}{}", head.uri.path()))
            .map_err(|_| Refusal::bad_request("the header Host is not that of an address"))?;
        let body = to_bytes(body, LONGEST_BODY)
            .await
            .map_err(|_| Refusal::bad_request("the body was cut short, or is too long"))?;
        let mut parameters = pairs(head.uri.query().unwrap_or_default().as_bytes());
        if text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            parameters.extend(pairs(&body));
        }
        Ok(Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            base_uri: base_uri.into(),
            parameters,
            authorization: text(AUTHORIZATION),
        })
    }

    /// The first parameter of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// What stands behind the path's last slash.
    pub(super) fn last_segment(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The parameter of that name, which must be a moment in Unix seconds.
    pub(super) fn seconds(&self, name: &'static str) -> Result<i64, Refusal> {
        let text = self.get(name).ok_or_else(|| Refusal::bad_request(format!("{name} is missing")))?;
        let moment = text.parse().ok().filter(|moment| *moment >= 0);
        let moment = moment.ok_or_else(|| Refusal::bad_request(format!("{name} is no moment")))?;
        if moment >= FIRST_MILLISECONDS {
            return Err(Refusal::bad_request(format!("{name} must be in seconds, not in milliseconds")));
        }
        Ok(moment)
    }

    /// Every parameter of that name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}
