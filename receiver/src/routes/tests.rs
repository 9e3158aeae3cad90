//! The public surface without a broker: everything that is refused, and that the rest gets as far as it can.

use super::*;
use crate::config::test_config;
use apollo_shared::admin::Readiness;
use apollo_shared::metrics::Families;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use futures_util::stream;
use std::time::Duration;
use tower::ServiceExt as _;

/// `{"dailies":[]}`, compressed.
const GZIPPED: &[u8] = b"\
    \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x49\xcc\xcc\xc9\x4c\x2d\x56\xb2\x8a\
    \x8e\xad\x05\x00\x81\x60\x26\x74\x0e\x00\x00\x00";

/// The same with 4,000 spaces in the list.
const BOMB: &[u8] = b"\
    \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\xb1\x0d\x00\x10\x10\x00\xc0\x55\xc4\x18\
    \x56\x11\x85\x84\xe2\x13\x9d\x52\xec\x6e\x0c\xcd\xdd\x9d\x3c\x7a\xac\x98\x3b\x97\x9a\x00\
    \x00\x00\x80\xef\xda\x7d\xb7\x75\xb1\xef\xae\x0f\x00\x00";

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.body);
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        document["type"].as_str().unwrap().trim_start_matches("urn:apollo:problem:").to_owned()
    }
}

pub(crate) fn edge(arguments: &[&str]) -> Arc<Edge> {
    let readiness = Readiness::default();
    let mut families = Families::new("0", &readiness).unwrap();
    let (edge, _background) = crate::app::edge(&test_config(arguments), &mut families, readiness).unwrap();
    Arc::new(edge)
}

pub(crate) async fn send(edge: &Arc<Edge>, request: Request<Body>) -> Answer {
    let response = router(edge.clone()).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 100_000).await.unwrap();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.into()).unwrap() }
}

pub(crate) async fn get(edge: &Arc<Edge>, path: &str) -> Answer {
    send(edge, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post(edge: &Arc<Edge>, path: &str, body: impl Into<Body>) -> Answer {
    send(edge, Request::post(path).body(body.into()).unwrap()).await
}

async fn post_with(edge: &Arc<Edge>, name: &str, value: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/api_client/garmin/dailies").header(name, value);
    send(edge, request.body(body.into()).unwrap()).await
}

fn count(edge: &Edge, endpoint: &str, status: &str) -> u64 {
    edge.metrics.notifications.with_label_values(&[endpoint, status]).get()
}

const PUSHES: [&str; 6] = [
    "/api_client/garmin",
    "/api_client/garmin/dailies",
    "/api_client/garmin/respiration",
    "/api_client/garmin/PULSEOX",
    "/oauth/garmin/deregistration",
    "/oauth/garmin/permissions",
];

#[tokio::test]
async fn pages_are_served() {
    let edge = edge(&[]);
    let front = get(&edge, "/").await;
    assert_eq!(
        (front.status, &front.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(front.body.contains("href=\"/oauth/garmin/consent\""), "{}", front.body);
    let health = get(&edge, "/healthcheck").await;
    let health: serde_json::Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(!health["host"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_notification_is_not_accepted_while_there_is_neither_broker_nor_spool() {
    let edge = edge(&[]);
    for path in PUSHES {
        let answer = post(&edge, path, r#"{"dailies":[{}]}"#).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not-durable"),
            "{path}"
        );
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    assert_eq!(count(&edge, "any", "503"), 1);
    assert_eq!(count(&edge, "dailies", "503"), 1);
    assert_eq!(count(&edge, "allDayRespiration", "503"), 1);
    assert_eq!(edge.metrics.in_flight.get(), 0);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told() {
    let edge = edge(&[]);
    for path in ["/nothing", "/api_client/garmin/heartrates", "/api_client/garmin/dailies/", "/metrics"] {
        let answer = post(&edge, path, r#"{"dailies":[]}"#).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
    assert_eq!(count(&edge, "unknown", "404"), 1, "of the endpoints, only one was unknown");
    for path in PUSHES {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer =
                send(&edge, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.problem(), "method-not-allowed");
            assert_eq!(answer.headers[header::ALLOW], "POST");
        }
    }
    let answer = post(&edge, "/healthcheck", "").await;
    assert_eq!(
        (answer.status, &answer.headers[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET,HEAD".parse().unwrap())
    );
}

#[tokio::test]
async fn without_the_secret_segment_the_paths_do_not_exist() {
    let edge = edge(&["--receiver-push-token", "old-old-old-old-old,new-new-new-new-new"]);
    let unknown = post(&edge, "/nothing", r#"{"dailies":[]}"#).await;
    for path in PUSHES {
        for token in
            ["", "/old-old-old-old-olD", "/old-old-old-old-old,new-new-new-new-new", "/oauth", "/%20"]
        {
            let answer = post(&edge, &format!("{token}{path}"), r#"{"dailies":[]}"#).await;
            assert_eq!(
                (answer.status, &answer.body),
                (StatusCode::NOT_FOUND, &unknown.body),
                "{token}{path}"
            );
            assert_eq!(answer.headers, unknown.headers);
        }
        for token in ["/old-old-old-old-old", "/new-new-new-new-new"] {
            let answer = post(&edge, &format!("{token}{path}"), r#"{"dailies":[]}"#).await;
            assert_eq!(answer.problem(), "not-durable", "{path}");
            assert!(!answer.body.contains("-old") && !answer.body.contains("-new"));
        }
    }
    assert_eq!(get(&edge, "/healthcheck").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_client_id_is_not_known_here() {
    let edge = edge(&["--receiver-require-client-id", "our-client"]);
    for (id, problem) in [("our-client", "not-durable"), ("our-clien", "not-found"), ("", "not-found")] {
        assert_eq!(
            post_with(&edge, "garmin-client-id", id, r#"{"dailies":[]}"#).await.problem(),
            problem,
            "{id}"
        );
    }
    assert_eq!(post(&edge, "/api_client/garmin", r#"{"dailies":[]}"#).await.problem(), "not-found");
}

#[tokio::test]
async fn what_is_no_notification_is_refused() {
    let edge = edge(&[]);
    for (body, problem) in [
        ("", "cut-short"),
        (r#"{"dailies":[{"userId":"#, "cut-short"),
        ("hello", "not-json"),
        ("[]", "not-an-object"),
        ("{}", "no-list"),
        (r#"{"dailies":{"userId":"secret"}}"#, "no-list"),
    ] {
        let answer = post(&edge, "/api_client/garmin/dailies", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, problem), "{body}");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
    assert_eq!(count(&edge, "dailies", "400"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_without_being_kept() {
    let edge = edge(&["--receiver-max-body-bytes", "1000"]);
    let stalled = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = post_with(&edge, "content-length", "1001", stalled).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
    assert!(answer.body.contains("1000 bytes"));
    let beyond = post_with(&edge, "content-length", "99999999999999999999999", Body::empty()).await;
    assert_eq!(beyond.status, StatusCode::PAYLOAD_TOO_LARGE);

    let endless = Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 300])));
    assert_eq!(post(&edge, "/api_client/garmin", endless).await.problem(), "too-large");

    let largest = format!(r#"{{"dailies":[{}]}}"#, " ".repeat(986));
    assert_eq!(largest.len(), 1000);
    assert_eq!(post(&edge, "/api_client/garmin", largest.clone()).await.problem(), "not-durable");
    let chunked = Body::from_stream(stream::iter(
        largest
            .into_bytes()
            .chunks(7)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect::<Vec<_>>(),
    ));
    assert_eq!(post(&edge, "/api_client/garmin", chunked).await.problem(), "not-durable");
    assert_eq!(edge.metrics.in_flight.get(), 0);
}

#[tokio::test]
async fn a_body_that_ends_early_is_refused() {
    let edge = edge(&[]);
    let pieces = [Ok(br#"{"dailies":[]}"#.to_vec()), Err(std::io::Error::other("reset"))];
    let answer = post(&edge, "/api_client/garmin", Body::from_stream(stream::iter(pieces))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "body-incomplete"));
    let short = post_with(&edge, "content-length", "15", r#"{"dailies":[]}"#).await;
    assert_eq!(short.problem(), "body-incomplete");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let edge = edge(&[]);
    let stalled = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = post(&edge, "/api_client/garmin", stalled).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::REQUEST_TIMEOUT, "body-timed-out"));
    assert_eq!(edge.metrics.in_flight.get(), 0);
    let form = Request::post("/oauth/garmin/consent")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let stalled = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = send(&edge, form.body(stalled).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::REQUEST_TIMEOUT, "body-timed-out"));
}

#[tokio::test(start_paused = true)]
async fn no_body_is_read_while_there_is_no_room_for_it() {
    let edge = edge(&["--receiver-max-body-bytes", "1000", "--receiver-max-in-flight-bytes", "2000"]);
    let stalled = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request =
        Request::post("/api_client/garmin").header(header::CONTENT_LENGTH, 1000).body(stalled).unwrap();
    let first = tokio::spawn(router(edge.clone()).oneshot(request));
    while edge.metrics.in_flight.get() == 0 {
        tokio::task::yield_now().await;
    }

    let answer = post_with(&edge, "content-length", "14", r#"{"dailies":[]}"#).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));

    first.abort();
    while edge.metrics.in_flight.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(post_with(&edge, "content-length", "14", r#"{"dailies":[]}"#).await.problem(), "not-durable");
}

#[tokio::test]
async fn gzip_is_inflated_within_the_limit() {
    let edge = edge(&["--receiver-max-body-bytes", "1000"]);
    assert_eq!(post_with(&edge, "content-encoding", "gzip", GZIPPED).await.problem(), "not-durable");
    assert_eq!(post_with(&edge, "content-encoding", "gzip", BOMB).await.problem(), "too-large");
    let members = [GZIPPED, GZIPPED].concat();
    assert_eq!(post_with(&edge, "content-encoding", "gzip", members).await.problem(), "not-json");
    let followed = [GZIPPED, b"more"].concat();
    assert_eq!(post_with(&edge, "content-encoding", "gzip", followed).await.problem(), "body-incomplete");
    let cut = post_with(&edge, "content-encoding", "gzip", &GZIPPED[..20]).await;
    assert_eq!(cut.problem(), "body-incomplete");
    let not_gzip = post_with(&edge, "content-encoding", "gzip", r#"{"dailies":[]}"#).await;
    assert_eq!(not_gzip.problem(), "body-incomplete");
    assert_eq!(
        post_with(&edge, "content-encoding", "identity", r#"{"dailies":[]}"#).await.problem(),
        "not-durable"
    );
    for encoding in ["br", "deflate", "gzip, gzip", "GZIP!"] {
        let answer = post_with(&edge, "content-encoding", encoding, r#"{"dailies":[]}"#).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding")
        );
        assert_eq!(answer.headers[header::ACCEPT_ENCODING], "gzip");
    }
}
