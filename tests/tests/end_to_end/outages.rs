//! Broker and database away, at the start and in the middle: nothing that was acknowledged is lost, and
//! everything goes on by itself.

use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, SendReport, send};
use apollo_simulator::verify::{VerifyReport, verify};
use apollo_tests::Result;
use apollo_tests::programs::RunningReceiver;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use xtask::stack::{Stack, StackFolder};

const DAILIES: &str = "/api_client/garmin/dailies";

/// A place on servers of the test's own, which may be stopped at will.
async fn site_on(servers: &Stack) -> Result<Site> {
    Site::on(servers.postgres.address.clone(), servers.rabbitmq.address.clone()).await
}

fn daily(steps: u32) -> String {
    json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200 + steps, "steps": steps}]})
        .to_string()
}

/// Waits until Garmin would get this answer.
async fn answers(receiver: &RunningReceiver, status: StatusCode, body: String) -> Result<reqwest::Response> {
    let answer = async || {
        let answer = receiver.post(DAILIES, body.clone()).await.ok()?;
        (answer.status() == status).then_some(answer)
    };
    eventually(&format!("the receiver answers {status}"), answer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_neither_broker_nor_spool_says_503_and_recovers_by_itself() -> Result<()> {
    let mut servers = Stack::start("outage")?;
    let site = site_on(&servers).await?;
    servers.rabbitmq.stop()?;

    let receiver = site.starting_receiver(&["--receiver-spool-max-bytes", "0"]).await?;
    assert!(receiver.not_ready().await?.contains("broker"));
    let refusal = receiver.post(DAILIES, daily(0)).await?;
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.headers().contains_key("retry-after"));
    assert_eq!(refusal.headers()["content-type"], "application/problem+json");

    servers.rabbitmq.restart()?;
    receiver.ready().await?;
    receiver.accept(DAILIES, daily(1)).await?;

    servers.rabbitmq.kill()?;
    answers(&receiver, StatusCode::SERVICE_UNAVAILABLE, daily(2)).await?;
    assert!(receiver.not_ready().await?.contains("broker"));
    servers.rabbitmq.restart()?;
    receiver.ready().await?;
    receiver.accept(DAILIES, daily(3)).await?;

    // What was acknowledged before the crash has survived it.
    let worker = site.worker(&[]).await?;
    worker.has_stored(2).await?;
    let steps = "SELECT count(*) FROM garmin_wellness.daily_summary WHERE steps IN (1, 3)";
    assert_eq!(site.count(steps).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_database_holds_what_it_has_and_goes_on_by_itself() -> Result<()> {
    let mut servers = Stack::start("outage")?;
    let site = site_on(&servers).await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    receiver.accept(DAILIES, daily(0)).await?;
    worker.has_stored(1).await?;

    servers.postgres.stop()?;
    for steps in 1..=20 {
        receiver.accept(DAILIES, daily(steps)).await?;
    }
    assert!(worker.not_ready().await?.contains("database"));
    servers.postgres.restart()?;
    worker.ready().await?;
    worker.has_stored(21).await?;

    assert_eq!(site.count("SELECT count(*) FROM garmin_wellness.daily_summary").await?, 21);
    assert_eq!(site.broker().await?.waiting("apollo.dead").await?, 0, "an outage made a dead letter");
    let retried = worker.metric("apollo_worker_messages_total", &["retried"]).await?;
    assert!(retried > 0.0);
    Ok(())
}

/// Plays Garmin until everything is acknowledged.
pub(super) async fn push(plan: Plan, url: String) -> Result<SendReport> {
    let options = SendOptions { concurrency: 8, ..SendOptions::new(url.parse()?) };
    Ok(send(&plan, &options, CancellationToken::new(), |_| {}).await?)
}

/// Waits until the queue is empty and the database holds what the plan makes, and nothing else.
pub(super) async fn converged(site: &Site, plan: Plan) -> Result<()> {
    let options = site.database_url().parse()?;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    let compared = async || verify(&pool, &plan).await.ok().filter(VerifyReport::is_clean);
    match eventually("the database is as the simulator expects", compared).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}: {:?}", verify(&pool, &plan).await).into()),
    }
}

pub(super) fn plan(users: u32) -> Plan {
    Plan { users, days: 3, seed: 7, sample_interval_seconds: Some(1800) }
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_and_database_may_restart_and_crash_under_load() -> Result<()> {
    let mut servers = Stack::start("outage")?;
    let site = site_on(&servers).await?;
    let receiver = site.receiver(&[]).await?;
    let workers = (site.worker(&[]).await?, site.worker(&[]).await?);
    let plan = plan(60);
    let pushing = tokio::spawn(push(plan, receiver.url().to_owned()));

    for _ in 0..2 {
        tokio::task::block_in_place(|| -> Result<()> {
            std::thread::sleep(Duration::from_millis(700));
            servers.rabbitmq.restart()?;
            std::thread::sleep(Duration::from_millis(700));
            servers.postgres.kill()?;
            std::thread::sleep(Duration::from_millis(700));
            servers.postgres.restart()?;
            servers.rabbitmq.kill()?;
            servers.rabbitmq.restart()?;
            Ok(())
        })?;
    }
    let report = pushing.await??;
    assert!(report.complete, "Garmin gave up on some");
    assert!(report.progress.refusals.is_empty(), "{:?}", report.progress.refusals);
    converged(&site, plan).await?;
    assert_eq!(site.broker().await?.waiting("apollo.dead").await?, 0);
    drop(workers);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_may_be_killed_in_the_middle_of_their_work() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    let folder = StackFolder::create("killed")?;
    let worker = || site.worker_process(&folder, &[("WORKER__BATCH_MESSAGES", "8")]);
    let mut workers = [worker()?, worker()?];
    let plan = plan(60);
    let pushing = tokio::spawn(push(plan, receiver.url().to_owned()));

    let stored = "SELECT count(*) FROM garmin_raw.notification";
    for kill in 0..6 {
        let target = 60 * (kill + 1);
        let progress = async || (site.count(stored).await.ok()? >= target).then_some(());
        eventually("some more is stored", progress).await?;
        let victim = &mut workers[kill as usize % 2];
        victim.kill()?;
        *victim = worker()?;
    }
    let report = pushing.await??;
    assert!(report.complete, "Garmin gave up on some");
    converged(&site, plan).await?;
    drop(workers);
    drop(folder);
    Ok(())
}
