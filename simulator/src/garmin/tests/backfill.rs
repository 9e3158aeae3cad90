use reqwest::{Method, Response};
use serde_json::Value;

use super::app::{App, OTHER_USER, Signature, USER, assert_refused};
use crate::expectation::Expectation;
use crate::garmin::{BackfillOptions, Call, GarminOptions, Mode, PERMISSIONS};

/// A midnight, in Unix seconds: 1 October 2026.
const OCTOBER: i64 = 1_790_812_800;
const DAY: i64 = 86_400;

/// Every name below `backfill/`, and the table that its entries go to.
const TYPES: [(&str, &str); 16] = [
    ("dailies", "daily_summary"),
    ("epochs", "epoch_summary"),
    ("sleeps", "sleep_summary"),
    ("bodyComps", "body_composition"),
    ("stressDetails", "stress_summary"),
    ("userMetrics", "user_metrics"),
    ("pulseOx", "pulse_ox_summary"),
    ("respiration", "respiration_summary"),
    ("healthSnapshot", "health_snapshot"),
    ("hrv", "hrv_summary"),
    ("bloodPressures", "blood_pressure"),
    ("skinTemp", "skin_temperature"),
    ("activities", "activity_summary"),
    ("activityDetails", "activity_detail"),
    ("moveiq", "move_iq_summary"),
    ("mct", "menstrual_cycle_summary"),
];

fn path(name: &str, start: i64, days: i64) -> String {
    let end = start + days * DAY;
    format!(
        "/wellness-api/rest/backfill/{name}?summaryStartTimeInSeconds={start}&summaryEndTimeInSeconds={end}"
    )
}

async fn ask(app: &App, bearer: &str, name: &str, start: i64, days: i64) -> Response {
    app.borne(Method::GET, &path(name, start, days), bearer).await
}

async fn with(backfill: BackfillOptions) -> App {
    App::with(GarminOptions { backfill, ..GarminOptions::default() }).await
}

fn deliveries(app: &App) -> Vec<Value> {
    let bodies = app.garmin.take_deliveries().unwrap();
    bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect()
}

#[tokio::test]
async fn history_is_accepted_and_comes_later_as_one_row_for_each_day_and_type() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    for (name, _) in TYPES {
        let answer = ask(&app, &bearer, name, OCTOBER, 28).await;
        assert_eq!(answer.status(), 202, "{name}");
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let mut received = Expectation::default();
    for body in app.garmin.take_deliveries().unwrap() {
        received.receive(&body).unwrap();
    }
    for (name, table) in TYPES {
        let rows = if name == "mct" { 1 } else { 28 };
        assert_eq!(received.rows(table).count(), rows, "{name}");
    }
    assert_eq!(received.rows("activity_file").count(), 28);
    let ids = |table| received.rows(table).map(|row| row["activity_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids("activity_summary").len(), ids("activity_detail").len());
    for row in received.rows("activity_detail") {
        assert!(ids("activity_summary").contains(&row["activity_id"]));
    }
    assert!(deliveries(&app).is_empty(), "nothing is delivered twice");
}

#[tokio::test]
async fn a_delivery_collects_several_users_and_is_the_same_for_whoever_asks_again() {
    let app = App::start().await;
    let ask_all = async |first_day: i64| {
        for user in [USER, OTHER_USER] {
            let bearer = app.access_token(user).await;
            assert_eq!(ask(&app, &bearer, "hrv", first_day, 3).await.status(), 202);
        }
        deliveries(&app)
    };
    let told = ask_all(OCTOBER).await;
    assert_eq!(told.len(), 1);
    let entries = told[0]["hrv"].as_array().unwrap();
    let of = |user: &str| entries.iter().filter(|entry| entry["userId"] == user).count();
    assert_eq!((of(USER), of(OTHER_USER)), (3, 3));
    assert_ne!(entries[0]["hrvValues"], entries[3]["hrvValues"]);

    // A day later, two of the days are the same.
    let again = ask_all(OCTOBER + DAY).await;
    let again = again[0]["hrv"].as_array().unwrap();
    assert_eq!(again[..2], entries[1..3]);
}

#[tokio::test]
async fn days_belong_to_a_range_if_their_midnight_does_and_none_is_to_come() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    let days = async |start: i64, days: i64| {
        assert_eq!(ask(&app, &bearer, "dailies", start, days).await.status(), 202);
        deliveries(&app).first().map_or(0, |body| body["dailies"].as_array().unwrap().len())
    };
    assert_eq!(days(OCTOBER + 1, 2).await, 2);
    assert_eq!(days(OCTOBER - 1, 1).await, 1);
    let in_centuries = 25_000_000_000;
    assert_eq!(days(in_centuries, 2).await, 0);
}

#[tokio::test]
async fn what_cannot_be_given_is_refused() {
    let minimum_start = OCTOBER;
    let not_enabled = ["epochs".to_owned()].into();
    let app = with(BackfillOptions { minimum_start, not_enabled, ..BackfillOptions::default() }).await;
    let bearer = app.access_token(USER).await;
    let ask = async |name: &str, start: i64, days: i64| ask(&app, &bearer, name, start, days).await;
    assert_refused(ask("epochs", OCTOBER, 1).await, 400, "Endpoint not enabled for summary type: epochs")
        .await;
    let too_early = ask("dailies", OCTOBER - 1, 1).await;
    assert_refused(too_early, 400, "before min start time of 2026-10-01T00:00:00Z").await;
    for (name, longest) in [("dailies", 90), ("mct", 90), ("activities", 30), ("moveiq", 30)] {
        assert_refused(ask(name, OCTOBER, longest + 1).await, 400, &format!("{longest} days apart")).await;
        assert_eq!(ask(name, OCTOBER, longest).await.status(), 202, "{name}");
    }
    assert_refused(ask("sleeps", OCTOBER, 0).await, 400, "must be later").await;
    assert_refused(ask("sleeps", OCTOBER * 1_000, 1).await, 400, "not in milliseconds").await;
    for name in ["activityFiles", "thirdPartyDailies", "manuallyUpdatedActivities", "heartrates"] {
        assert_eq!(ask(name, OCTOBER, 1).await.status(), 404, "{name}");
    }
    let nobody = app.borne(Method::GET, &path("sleeps", OCTOBER, 1), "another").await;
    assert_refused(nobody, 401, "Token is not active").await;
    let refused = app.garmin.requests(Call::Backfill).into_iter().filter(|call| call.status != Some(202));
    assert_eq!(refused.count(), 13);
}

#[tokio::test]
async fn history_needs_its_own_permission_and_that_of_its_type() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    app.garmin.set_permissions(USER, &["HEALTH_EXPORT"]);
    assert_refused(ask(&app, &bearer, "dailies", OCTOBER, 1).await, 403, "HISTORICAL_DATA_EXPORT").await;
    app.garmin.set_permissions(USER, &["HISTORICAL_DATA_EXPORT", "HEALTH_EXPORT"]);
    assert_refused(ask(&app, &bearer, "activities", OCTOBER, 1).await, 412, "ACTIVITY_EXPORT").await;
    assert_refused(ask(&app, &bearer, "mct", OCTOBER, 1).await, 412, "MCT_EXPORT").await;
    assert_eq!(ask(&app, &bearer, "dailies", OCTOBER, 1).await.status(), 202);
}

#[tokio::test]
async fn a_period_can_be_asked_for_once_until_its_user_connects_again() {
    let app = App::start().await;
    let bearer = app.access_token(USER).await;
    assert_eq!(ask(&app, &bearer, "dailies", OCTOBER, 5).await.status(), 202);
    assert_refused(ask(&app, &bearer, "dailies", OCTOBER, 5).await, 409, "was processed at 20").await;
    assert_eq!(ask(&app, &bearer, "sleeps", OCTOBER, 5).await.status(), 202);
    assert_eq!(ask(&app, &bearer, "dailies", OCTOBER, 4).await.status(), 202);
    let theirs = app.access_token(OTHER_USER).await;
    assert_eq!(ask(&app, &theirs, "dailies", OCTOBER, 5).await.status(), 202);

    app.garmin.disconnect(USER);
    let told = deliveries(&app);
    assert!(told.iter().all(|body| !body.to_string().contains(USER)), "they have left");
    let bearer = app.access_token(USER).await;
    assert_eq!(ask(&app, &bearer, "dailies", OCTOBER, 5).await.status(), 202);
}

#[tokio::test]
async fn history_comes_by_pings_if_it_is_to_but_for_the_details_of_activities() {
    let app = with(BackfillOptions { delivered_as: Mode::Ping, ..BackfillOptions::default() }).await;
    let token = app.garmin.issue_oauth1_token(USER);
    app.garmin.set_permissions(USER, &PERMISSIONS);
    for name in ["dailies", "activities", "activityDetails"] {
        let asked = app.signed(Method::GET, &path(name, OCTOBER, 2), &Signature::of(&token)).await;
        assert_eq!(asked.status(), 202);
    }
    let told = deliveries(&app);
    let list = |key: &str| {
        let body = told.iter().find(|body| body.get(key).is_some()).unwrap();
        body[key].as_array().unwrap().clone()
    };
    assert!(list("activityDetails").iter().all(|entry| entry["samples"].is_array()));
    assert_eq!(list("dailies").len(), 1);
    assert_eq!(list("dailies")[0]["userAccessToken"], token.token);

    let url = list("dailies")[0]["callbackURL"].as_str().unwrap().to_owned();
    let days: Vec<Value> = app.signed(Method::GET, &url, &Signature::of(&token)).await.json().await.unwrap();
    assert_eq!((days.len(), &days[1]["calendarDate"]), (2, &"2026-10-02".into()));
    let file = list("activityFiles")[0]["callbackURL"].as_str().unwrap().to_owned();
    let file = app.signed(Method::GET, &file, &Signature::of(&token)).await;
    assert_eq!(file.status(), 200);
}
