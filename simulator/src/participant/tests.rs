//! Participants who consent at a small receiver on loopback, and at the simulated Garmin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::crowd::{CrowdReport, Participant, consent_all, participants};
use super::*;
use crate::garmin::{Garmin, GarminOptions};

const USERS: [&str; 3] = ["u1", "u2", "u3"];

/// A receiver that keeps consents in memory: the first questions for an outcome are answered "pending".
#[derive(Clone)]
struct Receiver {
    url: Url,
    authorize_url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    subjects: Vec<String>,
    callbacks: Vec<BTreeMap<String, String>>,
    questions: BTreeMap<String, u32>,
}

impl Receiver {
    /// Sends participants to that page of Garmin's.
    async fn start(authorize_url: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let receiver = Self { url, authorize_url, seen: Arc::default() };
        let router = Router::new()
            .route("/oauth/garmin/consent", get(form).post(start))
            .route("/oauth/garmin/callback", get(callback))
            .route("/oauth/garmin/status/{consent_id}", get(status))
            .with_state(receiver.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        receiver
    }

    fn options(&self) -> ParticipantOptions {
        ParticipantOptions {
            poll_interval: Duration::from_millis(5),
            ..ParticipantOptions::new(&self.url).unwrap()
        }
    }
}

async fn form() -> Html<&'static str> {
    Html(
        r#"<form method="post" action="consent"><input type="hidden" name="kept" value="&quot;"><input name="sid">"#,
    )
}

/// The state is the subject id, for simplicity's sake.
async fn start(State(receiver): State<Receiver>, body: String) -> Response {
    let fields: BTreeMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(fields["kept"], "\"");
    let sid = fields["sid"].clone();
    receiver.seen.lock().unwrap().subjects.push(sid.clone());
    let redirect_uri = format!("{}oauth/garmin/callback", receiver.url);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", "simulated-consumer-key")
        .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        .append_pair("code_challenge_method", "S256")
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("state", &sid)
        .finish();
    let cookie = [("set-cookie", format!("consent={sid}; HttpOnly; SameSite=Lax; Path=/oauth/garmin"))];
    (cookie, Redirect::to(&format!("{}?{query}", receiver.authorize_url))).into_response()
}

async fn callback(
    State(receiver): State<Receiver>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let state = query["state"].clone();
    if headers.get("cookie").is_none_or(|cookie| cookie != format!("consent={state}").as_str()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    receiver.seen.lock().unwrap().callbacks.push(query);
    (StatusCode::ACCEPTED, Html(format!(r#"<main data-consent-id="{state}">"#))).into_response()
}

async fn status(State(receiver): State<Receiver>, Path(consent_id): Path<String>) -> String {
    let mut seen = receiver.seen.lock().unwrap();
    let questions = seen.questions.entry(consent_id.clone()).or_default();
    *questions += 1;
    let pending = *questions < 3;
    let callback = seen.callbacks.iter().find(|callback| callback["state"] == consent_id).unwrap();
    let status = match callback.contains_key("code") {
        _ if pending => "pending",
        true => "linked",
        false => "declined",
    };
    format!(r#"{{"status": "{status}"}}"#)
}

async fn garmin() -> Garmin {
    let user_ids = USERS.map(str::to_owned).to_vec();
    Garmin::start(GarminOptions { user_ids, ..GarminOptions::default() }).await.unwrap()
}

async fn receiver(garmin: &Garmin) -> Receiver {
    Receiver::start(garmin.url() + "/oauth2Confirm").await
}

fn everybody() -> Vec<Participant> {
    participants(USERS.map(str::to_owned))
}

#[tokio::test]
async fn participants_go_all_the_way_and_are_linked() {
    let garmin = garmin().await;
    let receiver = receiver(&garmin).await;
    let seen_last = Mutex::new(0);
    let report = consent_all(&receiver.options(), &everybody(), 2, CancellationToken::new(), |report| {
        *seen_last.lock().unwrap() = report.finished();
    })
    .await;
    assert!(report.all_linked(), "{report:?}");
    assert_eq!((report.outcomes["linked"], *seen_last.lock().unwrap()), (3, 3));
    assert!(report.latency.p50_ms > 0.0);
    let mut subjects = receiver.seen.lock().unwrap().subjects.clone();
    subjects.sort();
    assert_eq!(subjects, ["P-0001", "P-0002", "P-0003"]);
}

#[tokio::test]
async fn a_participant_may_decline_or_reload() {
    let garmin = garmin().await;
    let receiver = receiver(&garmin).await;
    let declined = begin(&receiver.options(), "P-1").await.unwrap().cancel().await.unwrap();
    assert_eq!(declined.outcome().await.unwrap(), "declined");
    let agreed = begin(&receiver.options(), "P-2").await.unwrap().agree("u2").await.unwrap();
    agreed.reload().await.unwrap();
    assert_eq!((agreed.consent_id(), agreed.outcome().await.unwrap().as_str()), ("P-2", "linked"));
    let seen = receiver.seen.lock().unwrap();
    assert_eq!(seen.callbacks[0]["error"], "access_denied");
    assert_eq!(seen.callbacks[1], seen.callbacks[2]);
}

#[tokio::test]
async fn who_cannot_go_on_says_where_and_why() {
    let garmin = garmin().await;
    let receiver = receiver(&garmin).await;
    let unknown = begin(&receiver.options(), "P-1").await.unwrap().agree("nobody").await.unwrap_err();
    assert_eq!(unknown.to_string(), "choosing on Garmin's page was answered 400 Bad Request");

    let impatient = ParticipantOptions { patience: Duration::ZERO, ..receiver.options() };
    let returned = begin(&impatient, "P-2").await.unwrap().agree("u1").await.unwrap();
    assert!(matches!(returned.outcome().await.unwrap_err(), ConsentError::StillPending(_)));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let options = ParticipantOptions::new(&closed).unwrap();
    let report = consent_all(&options, &everybody(), 1, CancellationToken::new(), |_| {}).await;
    assert!(!report.all_linked());
    assert_eq!(report.outcomes["stuck"], 3);
    assert!(report.first_problem.unwrap().starts_with("opening the consent page failed"));
}

#[tokio::test]
async fn nobody_is_sent_to_the_real_garmin() {
    let receiver = Receiver::start("https://connect.garmin.com/oauth2Confirm".to_owned()).await;
    let report =
        consent_all(&receiver.options(), &everybody()[..1], 1, CancellationToken::new(), |_| {}).await;
    let problem = report.first_problem.unwrap();
    assert!(problem.contains("the real Garmin") && !problem.contains("code_challenge"), "{problem}");
}

#[tokio::test]
async fn nobody_is_waited_for_after_the_end() {
    let garmin = garmin().await;
    let receiver = receiver(&garmin).await;
    let ended = CancellationToken::new();
    ended.cancel();
    let report = consent_all(&receiver.options(), &everybody(), 1, ended, |_| {}).await;
    assert_eq!((report.finished(), report.all_linked()), (0, false));
    assert_eq!(
        CrowdReport { seconds: 0.0, ..report },
        CrowdReport { participants: 3, ..CrowdReport::default() }
    );
}
