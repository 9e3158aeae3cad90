//! The pages as a browser gets them, without a broker: everything up to what would be published.

use super::cookie::Ticket;
use super::site::{SCRIPT, STYLE};
use super::{Consents, now, page};
use crate::app::Edge;
use crate::config::test_config;
use crate::metrics::ConsentStep;
use crate::routes::tests::{Answer, get, send};
use apollo_shared::consent::{Invitation, Outcome, Status, SubjectId};
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use uuid::Uuid;

const CONSENT: &str = "/oauth/garmin/consent";
const CONSUMER: [&str; 4] = ["--garmin-consumer-key", "our-key", "--garmin-consumer-secret", "our-secret"];

fn with_consumer<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&CONSUMER[..], arguments].concat()
}

/// Garmin's settings with a consumer, and these.
pub(super) fn garmin_config(arguments: &[&str]) -> GarminConfig {
    test_config(&with_consumer(arguments)).garmin
}

/// What the handlers share, with a consumer and these settings.
pub(super) fn consents(arguments: &[&str]) -> Consents {
    Consents::new(&test_config(&with_consumer(arguments)), Arc::default()).unwrap()
}

/// A consent that has begun just now.
pub(super) fn ticket(reference: &str) -> Ticket {
    Ticket {
        consent_id: Uuid::new_v4(),
        reference: reference.into(),
        subject_id: SubjectId::parse("P-007").unwrap(),
        invited_until: None,
        began_at: now(),
    }
}

/// A receiver with a consumer, without a broker.
fn edge(arguments: &[&str]) -> Arc<Edge> {
    crate::routes::tests::edge(&with_consumer(arguments))
}

fn invitation(edge: &Edge, expires_in: i64) -> String {
    let subject_id = SubjectId::parse("P-007").unwrap();
    Invitation { subject_id, expires_at: now() + expires_in }.to_link_text(&edge.consents.keyring)
}

async fn post(edge: &Arc<Edge>, headers: &[(&str, &str)], form: &str) -> Answer {
    let mut request =
        Request::post(CONSENT).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(edge, request.body(Body::from(form.to_owned())).unwrap()).await
}

/// The way back of the browser that began `ticket`.
async fn come_back(edge: &Arc<Edge>, ticket: &Ticket, query: &str) -> Answer {
    let cookie = ticket.to_set_cookie(&edge.consents.keyring, false);
    let cookie = cookie.split_once(';').unwrap().0;
    let request = Request::get(format!("/oauth/garmin/callback?{query}")).header(header::COOKIE, cookie);
    send(edge, request.body(Body::empty()).unwrap()).await
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).and_then(|(_, rest)| rest.split_once(end)).unwrap_or_else(|| panic!("{text}")).0
}

fn heading(answer: &Answer) -> &str {
    between(&answer.body, "<h1>", "</h1>")
}

/// The attributes of the field for the subject id.
fn field(answer: &Answer) -> &str {
    between(&answer.body, "<input id=\"sid\"", ">")
}

fn count(edge: &Edge, step: ConsentStep) -> u64 {
    edge.metrics.consents.with_label_values(&[step.name()]).get()
}

#[tokio::test]
async fn the_form_says_who_asks_for_what() {
    let edge = edge(&[
        "--receiver-study-name",
        "the <Sleep> Study",
        "--receiver-study-contact",
        "sleep@study.example",
    ]);
    let form = get(&edge, CONSENT).await;
    assert_eq!(form.status, StatusCode::OK);
    assert_eq!(
        between(&form.body, "<title>", "</title>"),
        "Link your Garmin account – the &lt;Sleep&gt; Study"
    );
    for part in [
        "<html lang=\"en\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<strong>the &lt;Sleep&gt; Study</strong>",
        "<a href=\"mailto:sleep@study.example\">sleep@study.example</a>",
        "heart rate",
        "How to withdraw",
        "<label for=\"sid\">",
        "<form method=\"post\" action=\"/oauth/garmin/consent\">",
    ] {
        assert!(form.body.contains(part), "{part} is not in {}", form.body);
    }
    assert!(field(&form).contains("value=\"\"") && !field(&form).contains("readonly"), "{}", field(&form));
    assert!(!form.body.contains("name=\"invitation\""));
}

#[tokio::test]
async fn a_link_fills_the_form_in_and_cannot_do_more() {
    let edge = edge(&[]);
    let form = get(&edge, &format!("{CONSENT}?sid=P-007")).await;
    assert!(field(&form).contains("value=\"P-007\""), "{}", field(&form));
    let attack = get(&edge, &format!("{CONSENT}?sid=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).await;
    assert!(!attack.body.contains("<script"), "{}", attack.body);
    assert!(attack.body.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\""));
    for odd in ["?sid=a&sid=b", "?sid=%ff%00", "?%", "?other=1"] {
        assert_eq!(get(&edge, &format!("{CONSENT}{odd}")).await.status, StatusCode::OK, "{odd}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_subject_id_comes_back_with_the_form() {
    let edge = edge(&[]);
    let long = "%3Cb%3E".repeat(34);
    for (form, kept) in
        [("", ""), ("sid=", ""), ("sid=+%0A+", " \n "), (&*format!("sid={long}"), "&lt;b&gt;")]
    {
        let answer = post(&edge, &[], form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(between(&answer.body, "<title>", "</title>").starts_with("Error: "));
        assert!(answer.body.contains("<p class=\"error\" id=\"sid-error\">"), "{}", answer.body);
        let field = field(&answer);
        assert!(
            field.contains("aria-invalid=\"true\"")
                && field.contains("aria-describedby=\"sid-error sid-hint\"")
        );
        assert!(field.contains(&format!("value=\"{kept}")), "{field}");
    }
}

#[tokio::test]
async fn a_form_that_is_none_is_answered_with_a_page() {
    let edge = edge(&[]);
    let long = format!("sid={}", "x".repeat(super::LONGEST_FORM));
    for answer in [
        post(&edge, &[], &long).await,
        post(&edge, &[], "sid=a&sid=b").await,
        send(&edge, Request::post(CONSENT).body(Body::from("sid=P-007")).unwrap()).await,
    ] {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(heading(&answer), "The form could not be read");
    }
    let put = send(&edge, Request::put(CONSENT).body(Body::empty()).unwrap()).await;
    assert_eq!((put.status, put.problem().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"));
}

#[tokio::test]
async fn a_form_of_another_site_is_not_followed() {
    let edge = edge(&["--receiver-public-url", "https://study.example"]);
    for headers in [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
    ] {
        let answer = post(&edge, &headers, "sid=P-007").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(answer.body.contains("href=\"https://study.example/oauth/garmin/consent?sid=P-007\""));
    }
    assert_eq!(count(&edge, ConsentStep::Refused), 4);
    let own = [("origin", "https://study.example"), ("sec-fetch-site", "same-origin")];
    assert_eq!(heading(&post(&edge, &own, "sid=P-007").await), "It does not work for now", "no broker");
}

#[tokio::test]
async fn nobody_leaves_for_garmin_before_the_beginning_is_stored() {
    let edge = edge(&[]);
    let answer = post(&edge, &[], "sid=+P+7%2F8+").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert!(answer.body.contains("href=\"/oauth/garmin/consent?sid=+P+7%2F8+\""), "{}", answer.body);
    assert_eq!((count(&edge, ConsentStep::Failed), count(&edge, ConsentStep::Started)), (1, 0));
}

#[tokio::test]
async fn without_a_consumer_the_pages_say_so() {
    let edge = crate::routes::tests::edge(&[]);
    for answer in [get(&edge, CONSENT).await, post(&edge, &[], "sid=P-007").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(heading(&answer), "Accounts cannot be linked yet");
    }
    assert_eq!(get(&edge, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invitation_fixes_the_subject_id() {
    for required in ["optional", "required"] {
        let edge = edge(&["--receiver-invitations", required]);
        let text = invitation(&edge, 60);
        let form = get(&edge, &format!("{CONSENT}?sid=P-008&invitation={text}")).await;
        assert_eq!(form.status, StatusCode::OK);
        assert!(field(&form).contains("value=\"P-007\"") && field(&form).contains(" readonly"));
        assert!(form.body.contains(&format!("<input type=\"hidden\" name=\"invitation\" value=\"{text}\">")));

        let sent = post(&edge, &[], &format!("sid=P-008&invitation={text}")).await;
        assert_eq!(sent.status, StatusCode::SERVICE_UNAVAILABLE, "there is no broker");
        assert!(sent.body.contains(&format!("href=\"/oauth/garmin/consent?invitation={text}\"")));
    }
}

#[tokio::test]
async fn an_invitation_that_is_given_has_to_be_good() {
    let forger = Keyring::new(&SecretsConfig { keys: Keyring::generate("test").into() }).unwrap();
    let subject_id = SubjectId::parse("P-007").unwrap();
    let forged = Invitation { subject_id, expires_at: now() + 60 }.to_link_text(&forger);
    for required in ["optional", "required"] {
        let edge = edge(&["--receiver-invitations", required]);
        let expired = invitation(&edge, 0);
        for (text, says) in [
            ("x", "This invitation is not valid"),
            (&*forged, "This invitation is not valid"),
            (&*expired, "This invitation has expired"),
        ] {
            let fields = format!("sid=P-007&invitation={text}");
            for answer in [get(&edge, &format!("{CONSENT}?{fields}")).await, post(&edge, &[], &fields).await]
            {
                assert_eq!((answer.status, heading(&answer)), (StatusCode::FORBIDDEN, says));
                assert!(!answer.body.contains("<form"));
            }
        }
    }
}

#[tokio::test]
async fn where_invitations_are_required_nobody_comes_without() {
    let edge = edge(&["--receiver-invitations", "required"]);
    for fields in ["", "sid=P-007", "sid=P-007&invitation="] {
        for answer in [get(&edge, &format!("{CONSENT}?{fields}")).await, post(&edge, &[], fields).await] {
            assert_eq!((answer.status, heading(&answer)), (StatusCode::FORBIDDEN, "You need an invitation"));
            assert!(!answer.body.contains("<form"));
        }
    }
}

#[tokio::test]
async fn a_callback_counts_only_in_the_browser_that_began() {
    let edge = edge(&[]);
    let ticket = ticket("state-1");
    for answer in [
        get(&edge, "/oauth/garmin/callback?code=abc&state=state-1").await,
        come_back(&edge, &ticket, "code=abc&state=state-2").await,
        come_back(&edge, &ticket, "code=abc").await,
        come_back(&edge, &ticket, "code=abc&state=state-1&state=state-1").await,
        come_back(&edge, &ticket, "").await,
    ] {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(heading(&answer), "Please finish in the browser in which you began");
        assert!(answer.body.contains("href=\"/oauth/garmin/consent\""));
    }
    assert_eq!(count(&edge, ConsentStep::Refused), 5);
}

#[tokio::test]
async fn a_callback_that_cannot_be_stored_is_tried_again() {
    let edge = edge(&[]);
    let ticket = ticket("state-1");
    for query in ["code=hush&state=state-1", "error=access_denied&state=state-1", "oauth_token=state-1"] {
        let answer = come_back(&edge, &ticket, query).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{query}");
        assert_eq!(heading(&answer), "Please reload this page in a moment");
        assert!(answer.body.contains("<meta http-equiv=\"refresh\" content=\"5\">"));
        assert!(!answer.body.contains("hush"));
    }
    assert_eq!((count(&edge, ConsentStep::Failed), count(&edge, ConsentStep::Callback)), (3, 0));
}

#[tokio::test]
async fn an_outcome_that_is_known_is_shown_at_once() {
    for (status, says, again) in [
        (Status::Linked, "Your account is linked", false),
        (Status::SubjectTaken, "This subject id is linked already", true),
        (Status::AccountTaken, "This Garmin account is linked already", true),
        (Status::Declined, "You did not agree", true),
        (Status::Failed, "It did not work this time", true),
    ] {
        let edge = edge(&["--receiver-study-name", "the Study"]);
        let ticket = ticket("token-1");
        edge.consents.outcomes.keep(Outcome { consent_id: ticket.consent_id, status });
        let answer = come_back(&edge, &ticket, "oauth_token=token-1&oauth_verifier=v").await;
        assert_eq!((answer.status, heading(&answer)), (StatusCode::OK, says));
        assert_eq!(between(&answer.body, "<title>", "</title>"), format!("{says} – the Study"));
        let offers = answer.body.contains("href=\"/oauth/garmin/consent?sid=P-007\"");
        assert_eq!(offers, again, "{}", answer.body);
        assert!(!answer.body.contains("<script") && !answer.body.contains("data-consent-id"));
    }
}

#[tokio::test]
async fn the_outcome_can_be_asked_for() {
    let edge = edge(&[]);
    let consent_id = Uuid::new_v4();
    let path = format!("/oauth/garmin/status/{consent_id}");
    let answer = get(&edge, &path).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, r#"{"status":"pending"}"#));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    edge.consents.outcomes.keep(Outcome { consent_id, status: Status::SubjectTaken });
    assert_eq!(get(&edge, &path).await.body, r#"{"status":"subject_taken"}"#);
    for malformed in ["x", "%20", "00000000-0000-0000-0000-00000000000g"] {
        let answer = get(&edge, &format!("/oauth/garmin/status/{malformed}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    }
}

/// A page as text, and its policy.
async fn waiting() -> (Uuid, HeaderMap, String) {
    let consents = consents(&["--receiver-study-name", "the Study"]);
    let ticket = ticket("state-1");
    let entry = ticket.entry(&consents.keyring);
    let response = consents.site.answer(page::waiting(&consents.site, ticket.consent_id, &entry));
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 100_000).await.unwrap();
    (ticket.consent_id, head.headers, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn a_waiting_page_holds_the_words_for_every_outcome() {
    let (consent_id, _, body) = waiting().await;
    assert!(body.contains(&format!("<main data-consent-id=\"{consent_id}\">")), "{body}");
    let region = between(&body, "<div role=\"status\" aria-live=\"polite\">", "</div>");
    assert_eq!(between(region, "<h1>", "</h1>"), "Linking your account");
    for name in ["linked", "subject_taken", "account_taken", "declined", "failed", "late"] {
        let start = format!("<template id=\"words-{name}\" data-title=\"");
        let template = between(&body, &start, "</template>");
        let (title, words) = template.split_once("\">").unwrap();
        assert_eq!(title, format!("{} – the Study", between(words, "<h1>", "</h1>")));
    }
    assert!(body.contains("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>"));
}

#[tokio::test]
async fn every_page_comes_with_the_strictest_headers_that_it_can() {
    let edge = edge(&[]);
    let mut pages = vec![];
    for path in ["/", CONSENT, "/oauth/garmin/consent?invitation=x", "/oauth/garmin/callback"] {
        let answer = get(&edge, path).await;
        pages.push((path, answer.headers, answer.body));
    }
    let (_, headers, body) = waiting().await;
    pages.push(("waiting", headers, body));
    for (path, headers, body) in pages {
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        for part in [
            "default-src 'none';",
            &format!("style-src {};", digest(between(&body, "<style>", "</style>"))),
            &format!("script-src {};", digest(SCRIPT)),
            "connect-src 'self';",
            "form-action 'self' https://connect.garmin.com https://*.garmin.com;",
            "base-uri 'none';",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {part} is not in {policy}");
        }
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "text/html; charset=utf-8"),
            ("cross-origin-opener-policy", "same-origin"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        assert!(headers.contains_key("permissions-policy"));
        let rest = body.replace(STYLE, "").replace(SCRIPT, "");
        for outside in [" src=", "href=\"http", "href=\"//", " style=", " onclick="] {
            assert!(!rest.contains(outside), "{path}: {outside} in {rest}");
        }
        assert_eq!(body.matches("<script").count(), usize::from(path == "waiting"));
    }
    let script = waiting().await.2;
    assert_eq!(between(&script, "<script>", "</script>"), SCRIPT);
}
