//! What is left of a subject that was erased: nothing.

use super::*;

fn erase(site: &Site, subject_id: &str, keys: &str) -> Result<Output> {
    let mut command = Command::new(of_tests()?.binary("apollo-worker"));
    command.args(["subjects", "erase", subject_id, "--yes"]);
    command.env("DATABASE__URL", site.database_url()).env("SECRETS__KEYS", keys);
    Ok(command.output()?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A subject 17 behind whom is the user u, with a token and a consent that has begun.
async fn link(site: &Site) -> Result<()> {
    let sql = "
        INSERT INTO garmin_oauth.user_id (user_id, registered_at) VALUES ('u', now() - interval '1 day')
            ON CONFLICT (user_id) DO UPDATE SET active = true, registered_at = excluded.registered_at;
        INSERT INTO garmin_oauth.subject (subject_id, user_id) VALUES ('17', 'u');
        INSERT INTO garmin_oauth.access_token (user_id, oauth_version, token_digest, key_id, sealed)
            VALUES ('u', 2, 'digest', 'test', 'sealed');
        INSERT INTO garmin_oauth.request_token (consent_id, subject_id, oauth_version, redirect_uri, started_at)
            VALUES (gen_random_uuid(), '17', 2, 'https://study.example', now());
        INSERT INTO garmin_pull.callback (digest, user_id, summary_type, message_id, entry_index, announced_at)
            VALUES ('digest', 'u', 'dailies', gen_random_uuid(), 0, now());
        INSERT INTO garmin_pull.backfill (user_id, summary_type, starts_at, ends_at)
            VALUES ('u', 'dailies', '2026-01-01', '2026-02-01');
        INSERT INTO garmin_pull.backfill_minimum (user_id, summary_type, starts_at) VALUES ('u', 'dailies', '2026-01-01');";
    sqlx::raw_sql(sql).execute(&site.pool).await?;
    Ok(())
}

/// Everything that the database holds but notifications as received, as text.
async fn everything(site: &Site) -> Result<String> {
    let tables = "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
                  WHERE table_schema IN ('garmin_oauth', 'garmin_pull', 'garmin_wellness') AND table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&site.pool).await?;
    assert!(tables.len() > 25, "{tables:?}");
    let mut all = format!("{:?}", kept(site).await?);
    for table in tables {
        let sql = format!("SELECT to_jsonb(t)::text FROM {table} AS t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&site.pool).await?;
        all.push_str(&rows.concat());
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_subject_leaves_nothing_and_nothing_comes_back() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&["--lanes", "summaries"]).await?);
    let end = end();
    let body = json!({
        "dailies": [daily("u", 60), daily("v", 60)],
        "deregistrations": [{"userId": "u"}],
        "ofTheFuture": {"userId": "u"},
    });
    deliver(&broker, &worker, end - 2, &body, 1).await?;
    deliver(&broker, &worker, end - 1, &json!({"sleeps": [{"userId": "u", "startTimeInSeconds": 1}]}), 2)
        .await?;
    sqlx::raw_sql("UPDATE garmin_raw.notification SET user_ids = NULL").execute(&site.pool).await?;
    link(&site).await?;

    let refused = erase(&site, "17", SECRETS_KEYS)?;
    assert!(!refused.status.success());
    assert!(text(&refused).contains("subjects withdraw 17"), "{}", text(&refused));
    assert_eq!(site.rows_of("daily_summary").await?.len(), 2);

    sqlx::raw_sql(
        "UPDATE garmin_oauth.user_id SET active = false, deregistered_at = now() WHERE user_id = 'u'",
    )
    .execute(&site.pool)
    .await?;
    let wrong_keys = erase(&site, "17", "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")?;
    assert!(!wrong_keys.status.success());
    assert!(text(&wrong_keys).contains("subjects erase 17` again"), "{}", text(&wrong_keys));

    let erased = erase(&site, "17", SECRETS_KEYS)?;
    assert!(erased.status.success(), "{}", text(&erased));
    for line in ["garmin_oauth.access_token", "garmin_oauth.user_id", "garmin_raw.notification, whole"] {
        assert!(text(&erased).contains(line), "{}", text(&erased));
    }
    let left = everything(&site).await?;
    assert!(!left.contains("\"u\"") && !left.contains("\"17\""), "{left}");
    assert!(left.contains("\"v\""), "{left}");
    let again = erase(&site, "17", SECRETS_KEYS)?;
    assert!(!again.status.success() && text(&again).contains("no account is linked"), "{}", text(&again));

    // What was received before the erasure, and comes only now.
    deliver(&broker, &worker, end - 2, &json!({"dailies": [daily("u", 90), daily("w", 90)]}), 3).await?;
    withdraw(&site, "u", end).await?;
    let left = everything(&site).await?;
    assert!(!left.contains("\"u\"") && left.contains("\"w\""), "{left}");
    let now = Microseconds::now().0;
    consent(&site, "u", now).await?;
    deliver(&broker, &worker, now - 1, &json!({"dailies": [daily("u", 90)]}), 4).await?;
    assert_eq!(
        site.count("SELECT count(*) FROM garmin_wellness.daily_summary WHERE user_id = 'u'").await?,
        0
    );
    deliver(&broker, &worker, now, &json!({"dailies": [daily("u", 120)]}), 5).await?;
    assert_eq!(
        site.count("SELECT count(*) FROM garmin_wellness.daily_summary WHERE user_id = 'u'").await?,
        1
    );
    Ok(())
}
