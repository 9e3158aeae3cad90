use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::app::{App, OTHER_USER, Signature, USER, assert_refused};
use crate::garmin::{Call, Mode};

const DAILIES: &str = "/wellness-api/rest/dailies";
/// A field of the tests.
const NUMBER: &str = "number";

/// Uploads one list, and gives the callback URL of the first user in it.
fn uploaded(app: &App, key: &str, entries: Value) -> String {
    let ping = app.upload(&json!({key: entries}), Mode::Ping);
    ping[key][0]["callbackURL"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_callback_url_gives_its_users_entries_as_they_were_uploaded_however_often() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let (first, second) =
        (format!(r#"{{"userId":"{USER}","b":144.0,"a":1E2}}"#), format!(r#"{{"userId":"{USER}"}}"#));
    let body = format!(r#"{{"pulseox":[{first},{{"userId":"{OTHER_USER}"}},{second}]}}"#);
    let ping: Value =
        serde_json::from_slice(&app.garmin.upload(body.as_bytes(), Mode::Ping).unwrap()).unwrap();
    let url = ping["pulseox"][0]["callbackURL"].as_str().unwrap();
    for _ in 0..2 {
        let answer = app.borne(Method::GET, url, &bearer).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), format!("[{first},{second}]"));
    }
    assert_eq!(app.garmin.count(Call::Pull), 2);
}

#[tokio::test]
async fn a_callback_url_is_for_one_user_type_range_and_token() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let url = uploaded(&app, "dailies", json!([{"userId": USER}]));
    let get = async |url: &str| app.borne(Method::GET, url, &bearer).await;

    let (before, token) = url.split_once("&token=").unwrap();
    assert_refused(get(before).await, 400, "InvalidPullToken").await;
    assert_refused(get(&format!("{before}&token=x{token}")).await, 401, "Invalid download token").await;
    let other_type = url.replace("/dailies?", "/epochs?");
    assert_refused(get(&other_type).await, 401, "Invalid download token").await;
    let (with_start, end) = before.rsplit_once('=').unwrap();
    let end: i64 = end.parse().unwrap();
    let longer = format!("{with_start}={}&token={token}", end + 1);
    assert_refused(get(&longer).await, 401, "Invalid download token").await;
    let theirs = app.access_token(OTHER_USER).await;
    assert_refused(app.borne(Method::GET, &url, &theirs).await, 401, "Invalid download token").await;

    assert_eq!(get(&url).await.status(), 200);
    app.garmin.expire_callbacks();
    assert_refused(get(&url).await, 401, "Invalid download token").await;
}

#[tokio::test]
async fn a_pull_needs_an_active_token_and_the_permission_for_its_type() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let dailies = uploaded(&app, "dailies", json!([{"userId": USER}]));
    let activities = uploaded(&app, "activities", json!([{"userId": USER}]));
    let cycles = uploaded(&app, "menstrualCycleTracking", json!([{"userId": USER}]));
    assert_refused(app.borne(Method::GET, &dailies, "another").await, 401, "Token is not active").await;
    let nobody = app.client.get(dailies.as_str()).send().await.unwrap();
    assert_refused(nobody, 401, "parameter_absent").await;

    for (allowed, granted) in
        [("HEALTH_EXPORT", &dailies), ("ACTIVITY_EXPORT", &activities), ("MCT_EXPORT", &cycles)]
    {
        app.garmin.set_permissions(USER, &[allowed]);
        for url in [&dailies, &activities, &cycles] {
            let expected = if url == granted { 200 } else { 412 };
            assert_eq!(app.borne(Method::GET, url, &bearer).await.status(), expected, "{allowed} {url}");
        }
    }
    app.garmin.expire_access_tokens();
    assert_refused(app.borne(Method::GET, &cycles, &bearer).await, 401, "Token is not active").await;
}

#[tokio::test]
async fn ranges_that_garmin_does_not_serve_are_refused() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let pull = async |query: &str| {
        let token = app.garmin.pull_token();
        app.borne(Method::GET, &format!("{DAILIES}?{query}token={token}"), &bearer).await
    };
    let range =
        |start: i64, end: i64| format!("uploadStartTimeInSeconds={start}&uploadEndTimeInSeconds={end}&");
    assert_refused(pull("").await, 400, "uploadStartTimeInSeconds is missing").await;
    assert_refused(pull("uploadStartTimeInSeconds=1&").await, 400, "uploadEndTimeInSeconds is missing").await;
    assert_refused(pull(&range(-1, 5)).await, 400, "no moment").await;
    let milliseconds = range(1_794_265_200_000, 1_794_265_260_000);
    assert_refused(pull(&milliseconds).await, 400, "not in milliseconds").await;
    assert_refused(pull(&range(100, 100)).await, 400, "must be later").await;
    assert_refused(pull(&range(100, 86_501)).await, 400, "86400 seconds").await;
    assert_refused(pull(&range(100, 86_500)).await, 200, "[]").await;
    let unknown = app.borne(Method::GET, "/wellness-api/rest/heartrates", &bearer).await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn the_portals_pull_token_gives_all_uploads_of_a_day_in_their_order() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    for number in 0..3 {
        uploaded(&app, "dailies", json!([{"userId": USER, NUMBER: number}, {"userId": OTHER_USER}]));
        uploaded(&app, "sleeps", json!([{"userId": USER}]));
    }
    let url = uploaded(&app, "dailies", json!([{"userId": USER, NUMBER: 3}]));
    let end: i64 = url.split_once("EndTimeInSeconds=").unwrap().1.split_once('&').unwrap().0.parse().unwrap();
    let pulled = async |start: i64| -> Vec<Value> {
        let query = format!("uploadStartTimeInSeconds={start}&uploadEndTimeInSeconds={end}");
        let url = format!("{DAILIES}?{query}&token={}", app.garmin.pull_token());
        let entries: Vec<Value> = app.borne(Method::GET, &url, &bearer).await.json().await.unwrap();
        entries.iter().map(|entry| entry[NUMBER].clone()).collect()
    };
    assert_eq!(pulled(end - 3_600).await, [0, 1, 2, 3]);
    // The start is not within the range.
    assert_eq!(pulled(end - 2).await, [3]);
}

#[tokio::test]
async fn a_callback_url_of_oauth_1_is_signed_with_all_of_its_query() {
    let app = App::start().await;
    let token = app.garmin.issue_oauth1_token(USER);
    let entry = json!({"userId": USER, "userAccessToken": token.token});
    let url = uploaded(&app, "dailies", json!([entry]));
    let answer = app.signed(Method::GET, &url, &Signature::of(&token)).await;
    assert_eq!(answer.json::<Value>().await.unwrap(), json!([entry]));

    let signed_as = app.url(url.split_once('?').unwrap().0);
    let header = Signature::of(&token).header(&Method::GET, &signed_as);
    let answer = app.client.get(url.as_str()).header("authorization", header).send().await.unwrap();
    assert_refused(answer, 401, "signature_invalid").await;
    // A bearer token of the same user will do as well.
    let bearer = app.access_token(USER).await;
    assert_eq!(app.borne(Method::GET, &url, &bearer).await.status(), 200);
}

#[tokio::test]
async fn callback_urls_lead_to_a_server_whose_authority_must_be_trusted() {
    let app = App::start().await;
    let url = uploaded(&app, "dailies", json!([{"userId": USER}]));
    let distrusting = Client::builder().no_proxy().build().unwrap();
    let error = distrusting.get(url.as_str()).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    // Who never shakes hands keeps nobody waiting.
    let address = app.garmin.tls_url().replace("https://", "");
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(app.client.get(url.as_str()).send().await.unwrap().status(), 401);
}
