//! The receiver's own disk: a 200 holds while the broker is away, and everything arrives in the end.

use apollo_tests::Result;
use apollo_tests::launch::Launch;
use apollo_tests::site::Site;
use futures_util::future::{join, try_join_all};
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::net::TcpListener;
use xtask::stack::{Stack, StackFolder};

const DAILIES: &str = "/api_client/garmin/dailies";
const MESSAGES: &str = "apollo_receiver_spool_messages";
const STORED: &str = "SELECT count(*) FROM garmin_wellness.daily_summary";

fn daily(steps: i64) -> String {
    json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200 + steps, "steps": steps}]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_the_broker_was_away_arrives_with_the_time_of_its_arrival() -> Result<()>
{
    let mut servers = Stack::start("spool")?;
    let site = Site::on(servers.postgres.address.clone(), servers.rabbitmq.address.clone()).await?;
    servers.rabbitmq.stop()?;

    let receiver = site.starting_receiver(&[]).await?;
    receiver.ready().await?;
    for steps in 0..20 {
        receiver.accept(DAILIES, daily(steps)).await?;
    }
    receiver.shows(MESSAGES, 20.0).await?;
    let first_arrivals_were_before: i64 =
        sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(&site.pool)
            .await?;

    servers.rabbitmq.restart()?;
    receiver.shows(MESSAGES, 0.0).await?;
    receiver.accept(DAILIES, daily(20)).await?;
    let worker = site.worker(&[]).await?;
    worker.has_stored(21).await?;
    assert_eq!(site.count(STORED).await?, 21);
    let early: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM garmin_wellness.daily_summary
         WHERE received_at < to_timestamp($1::double precision / 1000000)",
    )
    .bind(first_arrivals_were_before)
    .fetch_one(&site.pool)
    .await?;
    assert_eq!(early, 20, "received_at is the time of the first arrival");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_survives_a_kill_and_is_emptied_by_the_next_start() -> Result<()> {
    let site = Site::new().await?;
    let stack = StackFolder::create("spool")?;
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let with_broker = Launch::receiver(&site)?;
    let without = with_broker.clone().env("RABBITMQ__URL", format!("amqp://guest:guest@{nobody}/%2f"));
    let url = format!("http://{}{DAILIES}", with_broker.address());
    for round in 0..3 {
        let mut receiver = without.start(&stack)?;
        for steps in 0..10 {
            let answer = Client::new().post(&url).body(daily(round * 10 + steps)).send().await?;
            assert_eq!(answer.status(), StatusCode::OK);
        }
        receiver.kill()?;
    }

    let worker = site.worker(&[]).await?;
    let _receiver = with_broker.start(&stack)?;
    worker.has_stored(30).await?;
    assert_eq!(site.count(STORED).await?, 30);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_a_503_until_the_broker_is_back() -> Result<()> {
    let mut servers = Stack::start("spool")?;
    let site = Site::on(servers.postgres.address.clone(), servers.rabbitmq.address.clone()).await?;
    servers.rabbitmq.stop()?;
    let receiver = site.starting_receiver(&["--receiver-spool-max-bytes", "65536"]).await?;
    let mut accepted = 0;
    let refusal = loop {
        // Random, so that it cannot be compressed away.
        let padding: String = (0..200).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
        let body = json!({"dailies": [{
            "userId": "u", "startTimeInSeconds": 1794265200 + accepted, "padding": padding,
        }]});
        let answer = receiver.post(DAILIES, body.to_string()).await?;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        accepted += 1;
    };
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.headers().contains_key("retry-after"));
    let reasons = receiver.not_ready().await?;
    assert!(reasons.contains("broker: ") && reasons.contains("RECEIVER__SPOOL_MAX_BYTES"), "{reasons}");

    servers.rabbitmq.restart()?;
    receiver.ready().await?;
    receiver.shows(MESSAGES, 0.0).await?;
    let worker = site.worker(&[]).await?;
    worker.has_stored(usize::try_from(accepted)?).await?;
    assert_eq!(site.count(STORED).await?, accepted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_is_kept_until_a_worker_has_made_the_queue_again() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    receiver.accept(DAILIES, daily(0)).await?;
    let worker = site.worker(&[]).await?;
    worker.has_stored(1).await?;
    worker.stop().await?;

    site.broker().await?.delete("apollo.summaries").await?;
    receiver.accept(DAILIES, daily(1)).await?;
    assert_eq!(receiver.metric(MESSAGES, &[]).await?, 1.0);
    let worker = site.worker(&[]).await?;
    receiver.shows(MESSAGES, 0.0).await?;
    worker.has_stored(1).await?;
    assert_eq!(site.count(STORED).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_queue_takes_is_not_acknowledged_whoever_shares_its_channel() -> Result<()> {
    const EACH: u32 = 300;
    let site = Site::new().await?;
    let receiver = site.receiver(&["--receiver-spool-max-bytes=0"]).await?;
    receiver.accept(DAILIES, daily(0)).await?;
    site.broker().await?.delete("apollo.account").await?;

    let left = json!({"deregistrations": [{"userId": "u"}]}).to_string();
    let posts = (1..=EACH).map(async |number| {
        let (stays, goes) = join(
            receiver.post(DAILIES, daily(number.into())),
            receiver.post("/oauth/garmin/deregistration", left.clone()),
        )
        .await;
        Ok::<_, apollo_tests::Error>((stays?.status().is_success(), goes?.status().is_success()))
    });
    let outcomes = try_join_all(posts).await?;
    let stayed = outcomes.iter().filter(|(stayed, _)| *stayed).count();
    let went = outcomes.iter().filter(|(_, went)| *went).count();
    assert!(went < outcomes.len());
    assert!(site.broker().await?.waiting("apollo.summaries").await? as usize > stayed);
    // It may be there again before the last of them; what was refused may be in it, too.
    let arrived = site.broker().await?.waiting("apollo.account").await.unwrap_or_default() as usize;
    assert!(arrived >= went, "{went} were acknowledged and {arrived} arrived");
    Ok(())
}
