//! The procedures of docs/operations.md, with the scripts that it names.

use super::outages::{plan, push};
use apollo_simulator::verify::verify;
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::store::schema;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::path::Path;
use std::process::{Command, Output};
use xtask::stack::postgres::{OWNER, WORKER};
use xtask::stack::{PostgresAddress, of_tests};

/// Runs a script of `ops/backup` as the owner of a database.
fn script(name: &str, postgres: &PostgresAddress, database: &str, argument: &Path) -> Result<Output> {
    let mut command = Command::new("sh");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/backup").join(name))
        .arg(argument)
        .envs([("PGHOST", "127.0.0.1"), ("PGUSER", OWNER), ("PGDATABASE", database)])
        .env("PGPORT", postgres.port.to_string());
    Ok(tokio::task::block_in_place(|| command.output())?)
}

fn succeeded(output: &Output) -> Result<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Ok(String::from_utf8(output.stdout.clone())?.trim().to_owned())
}

async fn connect(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(1).connect(url).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_whole_and_what_garmin_sends_again_does_no_harm() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let plan = plan(3);
    push(plan, receiver.url().to_owned()).await?;
    let as_planned = async |pool: &PgPool| verify(pool, &plan).await.ok().filter(|report| report.is_clean());
    eventually("everything is stored", async || as_planned(&site.pool).await).await?;

    let folder = tempfile::tempdir()?;
    let postgres = of_tests()?.postgres;
    let file = succeeded(&script("backup.sh", &postgres, site.name(), folder.path())?)?;
    let refused = script("restore.sh", &postgres, site.name(), Path::new(&file))?;
    assert_eq!(refused.status.code(), Some(1), "a database that is in use is left alone");
    assert!(String::from_utf8(refused.stderr)?.contains("into an empty one"));
    worker.stop().await?;

    let restored = format!("{}_restored", site.name());
    postgres.create_database(&restored)?;
    succeeded(&script("restore.sh", &postgres, &restored, Path::new(&file))?)?;
    schema::migrate(&postgres.url_of(OWNER, &restored).parse()?, WORKER).await?;
    let pool = connect(&postgres.url(&restored)).await?;
    assert!(as_planned(&pool).await.is_some(), "every row came back");
    let strangers = "SELECT has_function_privilege('public', 'garmin_raw.make_partition(date)', 'EXECUTE')";
    assert!(!sqlx::query_scalar::<_, bool>(strangers).fetch_one(&pool).await?, "and so did the rights");

    let url = postgres.url_of(WORKER, &restored);
    let worker = site.worker_of(&url, &[]).await?;
    let sent = push(plan, receiver.url().to_owned()).await?.progress.posts as usize;
    worker.has_stored(sent).await?;
    let queue = site.broker().await?;
    eventually("the queue is empty", async || {
        (queue.waiting("apollo.summaries").await.ok()? == 0).then_some(())
    })
    .await?;
    worker.stop().await?;
    assert!(as_planned(&pool).await.is_some(), "sent again, it is the same");
    Ok(())
}
