//! What Garmin sends arrives where it belongs, unaltered.

use apollo_tests::Result;
use apollo_tests::site::Site;
use serde_json::{Value, json};

/// Invented entries in the shape of Garmin's, with what is odd about real ones.
const DAILIES: &str = r#"{"dailies": [
  {"userId": "8f3d1c6a4be24f0c9a7d52e1b0c4f7a9", "userAccessToken": "1d2c3b4a-token",
   "summaryId": "x2b7e151-6af25070-c990-6", "calendarDate": "2026-11-10", "steps": 5120.0,
   "distanceInMeters": 3987.25, "durationInSeconds": 51600, "startTimeInSeconds": 1794265200,
   "startTimeOffsetInSeconds": 3600, "averageStressLevel": -1, "stressQualifier": "balanced_awake",
   "timeOffsetHeartRateSamples": {"60": 50, "15": 52, "30": 51}, "newField": {"a": [1, 2.50]}},
  {"userId": "c0a41e52-7a34-4d56-8e90-1b2a3c4d5e6f", "startTimeInSeconds": 1794200400,
   "timeOffsetHeartRateSamples": {}}]}"#;

const SLEEPS: &str = r#"{"sleeps": [
  {"userId": "8f3d1c6a4be24f0c9a7d52e1b0c4f7a9", "startTimeInSeconds": 1794262320,
   "startTimeOffsetInSeconds": 3600, "durationInSeconds": 21900, "unmeasurableSleepDurationInSeconds": 300,
   "sleepLevelsMap": {"deep": [{"startTimeInSeconds": 1794263760, "endTimeInSeconds": 1794266220}]},
   "timeOffsetSleepRespiration": {"0": 14.42, "60": 14}, "timeOffsetSleepSpo2": {"0": 95},
   "overallSleepScore": {"value": 78, "qualifierKey": "FAIR", "trend": "UP"},
   "sleepScores": {"stress": {"qualifierKey": "GOOD"}, "awakeCount": {}},
   "naps": [{"napDurationInSeconds": 1500, "napValidation": "DEVICE"}]}]}"#;

fn column<'a>(rows: &'a [Value], user_id: &str, name: &str) -> &'a Value {
    let row = rows.iter().find(|row| row["user_id"] == user_id);
    row.map_or(&Value::Null, |row| &row[name])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_daily_summary_is_in_its_row() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    receiver.accept("/api_client/garmin/dailies", DAILIES).await?;
    worker.has_stored(1).await?;

    let rows = site.rows_of("daily_summary").await?;
    let of_first = |name| column(&rows, "8f3d1c6a4be24f0c9a7d52e1b0c4f7a9", name);
    assert_eq!(of_first("start_time"), "2026-11-09T23:00:00+00:00");
    assert_eq!(of_first("calendar_date"), "2026-11-10");
    assert_eq!(of_first("steps"), 5120);
    assert_eq!(of_first("distance_in_meters"), 3987.25);
    assert_eq!(of_first("average_stress_level"), -1);
    assert_eq!(of_first("heart_rate_offsets"), &json!([15, 30, 60]));
    assert_eq!(of_first("heart_rate_values"), &json!([52, 51, 50]));
    assert_eq!(of_first("extra"), &json!({"newField": {"a": [1, 2.50]}}));
    let of_second = |name| column(&rows, "c0a41e52-7a34-4d56-8e90-1b2a3c4d5e6f", name);
    assert_eq!(of_second("heart_rate_offsets"), &json!([]));
    assert_eq!(of_second("steps"), &Value::Null);
    assert_eq!(of_second("extra"), &Value::Null);
    assert!(!serde_json::to_string(&rows)?.contains("1d2c3b4a-token"), "a token is kept with the data");

    let samples = site.count("SELECT count(*) FROM garmin_wellness.heart_rate_sample").await?;
    assert_eq!(samples, 3);
    let unknown = worker.metric("apollo_worker_fields_unknown_total", &["dailies"]).await?;
    assert_eq!(unknown, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_objects_are_flattened_and_lists_kept() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    receiver.accept("/api_client/garmin/sleeps", SLEEPS).await?;
    worker.has_stored(1).await?;

    let rows = site.rows_of("sleep_summary").await?;
    let column = |name: &str| &rows[0][name];
    assert_eq!(column("overall_sleep_score_value"), 78);
    assert_eq!(column("overall_sleep_score_qualifier_key"), "FAIR");
    assert_eq!(column("sleep_scores_stress_qualifier_key"), "GOOD");
    assert_eq!(column("unmeasurable_sleep_in_seconds"), 300);
    assert_eq!(column("sleep_respiration_values"), &json!([14.42, 14]));
    assert_eq!(column("naps")[0]["napDurationInSeconds"], 1500);
    assert_eq!(
        column("extra"),
        &json!({"overallSleepScore": {"trend": "UP"}, "sleepScores": {"awakeCount": {}}}),
        "what has no column, and an empty object, are kept under Garmin's names"
    );
    let stages = "SELECT count(*) FROM garmin_wellness.sleep_levels_sample
                  WHERE level = 'deep' AND end_time - time = interval '41 minutes'
                    AND time_local = timestamp '2026-11-09 23:36:00'";
    assert_eq!(site.count(stages).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_replaces_an_earlier_one_and_outcomes_are_counted_apart() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let daily = |steps: u32, duration: u32| {
        json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200, "steps": steps,
                            "durationInSeconds": duration}]})
        .to_string()
    };
    for (index, body) in [daily(10, 900), daily(20, 1800), daily(5, 600), daily(20, 1800), daily(30, 1800)]
        .into_iter()
        .enumerate()
    {
        receiver.accept("/api_client/garmin/dailies", body).await?;
        worker.has_stored(index + 1).await?;
    }

    let rows = site.rows_of("daily_summary").await?;
    assert_eq!((rows.len(), &rows[0]["steps"]), (1, &json!(30)));
    for (outcome, count) in [("created", 1.0), ("updated", 2.0), ("stale", 1.0), ("unchanged", 1.0)] {
        let counted = worker.metric("apollo_worker_summaries_total", &["dailies", outcome]).await?;
        assert_eq!(counted, count, "{outcome}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_may_share_a_body_and_go_to_any_endpoint() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let body = json!({
        "userMetrics": [{"userId": "u", "calendarDate": "2026-11-10", "vo2Max": 49.0}],
        "epochs": [{"userId": "u", "startTimeInSeconds": 1794294900, "activityType": "WALKING"},
                   {"userId": "u", "startTimeInSeconds": 1794294900, "activityType": "SEDENTARY"},
                   {"userId": "u", "startTimeInSeconds": 1794294900}],
        "stressDetails": [{"userId": "u", "startTimeInSeconds": 1794265200,
                           "timeOffsetStressLevelValues": {"0": 17, "180": -1, "360": 0}}],
    });
    receiver.accept("/api_client/garmin/sleeps", body.to_string()).await?;
    receiver.accept("/api_client/garmin", body.to_string()).await?;
    receiver.accept("/api_client/garmin/STRESSdetails", body.to_string()).await?;
    worker.has_stored(3).await?;

    let epochs = site.rows_of("epoch_summary").await?;
    let mut types: Vec<&str> = epochs.iter().filter_map(|row| row["activity_type"].as_str()).collect();
    types.sort_unstable();
    assert_eq!(types, ["", "SEDENTARY", "WALKING"]);
    assert_eq!(site.rows_of("user_metrics").await?.len(), 1);
    let measured = "SELECT count(*) FROM garmin_wellness.stress_sample";
    assert_eq!(site.count(measured).await?, 2, "a level of 0 is one, -1 is none");
    assert_eq!(site.count("SELECT count(*) FROM garmin_oauth.user_id WHERE active").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_account_entries_go_to_their_own_queues() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let ping =
        json!({"userId": "u", "callbackURL": "https://apis.garmin.com/wellness-api/rest/x?id=1&token=t"});
    let daily = json!({"userId": "u", "startTimeInSeconds": 1794265200});
    let body = format!(r#"{{"dailies": [{daily}, {ping}], "activityFiles": [{ping}]}}"#);
    receiver.accept("/api_client/garmin/dailies", body).await?;
    worker.has_stored(1).await?;

    let broker = site.broker().await?;
    let mut pulls = broker.take_all("apollo.pull").await?;
    pulls.sort_by_key(|pull| pull.envelope.first_entry_index);
    let keys: Vec<&str> = pulls.iter().map(|pull| pull.routing_key.as_str()).collect();
    assert_eq!(keys, ["pull.dailies", "pull.activityFiles"]);
    assert_eq!(pulls[0].json()?, json!({"dailies": [ping]}));
    assert_eq!(pulls[0].envelope.first_entry_index, 1);
    assert_eq!(site.rows_of("daily_summary").await?.len(), 1);

    let deregistration = json!({"deregistrations": [{"userId": "u"}]});
    let change = json!({"userPermissionsChange": [{"userId": "u", "permissions": []}]});
    receiver.accept("/oauth/garmin/deregistration", deregistration.to_string()).await?;
    receiver.accept("/oauth/garmin/permissions", change.to_string()).await?;
    receiver.accept("/api_client/garmin", deregistration.to_string()).await?;
    let account = broker.take_all("apollo.account").await?;
    let keys: Vec<&str> = account.iter().map(|message| message.routing_key.as_str()).collect();
    assert_eq!(keys, ["account.deregistrations", "account.userPermissionsChange", "account.deregistrations"]);
    assert_eq!(account[1].json()?, change);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_table_takes_yet_is_kept_raw_sealed_and_counted() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let body = json!({"solarIntensity": [{"userId": "u"}, {"userId": "v"}], "sunshine": [{"hours": 3}]});
    receiver.accept("/api_client/garmin/solarIntensity", body.to_string()).await?;
    worker.has_stored(1).await?;

    let counted = async |key: &str| worker.metric("apollo_worker_summaries_total", &[key, "raw"]).await;
    assert_eq!((counted("solarIntensity").await?, counted("unknown").await?), (2.0, 1.0));
    let readable =
        "SELECT count(*) FROM garmin_raw.notification WHERE position('sunshine' IN body::text) > 0";
    let kept = "SELECT count(*) FROM garmin_raw.notification WHERE endpoint = 'solarIntensity'";
    assert_eq!((site.count(kept).await?, site.count(readable).await?), (1, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_raw_notifications_what_no_table_takes_becomes_a_dead_letter() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    let worker = site.worker(&["--raw-retention-days", "0"]).await?;
    let body = json!({"sunshine": [{"hours": 3}]});
    receiver.accept("/api_client/garmin/dailies", body.to_string()).await?;
    worker.has_stored(1).await?;

    let dead = site.broker().await?.take_all("apollo.dead").await?;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].header("reason").as_deref(), dead[0].json()?), (Some("unknown_key"), body));
    assert_eq!(site.count("SELECT count(*) FROM garmin_raw.notification").await?, 0);
    Ok(())
}
