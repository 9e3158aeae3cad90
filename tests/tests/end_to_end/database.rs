//! The schema: forward, back, by several at once, and in step with the declarations.

use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::store::schema::{self, SchemaError};
use apollo_worker::summaries::Registry;
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
    // A worker of the old version goes on serving: migrations keep what it needs.
    site.worker(&[]).await?.stop().await
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
