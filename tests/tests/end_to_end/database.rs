//! The schema: forward, back, by several at once, and in step with the declarations.

use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::store::schema::{self, SchemaError};
use apollo_worker::summaries::Registry;
use serde_json::json;
use xtask::stack::postgres::WORKER;

#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_exactly_the_columns_that_its_declaration_derives() -> Result<()> {
    let site = Site::new().await?;
    for table in Registry::new().tables() {
        let name = table.summary_type.table;
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
             WHERE attrelid = ('garmin_wellness.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum",
        )
        .bind(name)
        .fetch_all(&site.pool)
        .await?;
        let version = [
            ("received_at", "timestamp with time zone"),
            ("message_id", "uuid"),
            ("entry_index", "integer"),
            ("content_digest", "bytea"),
        ];
        let declared = table.columns.iter().map(|column| (column.name.as_str(), column.sql_type.name()));
        let expected: Vec<(String, String)> =
            declared.chain(version).map(|(name, sql_type)| (name.to_owned(), sql_type.to_owned())).collect();
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_back_to_nothing_and_forward_again() -> Result<()> {
    let site = Site::new().await?;
    let options = site.owner()?;
    let known = schema::known_version();
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'garmin%'";
    assert_eq!(schema::migrate_down(&options, 0).await?, (known, 0));
    assert_eq!(site.count(schemas).await?, 0);
    assert_eq!(schema::migrate(&options, WORKER).await?, (0, known));
    assert_eq!(schema::migrate_down(&options, known - 1).await?, (known, known - 1));
    let error = schema::check(&mut schema::connect(&options).await?).await.unwrap_err();
    assert!(error.to_string().contains("apollo-worker migrate"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_may_migrate_at_once() -> Result<()> {
    let site = Site::new().await?;
    let options = site.owner()?;
    schema::migrate_down(&options, 0).await?;
    let all = futures_util::future::join_all((0..6).map(|_| schema::migrate(&options, WORKER))).await;
    let failed: Vec<String> =
        all.into_iter().filter_map(Result::err).map(|error: SchemaError| error.to_string()).collect();
    assert_eq!(failed, Vec::<String>::new());
    schema::check(&mut schema::connect(&options).await?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_newer_than_the_program_is_left_alone() -> Result<()> {
    let site = Site::new().await?;
    let options = site.owner()?;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999999, 'of the future', true, '', 0)",
    )
    .execute(&site.pool)
    .await?;
    for refused in [schema::migrate(&options, WORKER).await, schema::migrate_down(&options, 0).await] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("999999") && message.contains("newer"), "{message}");
    }
    // A worker of the old version goes on serving: migrations keep what it needs, and what they add does not disturb it.
    let added = "ALTER TABLE garmin_wellness.daily_summary ADD COLUMN of_the_future int DEFAULT 1;
                 CREATE TABLE garmin_wellness.future_summary (user_id text);
                 GRANT SELECT, INSERT, UPDATE, DELETE ON garmin_wellness.future_summary TO apollo_worker";
    sqlx::raw_sql(added).execute(&site.pool).await?;
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    for steps in [1, 2] {
        let daily = json!({"userId": "u", "startTimeInSeconds": 1794265200, "steps": steps});
        receiver.accept("/api_client/garmin/dailies", json!({"dailies": [daily]}).to_string()).await?;
    }
    let stored = "SELECT count(*) FROM garmin_wellness.daily_summary WHERE steps = 2 AND of_the_future = 1";
    eventually("it stores and updates", async || (site.count(stored).await.ok()? == 1).then_some(())).await?;
    worker.stop().await
}

/// The versions before this were never run by anybody beside others.
const FIRST_RELEASE: u32 = 30;

#[test]
fn migrations_take_nothing_away_that_a_running_program_uses() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version: u32 = name.split('_').next().unwrap_or_default().parse()?;
        if version <= FIRST_RELEASE || !name.ends_with(".up.sql") {
            continue;
        }
        let sql = std::fs::read_to_string(&path)?;
        let contracts = sql.lines().any(|line| line.starts_with("-- contracts: "));
        let statements = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
        let words = statements.collect::<Vec<_>>().join(" ").to_lowercase();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        for taken in ["drop table", "drop column", "drop schema", " rename ", "set not null", "set data type"]
        {
            assert!(contracts || !words.contains(taken), "{name}: {taken}, see docs/operations.md");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_schema_that_is_not_there_yet() -> Result<()> {
    let site = Site::new().await?;
    let options = site.owner()?;
    schema::migrate_down(&options, 0).await?;
    let worker = site.starting_worker(&[]).await?;
    let told = async || {
        let reasons = worker.not_ready().await.ok()?;
        reasons.contains("run `apollo-worker migrate`").then_some(())
    };
    eventually("the worker says what it waits for", told).await?;
    schema::migrate(&options, WORKER).await?;
    worker.ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_raw_notifications_are_made_ahead_and_dropped_when_they_are_old() -> Result<()> {
    let site = Site::new().await?;
    sqlx::raw_sql(
        "CREATE TABLE garmin_raw.notification_2020_01_31 PARTITION OF garmin_raw.notification
         FOR VALUES FROM ('2020-01-31 00:00+00') TO ('2020-02-01 00:00+00')",
    )
    .execute(&site.pool)
    .await?;
    let worker = site.worker(&["--raw-retention-days", "7"]).await?;
    let old = "SELECT count(*) FROM pg_class WHERE relname = 'notification_2020_01_31'";
    eventually("the old partition is dropped", async || (site.count(old).await.ok()? == 0).then_some(()))
        .await?;
    let tomorrow = "SELECT count(*) FROM pg_class
                    WHERE relname = to_char(now() + interval '1 day', '\"notification_\"YYYY_MM_DD')";
    assert_eq!(site.count(tomorrow).await?, 1, "tomorrow's partition is there");
    worker.stop().await
}
