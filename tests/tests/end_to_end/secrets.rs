//! Nothing secret is to be read anywhere: not in logs, not in the database, not in messages.

use apollo_shared::consent::{Callback, Started, Status};
use apollo_simulator::garmin::{Call, Failure, Garmin, GarminOptions, OauthVersion};
use apollo_tests::Result;
use apollo_tests::participant::Participant;
use apollo_tests::programs::SECRETS_KEYS;
use apollo_tests::site::Site;
use apollo_tests::study::{ADA, keyring};
use apollo_tests::wait::eventually;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use xtask::stack::process::{Process, Program};
use xtask::stack::{StackFolder, free_ports, of_tests};

const START_LIMIT: Duration = Duration::from_secs(60);

/// The programs themselves, as talkative as they can be.
struct Programs<'a> {
    site: &'a Site,
    garmin: &'a Garmin,
    version: OauthVersion,
    folder: StackFolder,
}

impl Programs<'_> {
    /// A receiver, and its public address.
    fn receiver(&self) -> Result<(Process, String)> {
        let [port, admin] = free_ports()?;
        let url = format!("http://127.0.0.1:{port}");
        let program = self
            .program("apollo-receiver")
            .env("RABBITMQ__URL", self.site.receiver_rabbitmq_url())
            .env("RECEIVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("RECEIVER__PUBLIC_URL", &url)
            .env("RECEIVER__ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        Ok((self.start(program, admin)?, url))
    }

    fn worker(&self) -> Result<Process> {
        let [admin] = free_ports()?;
        let program = self
            .program("apollo-worker")
            .args(["serve"])
            .env("DATABASE__URL", self.site.database_url())
            .env("WORKER__ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        self.start(program, admin)
    }

    fn program(&self, binary: &str) -> Program {
        let path = of_tests().map(|stack| stack.binary(binary)).unwrap_or_default();
        let program = Program::new(binary, path)
            .env("RABBITMQ__URL", self.site.rabbitmq_url())
            .env("SECRETS__KEYS", SECRETS_KEYS)
            .env("RUST_LOG", "debug,apollo_receiver=trace,apollo_worker=trace,apollo_shared=trace");
        self.garmin
            .settings(self.version)
            .into_iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    }

    fn start(&self, program: Program, admin: u16) -> Result<Process> {
        let mut process = Process::start(&self.folder, program)?;
        process.wait_http(&format!("http://127.0.0.1:{admin}/health/ready"), START_LIMIT)?;
        Ok(process)
    }
}

/// Every row of every table of ours, as PostgreSQL writes it.
async fn everything(pool: &PgPool) -> Result<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname LIKE 'garmin%'",
    )
    .fetch_all(pool)
    .await?;
    let mut text = String::new();
    for table in tables {
        let rows = format!("SELECT t::text FROM {table} AS t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(pool).await?;
        text.push_str(&rows.join("\n"));
    }
    Ok(text)
}

/// Every string in a document that is long enough to be a secret.
fn strings(document: &Value) -> Vec<String> {
    match document {
        Value::String(text) if text.len() >= 8 => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => vec![],
    }
}

/// What the stored tokens of everybody are.
async fn stored_tokens(pool: &PgPool) -> Result<Vec<String>> {
    let keyring = keyring()?;
    let sealed = "SELECT sealed, token_digest FROM garmin_oauth.access_token";
    let sealed: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(sealed).fetch_all(pool).await?;
    let mut tokens = Vec::new();
    for (sealed, digest) in sealed {
        tokens.extend(strings(&serde_json::from_slice(&keyring.open(&sealed, &digest)?)?));
    }
    Ok(tokens)
}

fn holds(text: &str, secret: &str) -> bool {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    text.contains(secret) || text.contains(&hexadecimal)
}

async fn nothing_is_told(version: OauthVersion) -> Result<()> {
    let site = Site::new().await?;
    let garmin =
        Garmin::start(GarminOptions { user_ids: vec![ADA.into()], ..GarminOptions::default() }).await?;
    let programs =
        Programs { site: &site, garmin: &garmin, version, folder: StackFolder::create("secrets")? };
    let (receiver, url) = tokio::task::block_in_place(|| programs.receiver())?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let participant = Participant::new(client, url);
    let returning = participant.begin("P-1").await?.agree(ADA).await?;
    let consent_id = returning.arrive().await?;

    let broker = site.broker().await?;
    let messages = broker.take_all("apollo.account").await?;
    let mut secrets: Vec<String> = returning
        .callback
        .query_pairs()
        .filter(|(name, _)| name != "oauth_token")
        .map(|(_, value)| value.into())
        .collect();
    secrets.push(returning.cookie.split_once('=').ok_or("no cookie")?.1.to_owned());
    secrets.extend([
        "simulated-consumer-secret".to_owned(),
        SECRETS_KEYS.split_once(':').ok_or("no key")?.1.to_owned(),
    ]);
    let started: Started = serde_json::from_slice(&messages[0].body)?;
    let callback: Callback = serde_json::from_slice(&messages[1].body)?;
    let keyring = keyring()?;
    secrets.extend(strings(&serde_json::to_value(&started.secret.open(started.consent_id, &keyring)?)?));
    secrets.extend(strings(&serde_json::to_value(&callback.answer.open(callback.consent_id, &keyring)?)?));
    if version == OauthVersion::One {
        // A request token stands in every address on the way; without its secret it is worth nothing.
        secrets.retain(|secret| !returning.callback.as_str().contains(&format!("oauth_token={secret}")));
    }
    assert!(secrets.len() >= 5, "not all secrets are known: {}", secrets.len());
    for message in &messages {
        let body = String::from_utf8_lossy(&message.body);
        assert!(!secrets.iter().any(|secret| holds(&body, secret)), "{} holds a secret", message.routing_key);
    }

    // A failure at every step, because errors talk most.
    for call in [Call::Token, Call::AccessToken, Call::UserId] {
        garmin.fail_next(call, Failure::Nonsense);
    }
    let worker = tokio::task::block_in_place(|| programs.worker())?;
    broker.publish_again(&messages[0]).await?;
    let begun = "SELECT count(*) FROM garmin_oauth.request_token";
    let is_noted = async || (site.count(begun).await.ok()? == 1).then_some(());
    eventually("the beginning is noted", is_noted).await?;
    let database = everything(&site.pool).await?;
    assert!(!secrets.iter().any(|secret| holds(&database, secret)), "a consent under way holds a secret");
    broker.publish_again(&messages[1]).await?;
    assert_eq!(participant.outcome(&consent_id).await?, Status::Linked);
    secrets.extend(stored_tokens(&site.pool).await?);

    let push = json!({"dailies": [{"userId": ADA, "userAccessToken": "a-token-in-a-push", "startTimeInSeconds": 0}]});
    let ping = json!({"sleeps": [{"userId": ADA, "callbackURL": "https://apis.garmin.com/?token=a-token-in-a-ping"}]});
    secrets.extend(["a-token-in-a-push".to_owned(), "a-token-in-a-ping".to_owned()]);
    for (path, body) in [("dailies", push), ("sleeps", ping)] {
        let url = format!("{}/api_client/garmin/{path}", participant.public_url());
        reqwest::Client::new().post(url).json(&body).send().await?.error_for_status()?;
    }
    let stored = "SELECT count(*) FROM garmin_raw.notification";
    let both = async || (site.count(stored).await.ok()? == 2).then_some(());
    eventually("both notifications are stored", both).await?;

    let database = everything(&site.pool).await?;
    let logs = [&receiver, &worker].map(|program| std::fs::read_to_string(program.log()).unwrap_or_default());
    assert!(
        database.contains(ADA) && logs.iter().all(|log| log.contains(&consent_id)),
        "nothing was looked at"
    );
    for secret in &secrets {
        assert!(!holds(&database, secret), "the database holds {secret}");
        for log in &logs {
            let line = log.lines().find(|line| holds(line, secret));
            assert!(line.is_none(), "a log holds {secret}: {line:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_oauth_2_is_to_be_read_anywhere() -> Result<()> {
    nothing_is_told(OauthVersion::Two).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_oauth_1_is_to_be_read_anywhere() -> Result<()> {
    nothing_is_told(OauthVersion::One).await
}
