//! Stored notifications, read again with `apollo-worker replay`.

use apollo_tests::Result;
use apollo_tests::programs::SECRETS_KEYS;
use apollo_tests::site::Site;
use serde_json::json;
use std::process::{Command, Output};
use xtask::stack::of_tests;

/// Another key of the same name, with which nothing can be opened.
const WRONG_KEYS: &str = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn replay(site: &Site, keys: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(of_tests()?.binary("apollo-worker"));
    command.arg("replay").args(["--from", "2026-01-01"]).args(arguments);
    command.env("DATABASE__URL", site.database_url()).env("SECRETS__KEYS", keys);
    Ok(command.output()?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Dailies and epochs of a few users, one a notification, more than one page of them, and one that is odd.
async fn fill(site: &Site) -> Result<()> {
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    for number in 0..70 {
        let body = json!({
            "dailies": [{"userId": format!("u{number}"), "startTimeInSeconds": 1_794_265_200,
                         "durationInSeconds": 900, "steps": number, "timeOffsetHeartRateSamples": {"15": 60}}],
            "epochs": [{"userId": format!("u{number}"), "startTimeInSeconds": 1_794_265_200}],
        });
        receiver.accept("/api_client/garmin", body.to_string()).await?;
    }
    receiver.accept("/api_client/garmin/dailies", r#"{"dailies": [5], "ofTheFuture": [{}]}"#).await?;
    worker.has_stored(71).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_lost_is_filled_again_with_the_same_rows() -> Result<()> {
    let site = Site::new().await?;
    fill(&site).await?;
    let before = site.rows().await?;
    sqlx::raw_sql("TRUNCATE garmin_wellness.daily_summary, garmin_wellness.epoch_summary")
        .execute(&site.pool)
        .await?;

    let first = replay(&site, SECRETS_KEYS, &[])?;
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains("dailies: 70 created, 1 rejected"), "{}", text(&first));
    assert!(text(&first).contains("71 notifications replayed"), "{}", text(&first));
    assert!(text(&first).contains("when they first came: 1"), "{}", text(&first));
    assert_eq!(site.rows().await?, before);

    let again = replay(&site, SECRETS_KEYS, &[])?;
    assert!(text(&again).contains("dailies: 70 unchanged, 1 rejected"), "{}", text(&again));
    assert_eq!(site.rows().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_types_and_the_time_asked_for_are_replayed() -> Result<()> {
    let site = Site::new().await?;
    fill(&site).await?;
    sqlx::raw_sql("TRUNCATE garmin_wellness.daily_summary, garmin_wellness.epoch_summary")
        .execute(&site.pool)
        .await?;
    let before_all = replay(&site, SECRETS_KEYS, &["--to", "2026-01-02T10:00:00Z"])?;
    assert!(text(&before_all).contains("0 notifications replayed"), "{}", text(&before_all));
    let epochs = replay(&site, SECRETS_KEYS, &["--type", "epochs"])?;
    assert!(epochs.status.success(), "{}", text(&epochs));
    assert_eq!(site.rows_of("epoch_summary").await?.len(), 70);
    assert_eq!(site.rows_of("daily_summary").await?.len(), 0);
    let unknown = replay(&site, SECRETS_KEYS, &["--type", "heartrates"])?;
    assert!(!unknown.status.success() && text(&unknown).contains("stressDetails"), "{}", text(&unknown));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_does_not_go_behind_what_is_newer() -> Result<()> {
    let site = Site::new().await?;
    fill(&site).await?;
    let newer = "UPDATE garmin_wellness.daily_summary
                 SET steps = -1, duration_in_seconds = 1800, content_digest = 'of the newer'";
    sqlx::raw_sql(newer).execute(&site.pool).await?;
    let before = site.rows().await?;
    let output = replay(&site, SECRETS_KEYS, &[])?;
    assert!(text(&output).contains("dailies: 70 stale, 1 rejected"), "{}", text(&output));
    assert_eq!(site.rows().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_that_no_key_opens_are_counted_and_the_command_fails() -> Result<()> {
    let site = Site::new().await?;
    fill(&site).await?;
    let output = replay(&site, WRONG_KEYS, &[])?;
    assert!(!output.status.success());
    assert!(text(&output).contains("71 notifications could not be read"), "{}", text(&output));
    Ok(())
}
