//! Messages that take a worker down with them: only they become dead letters, whatever they were handled with.

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use serde_json::{Value, json};
use uuid::Uuid;
use xtask::stack::StackFolder;

/// Publishes a daily of this user.
async fn publish(broker: &Broker, user_id: &str) -> Result<Envelope> {
    let envelope = Envelope::of_arrival("dailies", Microseconds::now(), None);
    let body = json!({"dailies": [{"userId": user_id, "startTimeInSeconds": 1_794_265_200}]});
    broker.publish(&envelope, body.to_string().as_bytes()).await?;
    Ok(envelope)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_every_worker_is_dead_lettered_and_its_neighbours_are_stored() -> Result<()> {
    let (site, folder) = (Site::new().await?, StackFolder::create("poison")?);
    sqlx::raw_sql(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.user_id = 'poison' THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
         CREATE TRIGGER hang BEFORE INSERT ON garmin_wellness.daily_summary
         FOR EACH ROW EXECUTE FUNCTION hang();",
    )
    .execute(&site.pool)
    .await?;
    let broker = site.broker().await?;
    let mut poison = Uuid::nil();
    for number in 0..150 {
        match number {
            20 => poison = publish(&broker, "poison").await?.message_id,
            _ => drop(publish(&broker, &format!("good {number}")).await?),
        }
    }

    let settings = [("WORKER__BATCH_MESSAGES", "8"), ("WORKER__LANES", "summaries")];
    let mut kills = 0;
    let hangs = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event = 'PgSleep'";
    loop {
        let mut worker = site.worker_process(&folder, &settings)?;
        let hangs_or_gone = async || {
            let hangs = site.count(hangs).await.ok()? > 0;
            let gone = broker.waiting("apollo.dead").await.ok()? > 0;
            (hangs || gone).then_some(gone)
        };
        if eventually("the poison is worked on, or dead", hangs_or_gone).await? {
            let stored = "SELECT count(DISTINCT user_id) FROM garmin_wellness.daily_summary";
            let all = async || (site.count(stored).await.ok()? == 149).then_some(());
            eventually("all its neighbours are stored", all).await?;
            break;
        }
        worker.kill()?;
        kills += 1;
        site.disconnect_workers().await?;
        let over = async || (site.count(hangs).await.ok()? == 0).then_some(());
        eventually("nothing hangs any more", over).await?;
    }
    assert_eq!(kills, 21, "each kill counts as one delivery");

    let listed: Value = serde_json::from_str(&site.printed(&["dead-letters", "list", "--json"], 0)?)?;
    assert_eq!(listed["total"], 1, "a neighbour was dead-lettered: {listed}");
    let letter = &listed["letters"][0];
    assert_eq!((&letter["id"], &letter["reason"]), (&json!(poison.to_string()), &json!("delivery_limit")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_work_does_not_end_ends_and_gives_its_messages_back() -> Result<()> {
    let (site, folder) = (Site::new().await?, StackFolder::create("stuck")?);
    let broker = site.broker().await?;
    let envelope = Envelope::of_arrival("dailies", Microseconds::now(), None);
    // A body that takes far longer than a second to read, as tests are not optimized.
    let entry = json!({"userId": "u", "startTimeInSeconds": 1_794_265_200, "x": 1, "y": [1, 2, 3]});
    let entries = vec![entry; 400_000];
    broker.publish(&envelope, json!({ "dailies": entries }).to_string().as_bytes()).await?;

    let settings = [("WORKER__READING_SECONDS", "1"), ("WORKER__LANES", "summaries")];
    let mut worker = site.worker_process(&folder, &settings)?;
    let ended = || std::future::ready(worker.ended().ok().flatten());
    let status = eventually("the worker ends", ended).await?;
    assert_eq!(status.code(), Some(1));
    let log = worker.log_tail();
    assert!(log.contains(&envelope.message_id.to_string()), "{log}");
    let waits = async || (broker.waiting("apollo.summaries").await.ok()? == 1).then_some(());
    eventually("the message is in its queue again", waits).await
}
