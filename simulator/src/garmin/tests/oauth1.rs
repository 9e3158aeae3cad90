use reqwest::Method;
use serde_json::Value;

use super::app::{App, CALLBACK, OTHER_USER, Signature, USER, assert_refused, oauth1_token, parameter};
use crate::garmin::server::{ACCESS_TOKEN, OAUTH1_CONFIRM, REQUEST_TOKEN, TOKEN_EXCHANGE};
use crate::garmin::state::unix_now;

const USER_ID: &str = "/wellness-api/rest/user/id";

#[tokio::test]
async fn a_consent_ends_in_a_token_that_tells_its_user() {
    let app = App::start().await;
    let request_token = app.request_token().await;
    let verifier = app.agree_oauth1(&request_token, USER).await;
    let signature = Signature { verifier: Some(verifier), ..Signature::of(&request_token) };
    let answer = app.signed(Method::POST, ACCESS_TOKEN, &signature).await.text().await.unwrap();
    let token = oauth1_token(&answer);
    let answer = app.signed(Method::GET, USER_ID, &Signature::of(&token)).await;
    assert_eq!(answer.json::<Value>().await.unwrap()["userId"], USER);
    assert_eq!(app.garmin.tokens_alive(USER).oauth1, 1);

    let again = Signature { nonce: "another".into(), ..signature };
    assert_refused(app.signed(Method::POST, ACCESS_TOKEN, &again).await, 401, "token_rejected").await;
}

#[tokio::test]
async fn wrong_signatures_are_refused() {
    let app = App::start().await;
    let right = Signature::default();
    let wrong = [
        (Signature { consumer_secret: "another".into(), ..right.clone() }, "signature_invalid"),
        (Signature { consumer_key: "another".into(), ..right.clone() }, "consumer_key_unknown"),
        (Signature { version: "2.0", ..right.clone() }, "version_rejected"),
        (Signature { method: "PLAINTEXT", ..right.clone() }, "signature_method_rejected"),
        (Signature { timestamp: unix_now() - 330, ..right.clone() }, "timestamp_refused"),
        (Signature { timestamp: unix_now() + 330, ..right.clone() }, "timestamp_refused"),
    ];
    for (signature, problem) in wrong {
        assert_refused(app.signed(Method::POST, REQUEST_TOKEN, &signature).await, 401, problem).await;
    }
    // None of these has used up the nonce.
    assert_eq!(app.signed(Method::POST, REQUEST_TOKEN, &right).await.status(), 200);
    assert_refused(app.signed(Method::POST, REQUEST_TOKEN, &right).await, 401, "nonce_used").await;

    let unsigned = app.client.post(app.url(REQUEST_TOKEN)).send().await.unwrap();
    assert_refused(unsigned, 401, "parameter_absent").await;
}

#[tokio::test]
async fn a_signature_is_good_for_one_method_query_and_form() {
    let app = App::start().await;
    let token = app.garmin.issue_oauth1_token(USER);
    let url = app.url(&format!("{USER_ID}?a=1%202&b=%2F"));
    let header = || Signature::of(&token).header(&Method::GET, &url);
    let send = |url: &reqwest::Url| app.client.get(url.clone()).header("authorization", header()).send();
    assert_eq!(send(&url).await.unwrap().status(), 200);
    assert_refused(send(&app.url(&format!("{USER_ID}?a=1"))).await.unwrap(), 401, "signature_invalid").await;

    let form = vec![("note".to_owned(), "a b&c".to_owned())];
    let signature = Signature { form, ..Signature::of(&token) };
    assert_eq!(app.signed(Method::POST, TOKEN_EXCHANGE, &signature).await.status(), 200);
    let header = Signature { nonce: "n".into(), ..signature }.header(&Method::POST, &app.url(TOKEN_EXCHANGE));
    let other_form = app.client.post(app.url(TOKEN_EXCHANGE)).header("authorization", header);
    let other_form = other_form.form(&[("note", "changed")]).send().await.unwrap();
    assert_refused(other_form, 401, "signature_invalid").await;
}

#[tokio::test]
async fn a_token_must_be_of_the_right_kind() {
    let app = App::start().await;
    let request_token = app.request_token().await;
    let with_request_token = app.signed(Method::GET, USER_ID, &Signature::of(&request_token)).await;
    assert_refused(with_request_token, 401, "token_rejected").await;
    let access_token =
        Signature { verifier: Some("v".into()), ..Signature::of(&app.garmin.issue_oauth1_token(USER)) };
    assert_refused(app.signed(Method::POST, ACCESS_TOKEN, &access_token).await, 401, "token_rejected").await;
}

#[tokio::test]
async fn a_request_token_needs_agreement_and_its_verifier() {
    let app = App::start().await;
    let request_token = app.request_token().await;
    let with =
        |verifier: &str| Signature { verifier: Some(verifier.into()), ..Signature::of(&request_token) };
    assert_refused(app.signed(Method::POST, ACCESS_TOKEN, &with("x")).await, 401, "permission_unknown").await;
    let verifier = app.agree_oauth1(&request_token, USER).await;
    assert_refused(app.signed(Method::POST, ACCESS_TOKEN, &with("x")).await, 401, "verifier_invalid").await;
    app.garmin.expire_grants();
    let late = app.signed(Method::POST, ACCESS_TOKEN, &with(&verifier)).await;
    assert_refused(late, 401, "token_expired").await;
}

#[tokio::test]
async fn a_user_may_decline() {
    let app = App::start().await;
    let request_token = app.request_token().await;
    let query = [("oauth_token", request_token.token.as_str()), ("oauth_callback", CALLBACK)];
    let back = app.decide(OAUTH1_CONFIRM, &query, &[("decision", "cancel")]).await;
    assert_eq!(parameter(&back, "oauth_verifier").as_deref(), Some("null"));
    assert_eq!(app.decided(OAUTH1_CONFIRM, &query, &[("decision", "cancel")]).await.status(), 400);
    assert!(app.garmin.connected_users().is_empty());
}

#[tokio::test]
async fn an_oauth_1_token_buys_oauth_2_tokens_and_stays_good() {
    let app = App::start().await;
    let token = app.garmin.issue_oauth1_token(OTHER_USER);
    let answer = app.signed(Method::POST, TOKEN_EXCHANGE, &Signature::of(&token)).await;
    let tokens: Value = answer.json().await.unwrap();
    let bearer = tokens["access_token"].as_str().unwrap();
    let by_bearer: Value = app.borne(Method::GET, USER_ID, bearer).await.json().await.unwrap();
    assert_eq!(by_bearer["userId"], OTHER_USER);
    assert_eq!(app.signed(Method::GET, USER_ID, &Signature::of(&token)).await.status(), 200);
}
