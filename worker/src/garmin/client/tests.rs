//! The client against a Garmin that answers what the test says.

use super::*;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use clap::Parser;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    garmin: GarminConfig,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
struct Arrived {
    method: Method,
    path: String,
    authorization: String,
    form: HashMap<String, String>,
}

/// Gives every request the same answer.
struct Garmin {
    client: GarminClient,
    metrics: Arc<Metrics>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    server: JoinHandle<()>,
}

impl Drop for Garmin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Garmin {
    async fn answering(status: u16, body: &'static str) -> Self {
        Self::with_header(status, body, None).await
    }

    async fn with_header(
        status: u16,
        body: &'static str,
        header: Option<(&'static str, &'static str)>,
    ) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrived);
        let router =
            Router::new().fallback(async move |method: Method, uri: Uri, headers: HeaderMap, sent: Bytes| {
                let authorization =
                    headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
                seen.lock().unwrap().push(Arrived {
                    method,
                    path: uri.to_string(),
                    authorization: authorization.unwrap_or_default(),
                    form: form_urlencoded::parse(&sent).into_owned().collect(),
                });
                let answer = Response::builder().status(status);
                let answer = match header {
                    Some((name, value)) => answer.header(name, value),
                    None => answer,
                };
                answer.body(Body::from(body)).unwrap()
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let metrics = Arc::new(Metrics::new().unwrap());
        let client = client(&url, Arc::clone(&metrics));
        Self { client, metrics, arrived, server }
    }

    /// The only request that has come.
    fn arrived(&self) -> Arrived {
        let arrived = self.arrived.lock().unwrap();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        arrived[0].clone()
    }

    fn counted(&self) -> String {
        let families = self.metrics.registry.gather();
        let family = families.iter().find(|family| family.name() == "apollo_garmin_requests_total").unwrap();
        let counted = family.get_metric().iter().find(|metric| metric.get_counter().get_value() > 0.0);
        let labels = counted.unwrap().get_label();
        labels.iter().map(|label| label.value()).collect::<Vec<_>>().join(" ")
    }
}

fn client(url: &str, metrics: Arc<Metrics>) -> GarminClient {
    let arguments = Arguments::parse_from([
        "test",
        "--garmin-consumer-key=key",
        "--garmin-consumer-secret=consumer-secret",
        &format!("--garmin-access-token-url={url}/oauth/access_token"),
        &format!("--garmin-oauth2-token-url={url}/oauth/token"),
        &format!("--garmin-token-exchange-url={url}/user/token-exchange"),
        &format!("--garmin-api-url={url}/rest/"),
    ]);
    GarminClient::new(&arguments.garmin, metrics).unwrap().unwrap()
}

fn oauth1() -> Oauth1Token {
    Oauth1Token { token: "token-1".into(), secret: "secret-1".into() }
}

fn bearer() -> UserToken {
    UserToken::Oauth2 { access_token: "bearer-1".into() }
}

const TOKENS: &str = r#"{"access_token":"a","token_type":"bearer","expires_in":86400,"refresh_token":"r",
    "refresh_token_expires_in":7775998,"scope":"PARTNER_READ","jti":"j"}"#;

#[tokio::test]
async fn a_code_is_given_for_tokens() {
    let garmin = Garmin::answering(200, TOKENS).await;
    let tokens = garmin.client.exchange_code("the code", "verifier", "https://a.example/back").await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "a");
    assert_eq!(tokens.refresh_token.expose_secret(), "r");
    assert_eq!(tokens.expires_in, Duration::from_secs(86400));
    assert_eq!(tokens.refresh_expires_in, Some(Duration::from_secs(7_775_998)));
    assert_eq!(tokens.scope.as_deref(), Some("PARTNER_READ"));
    let arrived = garmin.arrived();
    assert_eq!((arrived.method, arrived.path.as_str()), (Method::POST, "/oauth/token"));
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("client_id", "key"),
        ("client_secret", "consumer-secret"),
        ("code", "the code"),
        ("code_verifier", "verifier"),
        ("redirect_uri", "https://a.example/back"),
    ] {
        assert_eq!(arrived.form[name], value);
    }
    assert_eq!(garmin.counted(), "authorization_code 200");
}

#[tokio::test]
async fn tokens_are_refreshed_and_the_old_refresh_token_is_kept_where_no_new_one_comes() {
    let garmin = Garmin::answering(200, TOKENS).await;
    assert_eq!(garmin.client.refresh("old").await.unwrap().refresh_token.expose_secret(), "r");
    let form = garmin.arrived().form;
    assert_eq!((form["grant_type"].as_str(), form["refresh_token"].as_str()), ("refresh_token", "old"));
    let garmin = Garmin::answering(200, r#"{"access_token":"a","expires_in":18446744073709551615}"#).await;
    let tokens = garmin.client.refresh("old").await.unwrap();
    assert_eq!(tokens.refresh_token.expose_secret(), "old");
    assert_eq!(tokens.expires_in, LONGEST_LIFE);
}

#[tokio::test]
async fn a_request_token_is_given_for_an_access_token() {
    let garmin = Garmin::answering(200, "oauth_token=t%2B1&oauth_token_secret=s%201").await;
    let token = garmin.client.exchange_request_token(&oauth1(), "verifier").await.unwrap();
    assert_eq!((token.token.expose_secret(), token.secret.expose_secret()), ("t+1", "s 1"));
    let arrived = garmin.arrived();
    assert_eq!((arrived.method, arrived.path.as_str()), (Method::POST, "/oauth/access_token"));
    for part in ["oauth_consumer_key=\"key\"", "oauth_token=\"token-1\"", "oauth_verifier=\"verifier\""] {
        assert!(arrived.authorization.contains(part), "{}", arrived.authorization);
    }
}

#[tokio::test]
async fn an_oauth_1_token_is_given_for_oauth_2_tokens() {
    let garmin = Garmin::answering(200, TOKENS).await;
    let tokens = garmin.client.exchange_oauth1_token(&oauth1()).await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "a");
    let arrived = garmin.arrived();
    assert_eq!((arrived.method, arrived.path.as_str()), (Method::POST, "/user/token-exchange"));
    assert!(arrived.authorization.starts_with("OAuth ") && arrived.form.is_empty());
}

#[tokio::test]
async fn a_user_is_asked_about_with_either_token() {
    let garmin = Garmin::answering(200, r#"{"userId":"8f3d"}"#).await;
    assert_eq!(garmin.client.user_id(&bearer()).await.unwrap(), "8f3d");
    let arrived = garmin.arrived();
    assert_eq!((arrived.method, arrived.path.as_str()), (Method::GET, "/rest/user/id"));
    assert_eq!(arrived.authorization, "Bearer bearer-1");

    let garmin = Garmin::answering(200, r#"["HEALTH_EXPORT"]"#).await;
    let permissions = garmin.client.permissions(&UserToken::Oauth1(oauth1())).await.unwrap();
    assert_eq!(permissions, ["HEALTH_EXPORT"]);
    let arrived = garmin.arrived();
    assert_eq!(arrived.path, "/rest/user/permissions");
    assert!(arrived.authorization.contains("oauth_token=\"token-1\""));

    for status in [204, 200] {
        let garmin = Garmin::answering(status, "").await;
        garmin.client.delete_registration(&bearer()).await.unwrap();
        let arrived = garmin.arrived();
        assert_eq!((arrived.method, arrived.path.as_str()), (Method::DELETE, "/rest/user/registration"));
        assert_eq!(garmin.counted(), format!("delete_registration {status}"));
    }
}

/// The start of the `Debug` of an error: its variant.
fn kind<T: std::fmt::Debug>(result: Result<T, GarminError>) -> String {
    let error = result.unwrap_err();
    for secret in ["consumer-secret", "secret-1", "token-1", "bearer-1", "the code", "hush"] {
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    format!("{error:?}").split_once(' ').unwrap().0.to_owned()
}

#[tokio::test]
async fn the_token_endpoint_ends_a_token_only_with_invalid_grant() {
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_grant","error_description":"hush"}"#, "Rejected"),
        (401, r#"{"error":"invalid_grant"}"#, "Rejected"),
        (401, r#"{"error":"invalid_client"}"#, "Misconfigured"),
        (400, r#"{"error":"unauthorized_client"}"#, "Misconfigured"),
        (400, r#"{"error":"invalid_request"}"#, "Unavailable"),
        (400, "<html>hush</html>", "Unavailable"),
        (401, "", "Unavailable"),
        (403, "", "Unavailable"),
        (408, r#"{"error":"invalid_grant"}"#, "Unavailable"),
        (429, r#"{"error":"invalid_grant"}"#, "Unavailable"),
        (500, r#"{"error":"invalid_grant"}"#, "Unavailable"),
        (302, "", "Unavailable"),
        (200, "hush", "Unavailable"),
        (200, r#"{"access_token":"","expires_in":1,"refresh_token":"r"}"#, "Unavailable"),
        (200, r#"{"error":"invalid_grant"}"#, "Unavailable"),
    ] {
        let garmin = Garmin::answering(status, body).await;
        assert_eq!(kind(garmin.client.refresh("hush").await), expected, "{status} {body}");
        assert_eq!(
            kind(garmin.client.exchange_code("the code", "v", "r").await),
            expected,
            "{status} {body}"
        );
    }
    let garmin = Garmin::answering(200, r#"{"access_token":"a","expires_in":1}"#).await;
    assert_eq!(kind(garmin.client.exchange_code("the code", "v", "r").await), "Unavailable");
}

#[tokio::test]
async fn a_request_token_is_given_up_only_for_a_definite_problem() {
    for (status, body, expected) in [
        (400, "oauth_problem=token_used", "Rejected"),
        (401, "oauth_problem=verifier_invalid&oauth_problem_advice=hush", "Rejected"),
        (401, "oauth_problem=signature_invalid", "Misconfigured"),
        (401, "oauth_problem=consumer_key_unknown", "Misconfigured"),
        (401, "oauth_problem=timestamp_refused", "Misconfigured"),
        (401, "oauth_problem=nonce_used", "Unavailable"),
        (503, "oauth_problem=token_used", "Unavailable"),
        (401, "", "Unavailable"),
        (200, "oauth_token=hush", "Unavailable"),
        (200, "{}", "Unavailable"),
    ] {
        let garmin = Garmin::answering(status, body).await;
        let refused = garmin.client.exchange_request_token(&oauth1(), "hush").await;
        assert_eq!(kind(refused), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_users_token_has_ended_only_if_it_is_what_is_refused() {
    for (status, body, expected) in [
        (401, "Token is not active", "Refused"),
        (403, "", "Refused"),
        (401, "oauth_problem=token_revoked", "Refused"),
        (401, "oauth_problem=signature_invalid", "Misconfigured"),
        (401, "oauth_problem=timestamp_refused", "Misconfigured"),
        (401, "oauth_problem=nonce_used", "Unavailable"),
        (400, "", "Unavailable"),
        (404, "", "Unavailable"),
        (429, "", "Unavailable"),
        (500, "oauth_problem=token_revoked", "Unavailable"),
        (200, "hush", "Unavailable"),
        (200, r#"{"userId":""}"#, "Unavailable"),
        (200, r#"{"userId":"a\u0000b"}"#, "Unavailable"),
    ] {
        let garmin = Garmin::answering(status, body).await;
        assert_eq!(
            kind(garmin.client.user_id(&UserToken::Oauth1(oauth1())).await),
            expected,
            "{status} {body}"
        );
        if status != 200 {
            assert_eq!(kind(garmin.client.delete_registration(&bearer()).await), expected, "{status} {body}");
            assert_eq!(
                kind(garmin.client.exchange_oauth1_token(&oauth1()).await),
                expected,
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_problem_in_the_header_counts_too() {
    let challenge = r#"OAuth realm="Garmin", oauth_problem="consumer_key_refused""#;
    let garmin = Garmin::with_header(401, "", Some(("www-authenticate", challenge))).await;
    let error = garmin.client.user_id(&UserToken::Oauth1(oauth1())).await.unwrap_err();
    assert_eq!(error, GarminError::Misconfigured { call: Call::UserId, error: "consumer_key_refused" });
    assert!(error.to_string().contains("GARMIN__CONSUMER_SECRET"));
}

#[tokio::test]
async fn garmin_is_away() {
    let garmin = Garmin::with_header(429, "", Some(("retry-after", "17"))).await;
    let error = garmin.client.user_id(&bearer()).await.unwrap_err();
    let retry_after = Some(Duration::from_secs(17));
    assert_eq!(
        error,
        GarminError::Unavailable { call: Call::UserId, why: "answered 429".into(), retry_after }
    );

    let endless: &'static str = "x".repeat(100_000).leak();
    let garmin = Garmin::answering(200, endless).await;
    assert_eq!(kind(garmin.client.user_id(&bearer()).await), "Unavailable");
    assert_eq!(garmin.counted(), "user_id error");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let hang_up = tokio::spawn(async move { while silent.accept().await.is_ok() {} });
    let client = client(&url, Arc::new(Metrics::new().unwrap()));
    assert_eq!(kind(client.refresh("hush").await), "Unavailable");
    hang_up.abort();
}

#[test]
fn tokens_do_not_show() {
    let shown = format!("{:?} {:?} {:?}", oauth1(), bearer(), UserToken::Oauth1(oauth1()));
    assert!(
        !shown.contains("token-1") && !shown.contains("secret-1") && !shown.contains("bearer-1"),
        "{shown}"
    );
}

#[test]
fn without_a_consumer_there_is_no_client() {
    let arguments = Arguments::parse_from(["test"]);
    let metrics = Arc::new(Metrics::new().unwrap());
    assert!(GarminClient::new(&arguments.garmin, metrics).unwrap().is_none());
}
