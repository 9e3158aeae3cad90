use reqwest::Method;
use serde_json::{Value, json};

use super::app::{App, OTHER_USER, Signature, USER, assert_refused};
use crate::garmin::{AccountNotification, PermissionsAnswer};

const PERMISSIONS: &str = "/wellness-api/rest/user/permissions";
const REGISTRATION: &str = "/wellness-api/rest/user/registration";

#[tokio::test]
async fn a_deleted_registration_ends_every_token_of_its_user_alone() {
    let app = App::start().await;
    let oauth1 = app.garmin.issue_oauth1_token(USER);
    let tokens = app.tokens(USER).await;
    app.garmin.issue_oauth1_token(OTHER_USER);
    let deleted = app.signed(Method::DELETE, REGISTRATION, &Signature::of(&oauth1)).await;
    assert_eq!(deleted.status(), 204);

    let bearer = tokens["access_token"].as_str().unwrap();
    assert_refused(app.borne(Method::GET, PERMISSIONS, bearer).await, 401, "Token is not active").await;
    let signed = app.signed(Method::GET, PERMISSIONS, &Signature::of(&oauth1)).await;
    assert_refused(signed, 401, "token_rejected").await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let refreshed = app.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
    assert_refused(refreshed, 400, "invalid_grant").await;

    assert_eq!(app.garmin.deleted_registrations(), [USER]);
    assert_eq!(app.garmin.connected_users().into_iter().collect::<Vec<_>>(), [OTHER_USER]);
    let told =
        json!({"deregistrations": [{"userId": USER, "userAccessToken": oauth1.token}, {"userId": USER}]});
    assert_eq!(app.garmin.take_notifications(), [AccountNotification::Deregistrations(told)]);
    assert_eq!(app.garmin.take_notifications(), []);
}

#[tokio::test]
async fn a_user_who_disconnects_is_gone_without_having_been_deleted() {
    let app = App::start().await;
    app.tokens(USER).await;
    app.garmin.disconnect(USER);
    assert_eq!(app.garmin.deleted_registrations(), [""; 0]);
    let told = json!({"deregistrations": [{"userId": USER}]});
    assert_eq!(app.garmin.take_notifications(), [AccountNotification::Deregistrations(told)]);
    // There is nobody left to tell of.
    app.garmin.disconnect(USER);
    assert_eq!(app.garmin.take_notifications(), []);
}

#[tokio::test]
async fn permissions_are_told_and_can_be_asked_for_in_two_shapes() {
    let app = App::start().await;
    let tokens = app.tokens(USER).await;
    let bearer = tokens["access_token"].as_str().unwrap();
    app.garmin.set_permissions(USER, &["MCT_EXPORT"]);
    let asked = async || app.borne(Method::GET, PERMISSIONS, bearer).await.json::<Value>().await.unwrap();
    assert_eq!(asked().await, json!(["MCT_EXPORT"]));
    app.garmin.answer_permissions_as(PermissionsAnswer::Object);
    let object = asked().await;
    assert_eq!((&object["userId"], &object["permissions"]), (&json!(USER), &json!(["MCT_EXPORT"])));

    let told = app.garmin.take_notifications();
    let [AccountNotification::PermissionChanges(body)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(body["userPermissionsChange"][0]["permissions"], json!(["MCT_EXPORT"]));
    assert_eq!(body["userPermissionsChange"][0]["changeTimeInSeconds"], object["changeTimeInSeconds"]);
}

#[tokio::test]
async fn nobody_is_told_of_users_who_are_not_connected() {
    let app = App::start().await;
    app.garmin.set_permissions(USER, &[]);
    assert_eq!(app.garmin.take_notifications(), []);
}
