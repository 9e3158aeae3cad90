use serde_json::{Value, json};

use super::app::{App, OTHER_USER, USER, assert_refused, parameter};
use crate::garmin::server::UPLOADS;
use crate::garmin::state::unix_now;
use crate::garmin::{Mode, UploadError};

fn callback_url(entry: &Value) -> reqwest::Url {
    entry["callbackURL"].as_str().unwrap().parse().unwrap()
}

/// The upload range of a callback URL.
fn range(entry: &Value) -> (i64, i64) {
    let bound = |name| parameter(&callback_url(entry), name).unwrap().parse().unwrap();
    (bound("uploadStartTimeInSeconds"), bound("uploadEndTimeInSeconds"))
}

#[tokio::test]
async fn a_ping_has_one_entry_for_each_user_of_each_key_in_the_order_of_the_body() {
    let app = App::start().await;
    let body = json!({
        "sleeps": [{"userId": OTHER_USER}, {"userId": USER}, {"userId": OTHER_USER, "again": true}],
        "allDayRespiration": [{"userId": USER}],
    });
    let body = body.to_string();
    let ping = app.garmin.upload(body.as_bytes(), Mode::Ping).unwrap();
    let keys: Vec<_> = ["sleeps", "allDayRespiration"]
        .map(|key| [body.find(key).unwrap(), String::from_utf8_lossy(&ping).find(key).unwrap()])
        .into();
    assert_eq!(keys[0][0] < keys[1][0], keys[0][1] < keys[1][1], "the keys keep their order");
    let ping: Value = serde_json::from_slice(&ping).unwrap();
    let users: Vec<_> = ping["sleeps"].as_array().unwrap().iter().map(|entry| &entry["userId"]).collect();
    assert_eq!(users, [OTHER_USER, USER]);
    let entry = &ping["allDayRespiration"][0];
    assert_eq!(entry.as_object().unwrap().len(), 2, "{entry}");
    let url = callback_url(entry);
    assert!(url.as_str().starts_with(&format!("{}/wellness-api/rest/respiration?", app.garmin.tls_url())));
    assert!(parameter(&url, "token").is_some_and(|token| token.len() >= 20));
}

#[tokio::test]
async fn each_upload_of_a_user_is_later_than_all_before_and_none_is_in_the_future() {
    let app = App::start().await;
    let of_both = |key: &str| json!({key: [{"userId": USER}, {"userId": OTHER_USER}]});
    let mut last = 0;
    for key in ["dailies", "sleeps", "dailies"] {
        let ping = app.upload(&of_both(key), Mode::Ping);
        let (start, end) = range(&ping[key][0]);
        assert!(last <= start && start < end && end <= unix_now(), "{last} {start} {end}");
        last = end;
    }
    // The other user's clock is another.
    let ping = app.upload(&json!({"hrv": [{"userId": OTHER_USER}]}), Mode::Ping);
    assert_eq!(range(&ping["hrv"][0]).1, last + 1);
}

#[tokio::test]
async fn in_the_days_of_oauth_1_a_ping_names_the_users_token_and_its_url_has_none() {
    let app = App::start().await;
    let ping =
        app.upload(&json!({"epochs": [{"userId": USER, "userAccessToken": "their token"}]}), Mode::Ping);
    let entry = &ping["epochs"][0];
    let (start, end) = range(entry);
    let known = json!({
        "userId": USER,
        "userAccessToken": "their token",
        "uploadStartTimeInSeconds": start,
        "uploadEndTimeInSeconds": end,
        "callbackURL": entry["callbackURL"],
    });
    assert_eq!(*entry, known);
    assert_eq!(parameter(&callback_url(entry), "token"), None);
}

#[tokio::test]
async fn what_is_pushed_is_passed_on_untouched() {
    let app = App::start().await;
    let body = br#"{"mct":[{"userId":"u","b":144.0,"a":1e2}],"hrv":[]}"#;
    assert_eq!(app.garmin.upload(body, Mode::Push).unwrap(), body);
}

#[tokio::test]
async fn what_garmin_would_not_have_is_refused() {
    let app = App::start().await;
    let upload = |body: &str| app.garmin.upload(body.as_bytes(), Mode::Ping).unwrap_err();
    assert!(matches!(upload("[]"), UploadError::NotANotification(_)));
    assert!(matches!(upload(r#"{"dailies": {}}"#), UploadError::NotANotification(_)));
    assert!(matches!(upload(r#"{"heartrates": []}"#), UploadError::UnknownKey(key) if key == "heartrates"));
    assert!(matches!(upload(r#"{"dailies": [{}]}"#), UploadError::NoUser { key: "dailies", .. }));
    assert!(matches!(upload(r#"{"activityFiles": [{"userId": "u"}]}"#), UploadError::NoFile));
}

#[tokio::test]
async fn uploads_come_over_http_too_however_large() {
    let app = App::start().await;
    let padding = "x".repeat(3 * 1024 * 1024);
    let body = json!({"dailies": [{"userId": USER, "padding": padding}]}).to_string();
    let post = |mode: &str, body: String| {
        let url = app.url(&format!("{UPLOADS}?mode={mode}"));
        let request = app.client.post(url).body(body);
        async { request.send().await.unwrap() }
    };
    assert_eq!(post("push", body.clone()).await.text().await.unwrap(), body);
    let ping: Value = post("ping", body).await.json().await.unwrap();
    assert_eq!(ping["dailies"][0]["userId"], USER);
    assert_refused(post("ping", "{}}".to_owned()).await, 400, "no JSON object of lists").await;
    assert_eq!(post("pong", "{}".to_owned()).await.status(), 400);
}
