//! Bad input gets a clear answer, or harms only itself.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::site::Site;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DAILIES: &str = "/api_client/garmin/dailies";

#[tokio::test(flavor = "multi_thread")]
async fn what_garmin_never_sends_is_refused_with_a_problem_that_says_why() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    for (path, body, status) in [
        (DAILIES, "", StatusCode::BAD_REQUEST),
        (DAILIES, "hello", StatusCode::BAD_REQUEST),
        (DAILIES, r#"{"dailies": [{"userId": "u""#, StatusCode::BAD_REQUEST),
        (DAILIES, r#"[{"userId": "u"}]"#, StatusCode::BAD_REQUEST),
        (DAILIES, "{}", StatusCode::BAD_REQUEST),
        (DAILIES, r#"{"dailies": {"userId": "u"}}"#, StatusCode::BAD_REQUEST),
        ("/api_client/garmin/heartrates", r#"{"dailies": []}"#, StatusCode::NOT_FOUND),
        ("/metrics", "{}", StatusCode::NOT_FOUND),
    ] {
        let response = receiver.post(path, body).await?;
        assert_eq!(response.status(), status, "{path} {body}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path} {body}");
        let problem: Value = serde_json::from_slice(&response.bytes().await?)?;
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{problem}");
    }
    let get = reqwest::get(format!("{}{DAILIES}", receiver.url())).await?;
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    let broker = site.broker().await?;
    assert_eq!(broker.waiting("apollo.summaries").await?, 0, "a refused body was published");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_it_is_read() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&["--receiver-max-body-bytes", "1000"]).await?;
    let declared = "content-length: 1000000000\r\n\r\n{";
    let chunked = format!("transfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n", " ".repeat(2000));
    for rest in [declared, &chunked] {
        let address = receiver.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("POST {DAILIES} HTTP/1.1\r\nhost: {address}\r\n{rest}");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, b"HTTP/1.1 413");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_an_empty_list_and_an_unknown_user_are_accepted() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    for body in [r#"{"sunshine": [1]}"#, r#"{"dailies": []}"#, r#"{"dailies": [], "sunshine": 7}"#] {
        receiver.accept(DAILIES, body).await?;
    }
    worker.has_stored(3).await?;
    assert_eq!(worker.metric("apollo_worker_summaries_total", &["unknown", "raw"]).await?, 2.0);
    assert_eq!(site.count("SELECT count(*) FROM garmin_raw.notification").await?, 3);
    Ok(())
}

/// Sends `entries` as dailies beside a good one. Returns the dead letters, having seen that the good one was
/// stored.
async fn dead_letters_of(entries: &str) -> Result<(Site, Vec<apollo_tests::broker::Taken>)> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let good = r#"{"userId": "good", "startTimeInSeconds": 1794265200}"#;
    receiver.accept(DAILIES, format!(r#"{{"dailies": [{entries}, {good}]}}"#)).await?;
    worker.has_stored(1).await?;
    let stored = site.rows_of("daily_summary").await?;
    assert!(stored.iter().any(|row| row["user_id"] == "good"), "a bad entry harmed its neighbour");
    let mut dead = site.broker().await?.take_all("apollo.dead").await?;
    dead.sort_by_key(|letter| letter.envelope.first_entry_index);
    let counted = worker.metric("apollo_worker_summaries_total", &["dailies", "rejected"]).await?;
    assert_eq!(counted, dead.len() as f64);
    Ok((site, dead))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_becomes_a_dead_letter_alone() -> Result<()> {
    let deep =
        format!(r#"{{"userId":"u","startTimeInSeconds":1,"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let entries = [
        "5",
        "null",
        r#"{"startTimeInSeconds": 1794265200}"#,
        r#"{"userId": "", "startTimeInSeconds": 1794265200}"#,
        r#"{"userId": 7, "startTimeInSeconds": 1794265200}"#,
        r#"{"userId": "u"}"#,
        r#"{"userId": "u", "startTimeInSeconds": null}"#,
        r#"{"userId": "u", "startTimeInSeconds": "1794265200"}"#,
        r#"{"userId": "u", "startTimeInSeconds": 1e300}"#,
        r#"{"userId": "u", "startTimeInSeconds": 1794265200, "stressQualifier": "\u0000"}"#,
        r#"{"userId": "u", "startTimeInSeconds": 1794265200, "x": ["\ud800"]}"#,
        &deep,
    ];
    let (_site, dead) = dead_letters_of(&entries.join(", ")).await?;
    assert_eq!(dead.len(), entries.len());
    for (index, (letter, entry)) in dead.iter().zip(entries).enumerate() {
        assert_eq!(letter.body, format!(r#"{{"dailies": [{entry}]}}"#).as_bytes(), "its bytes as they came");
        assert_eq!(letter.header("reason").as_deref(), Some("malformed_entry"));
        assert!(letter.header("error").is_some_and(|error| error.len() > 20));
        assert_eq!(letter.header("lane").as_deref(), Some("summaries"));
        assert_eq!(letter.header("original-routing-key").as_deref(), Some("push.dailies"));
        assert_eq!(letter.envelope.message_id, dead[0].envelope.message_id);
        assert_eq!(letter.envelope.first_entry_index as usize, index, "its place, for a replay");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_their_columns_are_kept_in_extra() -> Result<()> {
    let odd = r#"{"userId": "u", "startTimeInSeconds": 1794265200, "steps": "many", "pushes": 99999999999,
        "floorsClimbed": 1.5, "activityType": 7, "calendarDate": "2026-02-30", "stressQualifier": null,
        "durationInSeconds": 1e2,
        "timeOffsetHeartRateSamples": {"15": 60, "30": "x", "045": 61, "60": null}}"#;
    let (site, dead) = dead_letters_of(odd).await?;
    assert_eq!(dead.len(), 0);
    let rows = site.rows_of("daily_summary").await?;
    let row = rows.iter().find(|row| row["user_id"] == "u").ok_or("no row")?;
    for empty in ["steps", "pushes", "floors_climbed", "activity_type", "calendar_date", "stress_qualifier"] {
        assert_eq!(row[empty], Value::Null, "{empty}");
    }
    assert_eq!(row["duration_in_seconds"], 100);
    assert_eq!((&row["heart_rate_offsets"], &row["heart_rate_values"]), (&json!([15]), &json!([60])));
    let extra = &row["extra"];
    assert_eq!(extra["steps"], "many");
    assert_eq!(extra["pushes"], 99_999_999_999_u64);
    assert_eq!(extra["stressQualifier"], Value::Null);
    assert_eq!(extra["timeOffsetHeartRateSamples"], json!({"30": "x", "045": 61, "60": null}));
    assert_eq!(extra.as_object().map(serde_json::Map::len), Some(7));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_beyond_double_precision_is_kept_as_written() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let entry = r#"{"userId": "u", "startTimeInSeconds": 1794265200, "distanceInMeters": 1e400,
                    "later": 0.12345678901234567890}"#;
    receiver.accept(DAILIES, format!(r#"{{"dailies": [{entry}]}}"#)).await?;
    worker.has_stored(1).await?;
    let kept = "SELECT count(*) FROM garmin_wellness.daily_summary WHERE distance_in_meters IS NULL
                AND extra = '{\"distanceInMeters\": 1e400, \"later\": 0.12345678901234567890}'";
    assert_eq!(site.count(kept).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_that_is_no_list_is_a_dead_letter_beside_good_lists() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let body = json!({"epochs": {"userId": "u"},
                      "dailies": [{"userId": "u", "startTimeInSeconds": 1794265200}]});
    receiver.accept(DAILIES, body.to_string()).await?;
    worker.has_stored(1).await?;
    let dead = site.broker().await?.take_all("apollo.dead").await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("reason").as_deref(), Some("not_a_list"));
    assert_eq!(dead[0].json()?, json!({"epochs": {"userId": "u"}}));
    assert_eq!(site.rows_of("daily_summary").await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_only_postgresql_refuses_becomes_a_dead_letter_alone() -> Result<()> {
    // A key of 2 MB of noise is JSON's and Apollo's business, but no B-tree's.
    let noise: String = (0..200_000_u64)
        .map(|index| char::from(b'a' + (index.wrapping_mul(2_654_435_761) >> 7) as u8 % 26))
        .collect();
    let entry = format!(r#"{{"userId": "{noise}", "startTimeInSeconds": 1794265200}}"#);
    let (site, dead) =
        dead_letters_of(&format!(r#"{{"userId": "b", "startTimeInSeconds": 1}}, {entry}"#)).await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("reason").as_deref(), Some("refused_by_database"));
    assert_eq!(dead[0].json()?["dailies"][0]["userId"], noise);
    assert_eq!(dead[0].envelope.first_entry_index, 1);
    assert_eq!(site.rows_of("daily_summary").await?.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_raw_form_only_postgresql_refuses_is_a_dead_letter_and_its_rows_are_stored()
-> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let body = json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200}]}).to_string();
    // An endpoint's name that the receiver would never give: text with a NUL character.
    for endpoint in ["dailies", "dai\0lies"] {
        let envelope = Envelope::of_arrival(endpoint, Microseconds::now(), None);
        broker.publish(&envelope, body.as_bytes()).await?;
    }
    worker.has_stored(2).await?;
    let dead = broker.take_all("apollo.dead").await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].header("reason").as_deref(), &dead[0].body),
        (Some("refused_by_database"), &body.into_bytes())
    );
    assert_eq!(site.rows_of("daily_summary").await?.len(), 1);
    assert_eq!(site.count("SELECT count(*) FROM garmin_raw.notification").await?, 1);
    Ok(())
}
