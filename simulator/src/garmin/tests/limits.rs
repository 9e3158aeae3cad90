use reqwest::{Method, Response};

use super::app::{App, USER, assert_refused};
use crate::garmin::{Call, GarminOptions, Limits};

async fn limited(requests_per_minute: u32, backfill_days_per_minute: u32) -> App {
    let limits = Some(Limits { requests_per_minute, backfill_days_per_minute });
    App::with(GarminOptions { limits, ..GarminOptions::default() }).await
}

async fn ask(app: &App, bearer: &str, name: &str, days: i64) -> Response {
    let (start, end) = (1_790_812_800, 1_790_812_800 + days * 86_400);
    let query = format!("summaryStartTimeInSeconds={start}&summaryEndTimeInSeconds={end}");
    app.borne(Method::GET, &format!("/wellness-api/rest/backfill/{name}?{query}"), bearer).await
}

fn seconds_to_wait(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn calls_for_data_have_a_limit_together_and_others_none() {
    let app = limited(3, 1_000).await;
    let bearer = app.access_token(USER).await;
    assert_eq!(app.borne(Method::GET, "/wellness-api/rest/dailies", &bearer).await.status(), 400);
    assert_eq!(app.borne(Method::GET, "/wellness-api/rest/activityFile", &bearer).await.status(), 400);
    assert_eq!(ask(&app, &bearer, "dailies", 1).await.status(), 202);
    let refused = ask(&app, &bearer, "sleeps", 1).await;
    assert!((1..=60).contains(&seconds_to_wait(&refused)));
    assert_refused(refused, 429, "limit").await;
    assert_eq!(app.borne(Method::GET, "/wellness-api/rest/user/id", &bearer).await.status(), 200);
    let statuses: Vec<_> = app.garmin.requests(Call::Backfill).iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(202), Some(429)]);
}

#[tokio::test]
async fn days_of_history_have_a_limit_and_only_accepted_ones_count() {
    let app = limited(1_000, 100).await;
    let bearer = app.access_token(USER).await;
    assert_eq!(ask(&app, &bearer, "dailies", 90).await.status(), 202);
    assert_eq!(ask(&app, &bearer, "dailies", 90).await.status(), 409);
    let refused = ask(&app, &bearer, "sleeps", 11).await;
    assert!((1..=60).contains(&seconds_to_wait(&refused)));
    assert_eq!(refused.status(), 429);
    assert_eq!(ask(&app, &bearer, "sleeps", 10).await.status(), 202);
}
