//! How fast Garmin is asked: one limit for all workers, exact, over restarts, and pauses for all of them.

use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_worker::pace::{Grant, Limits, Outcome, Pace};
use apollo_worker::store;
use futures_util::future::try_join_all;
use std::num::NonZeroU32;
use std::time::Duration;

fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// A worker's limiter, with connections of its own.
fn pace(site: &Site) -> Result<Pace> {
    let options = store::connect_options(&site.database_url().into())?;
    let limits = Limits { requests_per_minute: some(50), backfill_days_per_minute: some(100) };
    Ok(Pace::new(store::pool(options, 2), limits))
}

/// Asks for requests until none are granted. Returns how many were.
async fn drain(pace: &Pace) -> Result<u32> {
    let mut granted = 0;
    while let Grant::Granted(more) = pace.requests(some(7)).await? {
        granted += more.get();
    }
    Ok(granted)
}

/// Asks for ranges of history until none is granted. Returns how many days were.
async fn drain_backfill(pace: &Pace) -> Result<u32> {
    let mut granted = 0;
    while let Grant::Granted(days) = pace.backfill(some(9)).await? {
        granted += days.get();
    }
    Ok(granted)
}

/// The past is so many seconds longer ago.
async fn pass(site: &Site, seconds: i64) -> Result<()> {
    sqlx::query("UPDATE garmin_pull.request_second SET second = second - $1")
        .bind(seconds)
        .execute(&site.pool)
        .await?;
    sqlx::query("UPDATE garmin_pull.pause SET until = until - make_interval(secs => $1)")
        .bind(seconds as f64)
        .execute(&site.pool)
        .await?;
    Ok(())
}

async fn wait(pace: &Pace) -> Result<Duration> {
    match pace.requests(NonZeroU32::MIN).await? {
        Grant::Wait(wait) => Ok(wait),
        Grant::Granted(_) => Err("granted".into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_one_limit_that_a_restart_does_not_lift() -> Result<()> {
    let site = Site::new().await?;
    let workers = (0..6).map(|_| pace(&site)).collect::<Result<Vec<_>>>()?;
    let granted = try_join_all(workers.iter().map(drain)).await?;
    assert_eq!(granted.iter().sum::<u32>(), 50, "{granted:?}");

    // Half a minute later, and after a restart, nothing is left; nor is it when the minute is just over.
    drop(workers);
    let workers = (0..6).map(|_| pace(&site)).collect::<Result<Vec<_>>>()?;
    for seconds in [30, 30] {
        pass(&site, seconds).await?;
        assert_eq!(try_join_all(workers.iter().map(drain)).await?, [0; 6]);
    }
    assert!(wait(&workers[0]).await? <= Duration::from_secs(3));
    pass(&site, 3).await?;
    let granted = try_join_all(workers.iter().map(drain_backfill)).await?;
    assert_eq!(granted.iter().sum::<u32>(), 99, "as many ranges of 9 days as 100 days have room for");
    let granted = try_join_all(workers.iter().map(drain)).await?;
    assert_eq!(granted.iter().sum::<u32>(), 50 - 11, "a request for history is a request");
    let old = "SELECT count(*) FROM garmin_pull.request_second
               WHERE second < extract(epoch FROM now()) - 70";
    assert_eq!(site.count(old).await?, 0, "what does not count any more is deleted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_workers_pause_when_garmin_has_enough_or_is_in_trouble() -> Result<()> {
    let site = Site::new().await?;
    let (one, other) = (pace(&site)?, pace(&site)?);
    let seconds = Duration::from_secs;

    one.answered(Outcome::RateLimited(Some(seconds(120)))).await?;
    one.answered(Outcome::RateLimited(Some(seconds(1)))).await?;
    one.answered(Outcome::Success).await?;
    let left = wait(&other).await?;
    assert!(left > seconds(30) && left <= seconds(120), "the longest counts: {left:?}");
    assert!(matches!(other.backfill(some(1)).await?, Grant::Wait(_)), "history waits too");
    pass(&site, 120).await?;
    assert!(matches!(other.requests(some(1)).await?, Grant::Granted(_)));
    one.answered(Outcome::RateLimited(None)).await?;
    assert!(wait(&other).await? <= seconds(60));
    pass(&site, 60).await?;
    one.answered(Outcome::RateLimited(Some(seconds(1_000_000)))).await?;
    assert!(wait(&other).await? <= seconds(3600), "nobody holds us up for longer than an hour");

    let longest = "SELECT floor(extract(epoch FROM until - now()))::bigint FROM garmin_pull.pause";
    let mut pauses = vec![];
    for _ in 0..8 {
        pass(&site, 3600).await?;
        // Two at once are one failure of Garmin's.
        one.answered(Outcome::Failed).await?;
        other.answered(Outcome::Failed).await?;
        pauses.push(site.count(longest).await? + 1);
    }
    assert!(pauses.is_sorted() && pauses[0] <= 1 && pauses[7] > 30 && pauses[7] <= 60, "{pauses:?}");
    other.answered(Outcome::Success).await?;
    pass(&site, 3600).await?;
    one.answered(Outcome::Failed).await?;
    assert!(site.count(longest).await? <= 1, "a success makes the next pause short again");
    Ok(())
}
