//! What ends a consent, changes it, and keeps it usable: deregistrations, permission changes, renewal of tokens. Garmin
//! is asked wherever it can be, since nobody signs what arrives.

use apollo_simulator::garmin::{Call, Failure, OauthVersion};
use apollo_tests::Result;
use apollo_tests::programs::RunningWorker;
use apollo_tests::study::Study;
use apollo_tests::wait::eventually;
use apollo_worker::store::tokens::{self};
use serde_json::{Value, json};
use sqlx::Row as _;

async fn deregister(study: &Study, entry: Value) -> Result<()> {
    let body = json!({ "deregistrations": [entry] });
    study.receiver.accept("/oauth/garmin/deregistration", body.to_string()).await
}

async fn change_permissions(study: &Study, entry: Value) -> Result<()> {
    let body = json!({ "userPermissionsChange": [entry] });
    study.receiver.accept("/oauth/garmin/permissions", body.to_string()).await
}

/// The user's row, and how many tokens are held.
async fn user(study: &Study, user_id: &str) -> Result<(Option<Value>, usize)> {
    let row = sqlx::query_scalar("SELECT to_jsonb(u) FROM garmin_oauth.user_id AS u WHERE user_id = $1")
        .bind(user_id)
        .fetch_optional(&study.site.pool)
        .await?;
    let held = tokens::of_user(&mut *study.site.pool.acquire().await?, user_id).await?;
    Ok((row, held.len()))
}

async fn is_active(study: &Study, user_id: &str) -> Result<bool> {
    let (row, _) = user(study, user_id).await?;
    Ok(row.ok_or("the user is not on record")?["active"] == json!(true))
}

/// Waits until so many events of this kind have come to this end.
async fn counted(worker: &RunningWorker, event: &str, outcome: &str, count: u32) -> Result<()> {
    let what = format!("{event}: {outcome} {count}");
    let labels = [format!("event=\"{event}\""), format!("outcome=\"{outcome}\"")];
    eventually(&what, async || {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let value = worker.metric("apollo_worker_accounts_total", &labels).await.ok()?;
        (value >= f64::from(count)).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_token_is_held_a_deregistration_is_believed() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    deregister(&study, json!({"userId": "stranger"})).await?;
    counted(&worker, "deregistration", "believed", 1).await?;
    assert!(!is_active(&study, "stranger").await?, "what is still under way must not be stored");
    assert_eq!(study.garmin.count(Call::Permissions), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deregistration_that_garmin_confirms_deletes_the_tokens() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    study.link_by_oauth1("one").await?;
    study.link_by_oauth2("two").await?;
    let worker = study.worker().await?;
    for user_id in ["one", "two"] {
        study.garmin.disconnect(user_id);
        deregister(&study, json!({"userId": user_id})).await?;
    }
    counted(&worker, "deregistration", "confirmed", 2).await?;
    for user_id in ["one", "two"] {
        let (row, held) = user(&study, user_id).await?;
        let row = row.ok_or("the user has gone")?;
        assert_eq!((&row["active"], held), (&json!(false), 0), "{user_id}");
        assert!(row["deregistered_at"].is_string());
    }
    assert_eq!(study.site.count("SELECT count(*) FROM garmin_oauth.subject").await?, 2, "links are kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_late_deregistration_is_refuted_and_changes_nothing() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    study.link_by_oauth1("one").await?;
    study.link_by_oauth2("two").await?;
    let before = (user(&study, "one").await?, user(&study, "two").await?);
    let worker = study.worker().await?;
    deregister(&study, json!({"userId": "one"})).await?;
    deregister(&study, json!({"userId": "two"})).await?;
    counted(&worker, "deregistration", "refuted", 2).await?;
    assert_eq!((user(&study, "one").await?, user(&study, "two").await?), before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deregistration_that_names_a_token_ends_that_one_and_the_user_with_the_last() -> Result<()> {
    use secrecy::ExposeSecret as _;
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let first = study.link_by_oauth1("one").await?;
    let second = study.link_by_oauth1("one").await?;
    study.garmin.disconnect("one");
    let worker = study.worker().await?;
    let naming = |token: &str| json!({"userId": "one", "userAccessToken": token});

    deregister(&study, naming("somebody-else's")).await?;
    counted(&worker, "deregistration", "refuted", 1).await?;
    assert_eq!(user(&study, "one").await?.1, 2, "a token that is not held ends none");

    deregister(&study, naming(first.token.expose_secret())).await?;
    counted(&worker, "deregistration", "confirmed", 1).await?;
    assert!(is_active(&study, "one").await?, "another token is left");
    assert_eq!(user(&study, "one").await?.1, 1);

    deregister(&study, naming(second.token.expose_secret())).await?;
    counted(&worker, "deregistration", "confirmed", 2).await?;
    assert!(!is_active(&study, "one").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_garmin_cannot_be_asked_a_deregistration_waits() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    study.link_by_oauth2("two").await?;
    study.garmin.disconnect("two");
    study.garmin.fail_next(Call::Permissions, Failure::Status(500));
    let worker = study.worker().await?;
    deregister(&study, json!({"userId": "two"})).await?;
    eventually("it was put off", async || {
        let retried = worker.metric("apollo_worker_messages_total", &["account", "retried"]).await.ok()?;
        (retried >= 1.0).then_some(())
    })
    .await?;
    assert!(is_active(&study, "two").await?, "a failure of Garmin's is no refusal");
    counted(&worker, "deregistration", "confirmed", 1).await?;
    assert!(!is_active(&study, "two").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_harms_only_itself() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    let body = json!({"deregistrations": [{"userId": 7}, {"userId": "one"}, {"userId": ""}]});
    study.receiver.accept("/oauth/garmin/deregistration", body.to_string()).await?;
    counted(&worker, "deregistration", "believed", 1).await?;
    let broker = study.site.broker().await?;
    let dead = eventually("two entries are dead letters", async || {
        (broker.waiting("apollo.dead").await.ok()? == 2).then_some(())
    });
    dead.await?;
    for letter in broker.take_all("apollo.dead").await? {
        assert_eq!(letter.header("reason").as_deref(), Some("malformed_entry"));
        assert_eq!(letter.json()?["deregistrations"].as_array().map(Vec::len), Some(1));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_change_is_read_again_from_garmin_where_a_token_is_held() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    study.link_by_oauth2("two").await?;
    study.garmin.set_permissions("two", &["HEALTH_EXPORT"]);
    let worker = study.worker().await?;
    let forged = json!({"userId": "two", "permissions": [], "changeTimeInSeconds": 1_794_314_467});
    change_permissions(&study, forged).await?;
    counted(&worker, "permissions", "confirmed", 1).await?;
    assert_eq!(user(&study, "two").await?.0.unwrap()["permissions"], json!(["HEALTH_EXPORT"]));

    for (permissions, at) in [
        (json!(["ACTIVITY_EXPORT", "HEALTH_EXPORT"]), 20),
        (json!({"ACTIVITY_EXPORT": true, "MCT_EXPORT": false}), 30),
        (json!("[HEALTH_EXPORT, MCT_EXPORT]"), 10),
    ] {
        let change = json!({"userId": "stranger", "permissions": permissions, "changeTimeInSeconds": at});
        change_permissions(&study, change).await?;
    }
    counted(&worker, "permissions", "believed", 3).await?;
    let (row, _) = user(&study, "stranger").await?;
    let row = row.ok_or("the user is not on record")?;
    assert_eq!(
        row["permissions"],
        json!(["ACTIVITY_EXPORT"]),
        "the latest change holds, not the last to arrive"
    );
    assert_eq!(row["active"], json!(true), "no permission at all ends no consent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_before_they_end_by_one_worker_at_a_time() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    for number in 0..5 {
        study.link_by_oauth2(&format!("user {number}")).await?;
    }
    let digests = "SELECT token_digest FROM garmin_oauth.access_token ORDER BY id";
    let before = sqlx::query(digests).fetch_all(&study.site.pool).await?;
    let later = "SELECT count(*) FROM garmin_oauth.access_token
                 WHERE refresh_after BETWEEN now() + interval '22 hours' AND now() + interval '24 hours'";
    assert_eq!(study.site.count(later).await?, 5, "an hour before its end");

    sqlx::query("UPDATE garmin_oauth.access_token SET refresh_after = now()")
        .execute(&study.site.pool)
        .await?;
    let workers = [study.worker().await?, study.worker().await?];
    eventually("all are renewed", async || (study.site.count(later).await.ok()? == 5).then_some(())).await?;
    assert_eq!(study.garmin.count(Call::Refresh), 5, "each was renewed once");
    let after = sqlx::query(digests).fetch_all(&study.site.pool).await?;
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.try_get::<Vec<u8>, _>(0)?, after.try_get::<Vec<u8>, _>(0)?);
    }

    // What was stored is good: the rotated refresh token renews, and the access token opens.
    sqlx::query("UPDATE garmin_oauth.access_token SET refresh_after = now(), expires_at = now()")
        .execute(&study.site.pool)
        .await?;
    eventually("all are renewed again", async || (study.site.count(later).await.ok()? == 5).then_some(()))
        .await?;
    deregister(&study, json!({"userId": "user 0"})).await?;
    let refuted = async || {
        let labels = ["event=\"deregistration\"", "outcome=\"refuted\""];
        let mut sum = 0.0;
        for worker in &workers {
            sum += worker.metric("apollo_worker_accounts_total", &labels).await.ok()?;
        }
        (sum >= 1.0).then_some(())
    };
    eventually("Garmin answers the renewed token", refuted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_garmin_does_not_renew_is_not_asked_with_again() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    study.link_by_oauth2("two").await?;
    study.garmin.disconnect("two");
    sqlx::query("UPDATE garmin_oauth.access_token SET refresh_after = now()")
        .execute(&study.site.pool)
        .await?;
    let worker = study.worker().await?;
    counted(&worker, "refresh", "ended", 1).await?;
    assert!(is_active(&study, "two").await?, "only a deregistration ends a consent");
    assert_eq!(
        study.site.count("SELECT count(*) FROM garmin_oauth.access_token WHERE refused_at IS NULL").await?,
        0
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_that_began_long_ago_are_forgotten() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    for age in ["25 hours", "1 hour"] {
        sqlx::query(
            "INSERT INTO garmin_oauth.request_token (consent_id, subject_id, oauth_version, redirect_uri, started_at)
             VALUES (gen_random_uuid(), $1, 2, '', now() - $1::text::interval)",
        )
        .bind(age)
        .execute(&study.site.pool)
        .await?;
    }
    let _worker = study.worker().await?;
    let left = "SELECT count(*) FROM garmin_oauth.request_token";
    eventually("one is left", async || (study.site.count(left).await.ok()? == 1).then_some(())).await?;
    let kept = "SELECT count(*) FROM garmin_oauth.request_token WHERE subject_id = '1 hour'";
    assert_eq!(study.site.count(kept).await?, 1);
    Ok(())
}
