//! The way back from Garmin, and the question for the outcome.

use super::cookie::Ticket;
use super::entry::Entry;
use super::notice::Notice;
use super::{now, page, parameters, publish};
use crate::app::Edge;
use crate::metrics::ConsentStep;
use crate::problem::Problem;
use apollo_shared::consent::{Answer, CALLBACK, Callback, Sealed, Status};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// What a browser brings back from Garmin. Both forms are taken whatever is configured: a tab may be older than the
/// configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Returned {
    state: Option<String>,
    code: Option<String>,
    oauth_token: Option<String>,
    oauth_verifier: Option<String>,
    error: Option<String>,
}

impl Returned {
    /// The state, or the request token: what the consent is known by.
    fn reference(&self) -> Option<&str> {
        present(&self.state).or(present(&self.oauth_token))
    }

    /// What the participant did at Garmin. Nobody has documented a refusal under OAuth 1.0a; it comes without a
    /// verifier, or with the word for none. Of the errors of OAuth 2.0 (RFC 6749, 4.1.2.1) one is the participant's.
    fn answer(&self) -> Answer {
        if self.state.is_some() && present(&self.error).is_some_and(|error| error != "access_denied") {
            return Answer::Failed;
        }
        let agreed = match present(&self.state) {
            Some(_) => present(&self.code).map(|code| Answer::Code(code.to_owned())),
            None => present(&self.oauth_verifier).map(|verifier| Answer::Verifier(verifier.to_owned())),
        };
        agreed.filter(|_| present(&self.error).is_none()).unwrap_or(Answer::Declined)
    }
}

fn present(parameter: &Option<String>) -> Option<&str> {
    parameter.as_deref().filter(|value| !value.is_empty() && *value != "null")
}

/// GET /oauth/garmin/callback
///
/// Loading it again does no harm: the worker then announces an outcome again that it has announced already.
pub(crate) async fn arrive(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    query: Result<Query<Returned>, QueryRejection>,
) -> Response {
    let consents = &edge.consents;
    let returned = parameters(query);
    let find = |reference| Ticket::find(&headers, reference, &consents.keyring, now());
    let Some(ticket) = returned.reference().and_then(find) else {
        return edge.refuse(Notice::NotBegunHere, &Entry::default());
    };
    let consent_id = ticket.consent_id;
    let entry = ticket.entry(&consents.keyring);
    let known = consents.outcomes.of(consent_id);
    if known != Status::Pending {
        return consents.site.answer(page::outcome(&consents.site, known, &entry));
    }
    let answer = Sealed::seal(&returned.answer(), consent_id, &consents.keyring);
    match publish(&edge, CALLBACK, &Callback { consent_id, answer }).await {
        Ok(()) => {
            edge.metrics.consent(ConsentStep::Callback);
            tracing::info!(%consent_id, "consent {consent_id}: came back");
            consents.site.answer(page::waiting(&consents.site, consent_id, &entry))
        }
        Err(_) => edge.refuse(Notice::Unrecorded, &entry),
    }
}

#[derive(Serialize)]
struct StatusDocument {
    status: Status,
}

/// GET /oauth/garmin/status/{consent_id}
///
/// A consent that was never begun looks like one under way.
pub(crate) async fn status(State(edge): State<Arc<Edge>>, Path(consent_id): Path<String>) -> Response {
    let Ok(consent_id) = Uuid::parse_str(&consent_id) else { return Problem::NotFound.into_response() };
    let document = StatusDocument { status: edge.consents.outcomes.of(consent_id) };
    ([(header::CACHE_CONTROL, "no-store")], Json(document)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;

    fn returned(query: &str) -> Returned {
        let uri: Uri = format!("http://study.example/oauth/garmin/callback?{query}").parse().unwrap();
        Query::try_from_uri(&uri).unwrap().0
    }

    #[test]
    fn what_garmin_gives_back_is_read_in_both_forms() {
        let agreed = returned("code=abc&state=s");
        assert_eq!(agreed.reference(), Some("s"));
        assert!(agreed.answer() == Answer::Code("abc".into()));
        let agreed = returned("oauth_token=t&oauth_verifier=v%2F1");
        assert_eq!(agreed.reference(), Some("t"));
        assert!(agreed.answer() == Answer::Verifier("v/1".into()));
        for query in ["", "code=abc", "state=&code=abc", "oauth_verifier=v", "oauth_token=null"] {
            assert_eq!(returned(query).reference(), None, "{query}");
        }
    }

    #[test]
    fn every_form_of_a_refusal_is_one() {
        for query in [
            "state=s&error=access_denied",
            "state=s&error=access_denied&code=abc",
            "state=s",
            "state=s&code=",
            "state=s&code=null",
            "state=s&oauth_verifier=v",
            "oauth_token=t",
            "oauth_token=t&oauth_verifier=",
            "oauth_token=t&oauth_verifier=null",
            "oauth_token=t&oauth_verifier=v&error=denied",
        ] {
            assert!(returned(query).answer() == Answer::Declined, "{query}");
        }
        assert!(returned("state=s&error=temporarily_unavailable").answer() == Answer::Failed);
        assert!(returned("state=s&code=abc&error=").answer() == Answer::Code("abc".into()));
    }
}
