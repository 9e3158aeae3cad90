//! The main job: a burst of notifications of many users goes through receiver, RabbitMQ and workers, and the
//! database holds what the simulator has worked out on its own.

use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, send};
use apollo_simulator::verify::verify;
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_ends_as_the_rows_that_the_simulator_expects() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    let workers = (site.worker(&[]).await?, site.worker(&[]).await?);
    let plan = Plan { users: 40, days: 2, seed: 3, sample_interval_seconds: Some(300) };
    let options = SendOptions { concurrency: 8, ..SendOptions::new(receiver.url().parse()?) };
    let report = send(&plan, &options, CancellationToken::new(), |_| {}).await?;
    assert!(report.complete);

    let sent = report.progress.notifications as f64;
    let all_stored = async || {
        let stored = workers.0.stored().await.ok()? + workers.1.stored().await.ok()?;
        (stored >= sent).then_some(())
    };
    eventually("every notification is stored", all_stored).await?;
    let compared = verify(&site.pool, &plan).await?;
    assert!(compared.is_clean(), "{compared:?}");
    assert!(compared.compared > 3_000, "{compared:?}");

    // Each summary sent had one outcome.
    let mut outcomes = 0.0;
    for worker in [&workers.0, &workers.1] {
        outcomes += worker.metric("apollo_worker_summaries_total", &[]).await?;
    }
    assert_eq!(outcomes, report.progress.summaries_total() as f64);
    Ok(())
}
