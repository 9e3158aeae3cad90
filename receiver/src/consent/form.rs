//! The form, and what happens when it is sent: the participant leaves for Garmin.

use super::authorization::Begun;
use super::cookie::{Ticket, forget_older};
use super::entry::Entry;
use super::notice::Notice;
use super::page::{self, Filling};
use super::{Consents, now, parameters, publish_now};
use crate::app::Edge;
use crate::config::Invitations;
use crate::metrics::ConsentStep;
use apollo_shared::consent::{Invitation, STARTED, Sealed, Started, SubjectId};
use apollo_shared::telemetry::with_causes;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes that a form may have: a subject id and an invitation with one in it, every character percent-encoded.
pub(crate) const LONGEST_FORM: usize = 4 * 1024;

/// What a browser says of the page that a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// GET /oauth/garmin/consent
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    query: Result<Query<Entry>, QueryRejection>,
) -> Response {
    let consents = &edge.consents;
    let entry = parameters(query);
    match consents.fill_in(&entry) {
        Ok((entry, filling)) => consents.site.answer(page::form(&consents.site, &entry, filling)),
        Err(notice) => edge.refuse(notice, &entry),
    }
}

/// POST /oauth/garmin/consent
pub(crate) async fn submit(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    form: Result<Form<Entry>, FormRejection>,
) -> Response {
    let Ok(Form(entry)) = form else { return edge.refuse(Notice::UnreadableForm, &Entry::default()) };
    let consents = &edge.consents;
    if !is_own_form(&headers, &consents.site.origin) {
        return edge.refuse(Notice::OtherSite, &entry);
    }
    let invitation = match consents.invitation(&entry) {
        Ok(invitation) => invitation,
        Err(notice) => return edge.refuse(notice, &entry),
    };
    let Some(subject_id) = subject_id(&entry, invitation.as_ref()) else {
        return consents.site.answer(page::form(&consents.site, &entry, Filling::Wrong));
    };
    match begin(&edge, subject_id, invitation.as_ref()).await {
        Ok((begun, ticket)) => leave_for_garmin(consents, &begun, &ticket, &headers),
        Err(notice) => edge.refuse(notice, &entry),
    }
}

impl Consents {
    /// The form as a link has filled it in.
    fn fill_in(&self, entry: &Entry) -> Result<(Entry, Filling), Notice> {
        let invitation = self.invitation(entry)?;
        if self.authorizer.is_none() {
            return Err(Notice::NotSetUp);
        }
        Ok(match invitation {
            None => (Entry { invitation: String::new(), ..entry.clone() }, Filling::Open),
            Some(Invitation { subject_id, .. }) => {
                (Entry { sid: subject_id.into(), ..entry.clone() }, Filling::Invited)
            }
        })
    }

    /// The invitation, if there is one or has to be one. One that is given has to be good in any case.
    fn invitation(&self, entry: &Entry) -> Result<Option<Invitation>, Notice> {
        match (entry.invitation.trim(), self.invitations) {
            ("", Invitations::Optional) => Ok(None),
            ("", Invitations::Required) => Err(Notice::NoInvitation),
            (text, _) => Ok(Some(Invitation::from_link_text(text, &self.keyring, now())?)),
        }
    }
}

/// Whom the account is to be linked with; what an invitation says counts more than what was typed.
fn subject_id(entry: &Entry, invitation: Option<&Invitation>) -> Option<SubjectId> {
    match invitation {
        Some(invitation) => Some(invitation.subject_id.clone()),
        None => SubjectId::parse(&entry.sid).ok(),
    }
}

/// Whether a form was sent by a page of ours. Browsers always say so; what is no browser has no cookies to abuse.
fn is_own_form(headers: &HeaderMap, origin: &str) -> bool {
    let origin_fits = headers.get(header::ORIGIN).is_none_or(|sent| sent.as_bytes() == origin.as_bytes());
    let site_fits = headers.get(SEC_FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    origin_fits && site_fits
}

/// Begins at Garmin, and has the beginning stored.
async fn begin(
    edge: &Arc<Edge>,
    subject_id: SubjectId,
    invitation: Option<&Invitation>,
) -> Result<(Begun, Ticket), Notice> {
    let consents = &edge.consents;
    let authorizer = consents.authorizer.as_ref().ok_or(Notice::NotSetUp)?;
    let begun = authorizer.begin().await.map_err(|error| {
        tracing::warn!("no consent can begin: {}", with_causes(&error));
        Notice::Unavailable
    })?;
    let ticket = Ticket {
        consent_id: Uuid::new_v4(),
        reference: begun.reference.clone(),
        subject_id,
        invited_until: invitation.map(|invitation| invitation.expires_at),
        began_at: now(),
    };
    let started = Started {
        consent_id: ticket.consent_id,
        subject_id: ticket.subject_id.clone(),
        oauth_version: authorizer.oauth_version(),
        redirect_uri: authorizer.redirect_uri().to_owned(),
        secret: Sealed::seal(&begun.secret, ticket.consent_id, &consents.keyring),
    };
    publish_now(edge, STARTED, &started).await.map_err(|_| Notice::Unavailable)?;
    edge.metrics.consent(ConsentStep::Started);
    tracing::info!(consent_id = %ticket.consent_id, "consent {}: started", ticket.consent_id);
    Ok((begun, ticket))
}

fn leave_for_garmin(consents: &Consents, begun: &Begun, ticket: &Ticket, headers: &HeaderMap) -> Response {
    let is_secure = consents.is_secure();
    let mut cookies = forget_older(headers, is_secure);
    cookies.push(ticket.to_set_cookie(&consents.keyring, is_secure));
    let cookies = cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie));
    let location = [
        (header::LOCATION, begun.location.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (StatusCode::SEE_OTHER, location, AppendHeaders(cookies)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::tests::{consents, ticket};

    #[test]
    fn only_a_page_of_ours_may_send_the_form() {
        for (headers, is_ours) in [
            (&[][..], true),
            (&[("origin", "https://study.example")], true),
            (&[("origin", "https://study.example"), (SEC_FETCH_SITE, "same-origin")], true),
            (&[(SEC_FETCH_SITE, "none")], true),
            (&[("origin", "null")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "http://study.example")], false),
            (&[("origin", "https://study.example.evil.example")], false),
            (&[("origin", "https://study.example"), (SEC_FETCH_SITE, "cross-site")], false),
            (&[(SEC_FETCH_SITE, "same-site")], false),
        ] {
            let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_own_form(&map.collect(), "https://study.example"), is_ours, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn the_browser_leaves_for_garmin_with_a_cookie() {
        let consents = consents(&["--receiver-public-url", "https://study.example"]);
        let begun = consents.authorizer.as_ref().unwrap().begin().await.unwrap();
        let ticket = ticket(&begun.reference);
        let answer = leave_for_garmin(&consents, &begun, &ticket, &HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[header::LOCATION], begun.location.as_str());
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let sent_back = cookie.split_once(';').unwrap().0.parse().unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, sent_back)]);
        assert_eq!(Ticket::find(&headers, &begun.reference, &consents.keyring, now()), Some(ticket));
    }

    #[test]
    fn an_invitation_counts_more_than_what_was_typed() {
        let invitation = Invitation { subject_id: SubjectId::parse("P-007").unwrap(), expires_at: 0 };
        let entry = Entry { sid: "P-008".into(), invitation: String::new() };
        assert_eq!(subject_id(&entry, Some(&invitation)).unwrap().as_str(), "P-007");
        assert_eq!(subject_id(&entry, None).unwrap().as_str(), "P-008");
    }
}
