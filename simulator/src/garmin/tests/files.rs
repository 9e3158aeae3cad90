use reqwest::Method;
use serde_json::{Value, json};

use super::app::{App, OTHER_USER, USER, assert_refused, parameter};
use crate::garmin::{Call, Failure, Mode, file_content};

/// A notification about one file, and its URL.
fn offered(app: &App, id: u64, file_type: &str, mode: Mode) -> (Value, String) {
    let theirs = format!("https://apis.garmin.com/wellness-api/rest/activityFile?id={id}&token=theirs");
    let entry = json!({"userId": USER, "summaryId": "7-file", "fileType": file_type, "callbackURL": theirs});
    let notification = app.upload(&json!({"activityFiles": [entry]}), mode);
    let entry = notification["activityFiles"][0].clone();
    let url = entry["callbackURL"].as_str().unwrap().to_owned();
    (entry, url)
}

#[tokio::test]
async fn a_file_has_a_url_of_garmins_own_in_both_modes_and_all_else_is_as_it_came() {
    let app = App::start().await;
    let mut tokens = Vec::new();
    for mode in [Mode::Push, Mode::Ping] {
        let (mut entry, url) = offered(&app, 7, "FIT", mode);
        let url: reqwest::Url = url.parse().unwrap();
        assert!(
            url.as_str().starts_with(&format!("{}/wellness-api/rest/activityFile?", app.garmin.tls_url()))
        );
        assert_eq!(parameter(&url, "id").as_deref(), Some("7"));
        tokens.push(parameter(&url, "token").unwrap());
        entry["callbackURL"].take();
        let known = json!({"userId": USER, "summaryId": "7-file", "fileType": "FIT", "callbackURL": null});
        assert_eq!(entry, known);
    }
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn a_file_can_be_downloaded_once() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let (_, url) = offered(&app, 7, "FIT", Mode::Ping);
    let answer = app.borne(Method::GET, &url, &bearer).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), file_content(7, "FIT"));
    assert_refused(app.borne(Method::GET, &url, &bearer).await, 410, "downloaded before").await;

    let (_, again) = offered(&app, 7, "FIT", Mode::Ping);
    assert_eq!(app.borne(Method::GET, &again, &bearer).await.status(), 200);
}

#[tokio::test]
async fn a_download_that_is_lost_on_its_way_was_the_only_one() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let (_, url) = offered(&app, 7, "FIT", Mode::Ping);
    app.garmin.fail_next(Call::ActivityFile, Failure::Status(503));
    app.garmin.fail_next(Call::ActivityFile, Failure::LoseAnswer);
    assert_eq!(app.borne(Method::GET, &url, &bearer).await.status(), 503);
    app.client.get(url.as_str()).bearer_auth(&bearer).send().await.unwrap_err();
    assert_eq!(app.borne(Method::GET, &url, &bearer).await.status(), 410);
}

#[tokio::test]
async fn a_file_is_for_its_user_its_token_and_a_day() {
    let app = App::start().await;
    let (bearer, theirs) = (app.access_token(USER).await, app.access_token(OTHER_USER).await);
    let (_, url) = offered(&app, 7, "FIT", Mode::Ping);
    let get = async |url: &str, bearer: &str| app.borne(Method::GET, url, bearer).await;
    assert_refused(get(&url, "another").await, 401, "Token is not active").await;
    assert_refused(get(&url, &theirs).await, 401, "Invalid download token").await;
    assert_refused(get(&format!("{url}x"), &bearer).await, 401, "Invalid download token").await;
    assert_refused(get(&url.replace("id=7", "id=8"), &bearer).await, 401, "Invalid download token").await;
    assert_refused(get(&url.replace("id=7&", ""), &bearer).await, 400, "id").await;
    app.garmin.set_permissions(USER, &["HEALTH_EXPORT"]);
    assert_refused(get(&url, &bearer).await, 412, "ACTIVITY_EXPORT").await;
    app.garmin.set_permissions(USER, &["ACTIVITY_EXPORT"]);
    app.garmin.expire_callbacks();
    assert_refused(get(&url, &bearer).await, 410, "its time is over").await;
}

#[test]
fn files_are_what_their_labels_say_but_for_some_that_are_called_gpx() {
    let is_fit = |content: &[u8]| content[8..12] == *b".FIT";
    let is_xml = |content: &[u8], root: &str| {
        let text = std::str::from_utf8(content).unwrap_or_default();
        text.starts_with("<?xml") && text.contains(root) && text.len() > 1_000
    };
    for id in 70..80 {
        assert!(is_fit(&file_content(id, "FIT")) && is_fit(&file_content(id, "")));
        assert!(is_xml(&file_content(id, "TCX"), "<Trackpoint>"));
        let gpx = file_content(id, "GPX");
        assert_eq!((is_fit(&gpx), is_xml(&gpx, "<trkpt ")), (id % 3 == 0, id % 3 != 0), "{id}");
        assert_eq!(gpx, file_content(id, "GPX"));
    }
    assert_ne!(file_content(1, "FIT"), file_content(2, "FIT"));
}
