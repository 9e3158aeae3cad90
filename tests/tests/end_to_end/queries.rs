//! The example queries of docs/data.md, over simulated data.

use apollo_simulator::fit;
use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, send};
use apollo_tests::Result;
use apollo_tests::site::Site;
use sqlx::AssertSqlSafe;
use std::fs;
use std::path::Path;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn every_example_query_finds_something() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let plan = Plan { users: 40, days: 3, seed: 5, sample_interval_seconds: Some(600) };
    let options = SendOptions { concurrency: 8, ..SendOptions::new(receiver.url().parse()?) };
    let report = send(&plan, &options, CancellationToken::new(), |_| {}).await?;
    worker.has_stored(report.progress.notifications as usize).await?;
    sqlx::raw_sql(
        "INSERT INTO garmin_oauth.subject SELECT 'subject-' || row_number() OVER (), user_id
         FROM garmin_oauth.user_id",
    )
    .execute(&site.pool)
    .await?;

    let user_id: String =
        sqlx::query_scalar("SELECT min(user_id) FROM garmin_oauth.subject").fetch_one(&site.pool).await?;
    let file = super::files::file_id(&user_id, 1, "FIT");
    super::files::keep(&site, &file, 1, &fit::activity(1, 1_794_265_200, 120)).await?;

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/queries");
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let sql = fs::read_to_string(&path)?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&site.pool).await;
        let rows = rows.map_err(|error| format!("{}: {error}", path.display()))?;
        assert!(!rows.is_empty(), "{} finds nothing", path.display());
    }
    Ok(())
}
