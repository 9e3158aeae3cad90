//! A database that is there and yet cannot take anything: the worker says so, loses nothing, burns no message, and goes
//! on by itself; only a row that is to blame becomes a dead letter.

use apollo_tests::Result;
use apollo_tests::programs::{RunningReceiver, RunningWorker};
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::store;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use xtask::stack::of_tests;
use xtask::stack::postgres::WORKER;

const DAILIES: &str = "/api_client/garmin/dailies";

/// One user's day and a slice of it, in this version.
fn of_two_tables(steps: u32) -> String {
    let entry = json!({"userId": "u", "startTimeInSeconds": 1_794_265_200, "steps": steps});
    json!({"dailies": [entry], "epochs": [entry]}).to_string()
}

/// Waits until the worker gives a reason that holds `part`.
async fn says(worker: &RunningWorker, part: &str) -> Result<()> {
    let told = async || worker.not_ready().await.ok()?.contains(part).then_some(());
    eventually(&format!("the worker says: {part}"), told).await
}

/// A site whose two tables hold version 1 of a user's data, and what runs there.
async fn site() -> Result<(Site, RunningReceiver, RunningWorker)> {
    let site = Site::new().await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    receiver.accept(DAILIES, of_two_tables(1)).await?;
    worker.has_stored(1).await?;
    Ok((site, receiver, worker))
}

/// The outage is over: the second version gets in, and nothing was lost or burnt.
async fn recovers(site: &Site, worker: &RunningWorker) -> Result<()> {
    worker.has_stored(2).await?;
    worker.ready().await?;
    for table in ["daily_summary", "epoch_summary"] {
        let rows = site.rows_of(table).await?;
        assert_eq!((rows.len(), &rows[0]["steps"]), (1, &json!(2)), "{table}");
    }
    assert!(worker.metric("apollo_worker_messages_total", &["retried"]).await? > 0.0);
    assert_eq!(site.broker().await?.waiting("apollo.dead").await?, 0, "a message was burnt");
    Ok(())
}

/// Locks the user's row of a table.
async fn lock(site: &Site, table: &str) -> Result<Transaction<'static, Postgres>> {
    let mut transaction = site.pool.begin().await?;
    // The worker, not this test, is to be the victim of a deadlock.
    sqlx::query("SET LOCAL deadlock_timeout = '1h'").execute(&mut *transaction).await?;
    select_for_update(&mut transaction, table).await?;
    Ok(transaction)
}

async fn select_for_update(transaction: &mut Transaction<'static, Postgres>, table: &str) -> Result<()> {
    let sql = format!("SELECT 1 FROM garmin_wellness.{table} WHERE user_id = 'u' FOR UPDATE");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut **transaction).await?;
    Ok(())
}

async fn worker_waits_for_a_lock(site: &Site) -> Result<()> {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND application_name = 'apollo-worker' AND wait_event_type = 'Lock'";
    eventually("the worker waits for a lock", async || (site.count(waits).await.ok()? > 0).then_some(()))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_waited_for() -> Result<()> {
    let (site, receiver, worker) = site().await?;
    let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&site.pool).await?;
    let set = |value: &str| {
        let sql = format!("ALTER DATABASE {database} SET default_transaction_read_only = {value}");
        of_tests()?.postgres.execute("postgres", &sql)
    };
    set("on")?;
    site.disconnect_workers().await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    says(&worker, "read-only").await?;
    set("off")?;
    site.disconnect_workers().await?;
    recovers(&site, &worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_free_connection_is_waited_for() -> Result<()> {
    let site = Site::new().await?;
    let role = format!("role_{}", uuid::Uuid::now_v7().simple());
    let postgres = of_tests()?.postgres;
    let limit = |connections: i32| {
        postgres.execute("postgres", &format!("ALTER ROLE {role} CONNECTION LIMIT {connections}"))
    };
    postgres.execute("postgres", &format!("CREATE ROLE {role} LOGIN IN ROLE {WORKER}"))?;
    let url = postgres.url_of(&role, site.name());
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker_of(&url, &[]).await?);
    receiver.accept(DAILIES, of_two_tables(1)).await?;
    worker.has_stored(1).await?;

    limit(0)?;
    site.disconnect_workers().await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    says(&worker, "waiting for an open connection").await?;
    limit(-1)?;
    recovers(&site, &worker).await?;
    worker.stop().await?;
    // What the role owns there goes with the database.
    drop(site);
    postgres.execute("postgres", &format!("DROP ROLE {role}"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_victim_of_a_deadlock_tries_again() -> Result<()> {
    let (site, receiver, worker) = site().await?;
    let mut transaction = lock(&site, "epoch_summary").await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    worker_waits_for_a_lock(&site).await?;
    // The worker has updated this row, and waits for the other: PostgreSQL ends one of the two.
    select_for_update(&mut transaction, "daily_summary").await?;
    transaction.commit().await?;
    recovers(&site, &worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_in_the_middle_of_a_transaction_costs_an_attempt() -> Result<()> {
    let (site, receiver, worker) = site().await?;
    let transaction = lock(&site, "epoch_summary").await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    worker_waits_for_a_lock(&site).await?;
    site.disconnect_workers().await?;
    let retried = async || {
        let retried = worker.metric("apollo_worker_messages_total", &["retried"]).await.ok()?;
        (retried > 0.0).then_some(())
    };
    eventually("the attempt is counted", retried).await?;
    let daily = site.rows_of("daily_summary").await?;
    assert_eq!(daily[0]["steps"], 1, "half a transaction is visible");
    transaction.commit().await?;
    recovers(&site, &worker).await
}

/// In a runtime of one thread, whose clock leaps to the next deadline while nothing else is to be done.
#[tokio::test]
async fn a_connection_whose_other_end_is_gone_without_a_word_is_replaced() -> Result<()> {
    let site = Site::new().await?;
    let (proxy, url) = site.database_proxy()?;
    let pool = store::pool(store::connect_options(&url.into())?, 1);
    let answer = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(connection).await
    };
    let lost = store::ask(&pool, async |connection| {
        proxy.lose();
        tokio::time::pause();
        answer(connection).await
    });
    let error = lost.await.err().ok_or("an answer over a connection that is lost")?;
    tokio::time::resume();
    assert!(error.to_string().contains("no answer for 120 s"), "{error}");
    // The pool has room for one: it would wait for that for good.
    assert_eq!(store::ask(&pool, answer).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_lock_only_delays() -> Result<()> {
    let (site, receiver, worker) = site().await?;
    worker.stop().await?;
    let url = format!("{}?options[lock_timeout]=200ms", site.database_url());
    let worker = site.worker_of(&url, &[]).await?;
    let mut transaction = site.pool.begin().await?;
    sqlx::query("LOCK TABLE garmin_wellness.epoch_summary").execute(&mut *transaction).await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    says(&worker, "lock timeout").await?;
    transaction.commit().await?;
    worker.has_stored(1).await?;
    receiver.accept(DAILIES, of_two_tables(2)).await?;
    recovers(&site, &worker).await
}

/// Makes storing a row take a second, if the condition on `NEW` holds.
async fn slow_down(site: &Site, condition: &str) -> Result<()> {
    let sql = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF {condition} THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON garmin_wellness.daily_summary
         FOR EACH ROW EXECUTE FUNCTION slow();"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&site.pool).await?;
    Ok(())
}

/// A notification with so many users' dailies.
fn dailies(users: u32) -> String {
    let daily = |user: u32| json!({"userId": format!("u{user}"), "startTimeInSeconds": 1_794_265_200});
    json!({"dailies": (0..users).map(daily).collect::<Vec<_>>()}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_takes_too_long_becomes_a_dead_letter_alone() -> Result<()> {
    let site = Site::new().await?;
    slow_down(&site, "NEW.user_id = 'u13'").await?;
    let url = format!("{}?options[statement_timeout]=400ms", site.database_url());
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker_of(&url, &[]).await?);
    receiver.accept(DAILIES, dailies(30)).await?;
    worker.has_stored(1).await?;
    let letters = site.broker().await?.take_all("apollo.dead").await?;
    let told: Vec<(Option<String>, Value)> =
        letters.iter().map(|letter| Ok((letter.header("reason"), letter.json()?))).collect::<Result<_>>()?;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0.as_deref(), Some("timed_out"));
    assert_eq!(told[0].1["dailies"][0]["userId"], "u13");
    assert_eq!(letters[0].envelope.first_entry_index, 13);
    assert_eq!(site.rows_of("daily_summary").await?.len(), 29);
    worker.ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_slow_for_all_rows_burns_none() -> Result<()> {
    let site = Site::new().await?;
    slow_down(&site, "true").await?;
    let url = format!("{}?options[statement_timeout]=400ms", site.database_url());
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker_of(&url, &[]).await?);
    receiver.accept(DAILIES, dailies(2)).await?;
    // Both together once, and each of them far more often than would condemn a single slow row.
    let retried = async || {
        let retried = worker.metric("apollo_worker_messages_total", &["retried"]).await.ok()?;
        (retried >= 11.0).then_some(())
    };
    eventually("all rows were tried many times", retried).await?;
    assert!(worker.not_ready().await?.contains("statement timeout"));
    sqlx::raw_sql("DROP TRIGGER slow ON garmin_wellness.daily_summary").execute(&site.pool).await?;
    worker.has_stored(1).await?;
    assert_eq!(site.rows_of("daily_summary").await?.len(), 2);
    assert_eq!(site.broker().await?.waiting("apollo.dead").await?, 0, "a row was blamed");
    Ok(())
}
