use std::time::{Duration, Instant};

use reqwest::Method;

use super::app::{App, Signature, USER, assert_refused};
use crate::garmin::server::REQUEST_TOKEN;
use crate::garmin::{Call, Failure, Garmin, GarminOptions, OauthVersion};

const USER_ID: &str = "/wellness-api/rest/user/id";

#[tokio::test]
async fn the_next_calls_fail_one_after_the_other() {
    let app = App::start().await;
    let token = app.garmin.issue_oauth1_token(USER);
    let body = r#"{"errorMessage":"busy"}"#.to_owned();
    app.garmin.fail_next(Call::UserId, Failure::Status(503));
    app.garmin.fail_next(Call::UserId, Failure::Refusal { status: 429, body });
    app.garmin.fail_next(Call::UserId, Failure::Nonsense);
    let ask = async || app.signed(Method::GET, USER_ID, &Signature::of(&token)).await;
    assert_refused(ask().await, 503, "").await;
    assert_refused(ask().await, 429, "busy").await;
    assert_refused(ask().await, 200, "<html>").await;
    // Other calls are not concerned.
    assert_eq!(app.signed(Method::POST, REQUEST_TOKEN, &Signature::default()).await.status(), 200);
    assert_refused(ask().await, 200, USER).await;
    let statuses: Vec<_> = app.garmin.requests(Call::UserId).iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(503), Some(429), Some(200), Some(200)]);
}

#[tokio::test]
async fn a_call_fails_until_it_is_healed() {
    let app = App::start().await;
    app.garmin.fail_always(Call::RequestToken, Failure::Status(500));
    for _ in 0..3 {
        assert_eq!(app.signed(Method::POST, REQUEST_TOKEN, &Signature::default()).await.status(), 500);
    }
    app.garmin.heal();
    assert_eq!(app.signed(Method::POST, REQUEST_TOKEN, &Signature::default()).await.status(), 200);
}

#[tokio::test]
async fn a_connection_ends_without_an_answer() {
    let app = App::start().await;
    let ask =
        async |path: &str, form: &[(&str, &str)]| app.client.post(app.url(path)).form(form).send().await;
    app.garmin.fail_next(Call::RequestToken, Failure::Drop);
    let error = ask(REQUEST_TOKEN, &[]).await.unwrap_err();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    assert_eq!(app.garmin.requests(Call::RequestToken)[0].status, None);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work_was_done() {
    let app = App::start().await;
    let tokens = app.tokens(USER).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let options = GarminOptions::default();
    let form = [
        ("client_id", options.consumer_key.as_str()),
        ("client_secret", options.consumer_secret.as_str()),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    app.garmin.fail_next(Call::Refresh, Failure::LoseAnswer);
    let url = app.url(crate::garmin::server::TOKEN);
    app.client.post(url.clone()).form(&form).send().await.unwrap_err();
    let again = app.client.post(url).form(&form).send().await.unwrap();
    assert_refused(again, 400, "invalid_grant").await;
}

#[tokio::test]
async fn a_slow_answer_is_the_right_one() {
    let app = App::start().await;
    let slow = Duration::from_millis(150);
    app.garmin.fail_next(Call::RequestToken, Failure::Slow(slow));
    let begun = Instant::now();
    assert_eq!(app.signed(Method::POST, REQUEST_TOKEN, &Signature::default()).await.status(), 200);
    assert!(begun.elapsed() >= slow);
}

#[tokio::test]
async fn a_call_is_sent_elsewhere() {
    let app = App::start().await;
    let elsewhere = "https://127.0.0.1:1/".to_owned();
    app.garmin.fail_next(Call::UserId, Failure::Redirect(elsewhere.clone()));
    let answer = app.borne(Method::GET, USER_ID, "any").await;
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], elsewhere);
}

#[tokio::test]
async fn the_settings_name_addresses_that_answer() {
    let app = App::start().await;
    let settings = app.garmin.settings(OauthVersion::One);
    assert!(settings.contains(&("GARMIN__OAUTH_VERSION", "1".to_owned())));
    for (name, url) in
        settings.iter().filter(|(name, _)| name.ends_with("_URL") && *name != "GARMIN__API_URL")
    {
        let answer = app.client.post(url).send().await.unwrap();
        assert!([400, 401].contains(&answer.status().as_u16()), "{name}: {}", answer.status());
    }
    let api = &settings.iter().find(|(name, _)| *name == "GARMIN__API_URL").unwrap().1;
    let answer = app.client.get(format!("{api}/user/id")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_garmin_that_is_stopped_leaves_its_address_to_the_next() {
    let first = Garmin::start(GarminOptions::default()).await.unwrap();
    let listen = first.url().trim_start_matches("http://").parse().unwrap();
    let tls_listen = first.tls_url().trim_start_matches("https://").parse().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // A connection that is kept alive must not hold it back.
    client.get(first.url()).send().await.unwrap();
    first.stop().await;
    client.get(format!("http://{listen}")).send().await.unwrap_err();
    Garmin::start(GarminOptions { listen, tls_listen, ..GarminOptions::default() }).await.unwrap();
}
