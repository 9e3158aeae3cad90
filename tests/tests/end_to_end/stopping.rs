//! SIGTERM: what is in hand is finished and acknowledged, what is not stays in its queue; whoever is in a hurry sends
//! a second one.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use serde_json::json;
use std::process::Command;
use xtask::stack::StackFolder;
use xtask::stack::process::Process;

async fn publish(broker: &Broker, messages: u32) -> Result<()> {
    for number in 0..messages {
        let envelope = Envelope::of_arrival("dailies", Microseconds::now(), None);
        let entry = json!({"userId": format!("u{number}"), "startTimeInSeconds": 1_794_265_200});
        broker.publish(&envelope, json!({"dailies": [entry]}).to_string().as_bytes()).await?;
    }
    Ok(())
}

fn terminate(process: &Process) -> Result<()> {
    let status = Command::new("kill").args(["-TERM", &process.pid().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err("kill failed".into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_under_load_finishes_what_it_has_in_hand() -> Result<()> {
    const MESSAGES: u32 = 600;
    let (site, folder) = (Site::new().await?, StackFolder::create("stopping")?);
    let broker = site.broker().await?;
    publish(&broker, MESSAGES).await?;
    let stored = "SELECT count(*) FROM garmin_raw.notification";
    let settings = [("WORKER__BATCH_MESSAGES", "4"), ("WORKER__LANES", "summaries")];
    let mut worker = site.worker_process(&folder, &settings)?;
    let busy = async || (site.count(stored).await.ok()? >= 40).then_some(());
    eventually("the worker is in the middle of it", busy).await?;

    let status = tokio::task::block_in_place(|| worker.stop())?.ok_or("it has ended")?;
    assert_eq!(status.code(), Some(0), "{}", worker.log_tail());
    let stored = site.count(stored).await?;
    assert!(stored < i64::from(MESSAGES), "it was stopped too late for this test");
    // Each message is either stored and acknowledged, or waits.
    let waiting = async || {
        let waiting = broker.waiting("apollo.summaries").await.ok()?;
        (i64::from(waiting) + stored >= i64::from(MESSAGES)).then_some(waiting)
    };
    let waiting = eventually("what was not stored waits", waiting).await?;
    assert_eq!(i64::from(waiting) + stored, i64::from(MESSAGES), "a message was stored and not acknowledged");

    let worker = site.worker(&[]).await?;
    worker.has_stored(usize::try_from(waiting)?).await?;
    assert_eq!(site.rows_of("daily_summary").await?.len(), MESSAGES as usize);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_does_not_wait_for_what_is_in_hand() -> Result<()> {
    let (site, folder) = (Site::new().await?, StackFolder::create("hurry")?);
    let broker = site.broker().await?;
    let mut lock = site.pool.begin().await?;
    sqlx::query("LOCK TABLE garmin_wellness.daily_summary IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await?;
    publish(&broker, 1).await?;
    // Without a time limit it waits for the lock until it is killed.
    let url = format!("{}?options[lock_timeout]=0&options[statement_timeout]=0", site.database_url());
    let settings = [("DATABASE__URL", url.as_str()), ("WORKER__LANES", "summaries")];
    let mut worker = site.worker_process(&folder, &settings)?;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted
                 AND relation = 'garmin_wellness.daily_summary'::regclass";
    let waiting = async || (site.count(waits).await.ok()? > 0).then_some(());
    eventually("the worker waits for the lock", waiting).await?;

    terminate(&worker)?;
    let told = async || worker.log_tail().contains("SIGTERM received").then_some(());
    eventually("the worker finishes what it has in hand", told).await?;
    assert!(worker.is_alive());
    terminate(&worker)?;
    let ended = || std::future::ready(worker.ended().ok().flatten());
    let status = eventually("the worker ends", ended).await?;
    assert_eq!(status.code(), Some(143));
    let again = async || (broker.waiting("apollo.summaries").await.ok()? == 1).then_some(());
    eventually("the message is in its queue again", again).await
}
