//! Keys are replaced while the system runs, and none is forgotten that is still needed.

use apollo_shared::consent::{Started, StartedSecret, SubjectId};
use apollo_shared::garmin::OauthVersion;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_tests::Result;
use apollo_tests::programs::SECRETS_KEYS;
use apollo_tests::site::Site;
use apollo_worker::store::consents::{self, Progress};
use apollo_worker::store::keys::register_and_check;
use apollo_worker::store::tokens::{self, Credentials, NewToken};
use serde_json::json;
use std::process::{Command, Output};
use time::OffsetDateTime;
use uuid::Uuid;
use xtask::stack::of_tests;

/// The key that follows [`SECRETS_KEYS`].
const NEW_KEY: &str = "new:HxAREhMUFRYXGBkaGxwdHgABAgMEBQYHCAkKCwwNDg8=";

fn keyring(keys: &str) -> Result<Keyring> {
    Ok(Keyring::new(&SecretsConfig { keys: keys.into() })?)
}

fn both_keys() -> String {
    format!("{NEW_KEY},{SECRETS_KEYS}")
}

fn worker(site: &Site, keys: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(of_tests()?.binary("apollo-worker"));
    command.args(arguments).env("DATABASE__URL", site.database_url()).env("SECRETS__KEYS", keys);
    Ok(command.output()?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const NOTIFICATIONS: usize = 70;

/// More than a page of notifications, a token and a consent under way, all sealed with the old key.
async fn fill(site: &Site, consent_id: Uuid) -> Result<()> {
    let (receiver, running) = (site.receiver(&[]).await?, site.worker(&["--lanes", "summaries"]).await?);
    for number in 0..NOTIFICATIONS {
        let body = json!({"dailies": [{"userId": format!("u{number}"), "startTimeInSeconds": 1}]});
        receiver.accept("/api_client/garmin", body.to_string()).await?;
    }
    running.has_stored(NOTIFICATIONS).await?;
    running.stop().await?;

    let keyring = keyring(SECRETS_KEYS)?;
    let mut connection = site.pool.acquire().await?;
    register_and_check(&mut connection, &keyring).await?;
    tokens::insert(&mut connection, &keyring, "u1", &token()).await?;
    let secret = StartedSecret::CodeVerifier("verifier".to_owned());
    let started = Started {
        consent_id,
        subject_id: SubjectId::parse("17")?,
        oauth_version: OauthVersion::Two,
        redirect_uri: "https://study.example/oauth/garmin/callback".to_owned(),
        secret: apollo_shared::consent::Sealed::seal(&secret, consent_id, &keyring),
    };
    Ok(consents::start(&mut connection, &keyring, &started, &secret, OffsetDateTime::now_utc()).await?)
}

fn token() -> NewToken {
    let credentials = Credentials::Oauth1 { token: "token".to_owned(), secret: "secret".to_owned() };
    NewToken { credentials, expires_at: None, refresh_expires_at: None, scope: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_the_new_key_alone_opens_everything() -> Result<()> {
    let site = Site::new().await?;
    let consent_id = Uuid::now_v7();
    fill(&site, consent_id).await?;

    let listed = text(&worker(&site, &both_keys(), &["keys", "list"])?);
    assert!(listed.lines().any(|line| line.starts_with("test") && line.contains("72")), "{listed}");
    let rotated = worker(&site, &both_keys(), &["keys", "rotate"])?;
    assert!(rotated.status.success(), "{}", text(&rotated));
    assert!(text(&rotated).contains("72 values are sealed with new"), "{}", text(&rotated));
    assert!(text(&rotated).contains("SECRETS__KEYS: test;"), "{}", text(&rotated));

    let replayed = worker(&site, NEW_KEY, &["replay", "--from", "2026-01-01"])?;
    assert!(text(&replayed).contains("70 notifications replayed"), "{}", text(&replayed));
    let new = keyring(NEW_KEY)?;
    let mut connection = site.pool.acquire().await?;
    register_and_check(&mut connection, &new).await?;
    let held = tokens::of_user(&mut connection, "u1").await?;
    assert!(held[0].open(&new)? == token().credentials);
    let consent = consents::find(&mut connection, consent_id).await?.ok_or("the consent is gone")?;
    assert!(matches!(consent.progress(&new)?, Progress::Pending(StartedSecret::CodeVerifier(_))));
    let named = "SELECT count(*) FROM (SELECT key_id FROM garmin_oauth.access_token
                 UNION ALL SELECT key_id FROM garmin_oauth.request_token) AS all_of WHERE key_id = 'new'";
    assert_eq!(site.count(named).await?, 2);

    let again = worker(&site, NEW_KEY, &["keys", "rotate"])?;
    assert!(again.status.success(), "{}", text(&again));
    assert!(text(&again).contains("0 values"), "{}", text(&again));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_worker_seals_later_is_met_by_the_next_rotation() -> Result<()> {
    let site = Site::new().await?;
    fill(&site, Uuid::now_v7()).await?;
    worker(&site, &both_keys(), &["keys", "rotate"])?;
    let (receiver, running) = (site.receiver(&[]).await?, site.worker(&["--lanes", "summaries"]).await?);
    receiver.accept("/api_client/garmin", json!({"dailies": [{"userId": "u"}]}).to_string()).await?;
    running.has_stored(1).await?;
    running.stop().await?;
    let listed = text(&worker(&site, NEW_KEY, &["keys", "list"])?);
    let missing = |line: &str| line.starts_with("test") && line.ends_with("missing");
    assert!(listed.lines().any(missing), "{listed}");
    let rotated = worker(&site, &both_keys(), &["keys", "rotate"])?;
    assert!(rotated.status.success(), "{}", text(&rotated));
    assert!(text(&rotated).contains("1 values are sealed with new"), "{}", text(&rotated));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_missing_is_named_and_nothing_is_changed() -> Result<()> {
    let site = Site::new().await?;
    fill(&site, Uuid::now_v7()).await?;
    let rotated = worker(&site, NEW_KEY, &["keys", "rotate"])?;
    assert!(!rotated.status.success());
    assert!(text(&rotated).contains("lacks keys") && text(&rotated).contains(": test"), "{}", text(&rotated));
    assert_eq!(site.count("SELECT count(*) FROM garmin_oauth.sealing_key").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_opened_keeps_its_key_in_use() -> Result<()> {
    let site = Site::new().await?;
    fill(&site, Uuid::now_v7()).await?;
    let altered = "UPDATE garmin_oauth.access_token SET sealed = set_byte(sealed, 40, (get_byte(sealed, 40) + 1) % 256)";
    sqlx::raw_sql(altered).execute(&site.pool).await?;
    let rotated = worker(&site, &both_keys(), &["keys", "rotate"])?;
    assert!(!rotated.status.success());
    let text = text(&rotated);
    assert!(text.contains("71 values") && text.contains("1 values could not be opened"), "{text}");
    assert!(text.contains("garmin_oauth.access_token") && !text.contains("may be taken out"), "{text}");
    assert_eq!(site.count("SELECT count(*) FROM garmin_oauth.sealing_key").await?, 2);
    Ok(())
}
