//! The status page in a real browser, and `apollo-worker status`: figures change as messages arrive, what needs a person is
//! told first, and what is away does not hide the rest.
//!
//! What the page looks like goes to `target/screenshots/`, or with `APOLLO_SCREENSHOTS=1` to `docs/screenshots/`.

use super::outages::{plan, push};
use apollo_tests::Result;
use apollo_tests::browser::{Browser, Device, Scheme};
use apollo_tests::programs::RunningWorker;
use apollo_tests::site::{Site, tables};
use apollo_tests::wait::eventually;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use xtask::stack::of_tests;
use xtask::stack::postgres::WORKER;

/// Waits until an element of the page holds this.
async fn shows(browser: &Browser, css: &str, words: &str) -> Result<()> {
    let shown = async || browser.text_of(css).await.ok()?.contains(words).then_some(());
    let waited = eventually(&format!("{css} shows {words:?}"), shown).await;
    match waited {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("{error}; there is:\n{}", browser.text_of("body").await?).into()),
    }
}

/// A role of workers that can be kept out of the database, and how to do so.
struct Role(String);

impl Role {
    fn new() -> Result<Self> {
        let role = Self(format!("role_{}", uuid::Uuid::now_v7().simple()));
        of_tests()?
            .postgres
            .execute("postgres", &format!("CREATE ROLE {} LOGIN IN ROLE {WORKER}", role.0))?;
        Ok(role)
    }

    async fn may_log_in(&self, site: &Site, may: bool) -> Result<()> {
        let login = if may { "LOGIN" } else { "NOLOGIN" };
        of_tests()?.postgres.execute("postgres", &format!("ALTER ROLE {} {login}", self.0))?;
        site.disconnect_workers().await
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Ok(stack) = of_tests() {
            let _ = stack.postgres.execute("postgres", &format!("DROP ROLE {}", self.0));
        }
    }
}

/// Makes of some users those that a study has after a while: silent, without data, withdrawn, linked with no subject.
async fn as_after_a_while(site: &Site) -> Result<()> {
    for (place, days) in [(1_i64, 2), (2, 4), (3, 9)] {
        for table in tables() {
            let sql = format!(
                "UPDATE garmin_wellness.{table} SET received_at = received_at - $1 * interval '1 day'
                 WHERE user_id = (SELECT user_id FROM garmin_oauth.user_id ORDER BY user_id OFFSET $2 LIMIT 1)"
            );
            sqlx::query(AssertSqlSafe(sql)).bind(days).bind(place).execute(&site.pool).await?;
        }
    }
    let sql = "INSERT INTO garmin_oauth.subject (subject_id, user_id)
                   SELECT 'P-' || row_number() OVER (), user_id FROM garmin_oauth.user_id;
               INSERT INTO garmin_oauth.user_id (user_id, active, registered_at)
                   VALUES ('new', true, now() - interval '1 hour'), ('gone', false, now() - interval '30 days')";
    sqlx::raw_sql(sql).execute(&site.pool).await?;
    Ok(())
}

async fn status(worker: &RunningWorker) -> Result<Value> {
    Ok(reqwest::get(worker.admin_url("/status.json")).await?.json().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_live_and_tells_what_needs_a_person() -> Result<()> {
    let (role, site) = (Role::new()?, Site::new().await?);
    let url = of_tests()?.postgres.url_of(&role.0, site.name());
    let receiver = site.receiver(&[]).await?;
    let worker = site.worker_of(&url, &["--lanes", "summaries,account"]).await?;
    let browser = Browser::open(Device::DESKTOP).await?;

    browser.goto(&worker.admin_url("/")).await?;
    shows(&browser, "#verdict", "All is well").await?;
    shows(&browser, "#notifications", "None within a day").await?;
    browser.is_accessible().await?;
    let admin = worker.admin_address().to_string();
    let well = site.printed(&["status", "--admin-listen", &admin], 0)?;
    assert!(well.starts_with("All is well\n") && well.contains("apollo.summaries"), "{well}");
    browser.evaluate("window.isTheSamePage = true").await?;

    push(plan(12), receiver.url().to_owned()).await?;
    shows(&browser, "#notifications", "dailies").await?;
    shows(&browser, "#participants", "Active 12").await?;
    as_after_a_while(&site).await?;
    shows(&browser, "#participants", "Active 13\nLinked with a subject 12\nSilent for more than 1 day 3")
        .await?;
    shows(&browser, "#participants", "more than 3 days 2\nSilent for more than 7 days 1").await?;
    shows(&browser, "#participants", "Without any data yet 1\nWithdrawn 1").await?;
    // Nobody follows the pings for activity files, and an entry without a time is a dead letter.
    receiver.accept("/api_client/garmin/dailies", r#"{"dailies": [{"userId": "hush"}]}"#).await?;
    shows(&browser, "#verdict h2", "2 things need you").await?;
    shows(&browser, "#verdict", "No worker takes from apollo.pull, and ").await?;
    shows(&browser, "#verdict", "1 dead letter waits in apollo.dead.").await?;
    shows(&browser, "#dead-letters", "malformed_entry 1").await?;
    assert_eq!(browser.title().await?, "Apollo: 2 things need you");
    assert_eq!(browser.evaluate("return window.isTheSamePage").await?, json!(true), "it was loaded again");
    browser.is_accessible().await?;
    pictures(&browser, "desktop").await?;
    assert!(!browser.text().await?.contains("hush"), "a user's id is shown");

    command_tells_the_same(&site, &worker).await?;
    database_may_be_away(&browser, &role, &site).await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    let expected = BTreeSet::from([worker.admin_url("")]);
    assert_eq!(browser.origins_asked().await?, expected);

    elsewhere(&worker).await?;
    browser.evaluate("window.fetch = () => Promise.reject(new Error('no answer'))").await?;
    shows(&browser, "#silence", "does not answer any more").await?;
    shows(&browser, "#queues", "apollo.summaries").await?;
    worker.stop().await?;
    // What the role owns there goes with the database.
    drop(site);
    Ok(())
}

/// Before there is trouble with the database, so that what is told is the same.
async fn command_tells_the_same(site: &Site, worker: &RunningWorker) -> Result<()> {
    let address = worker.admin_address().to_string();
    let printed = async || {
        let text = site.printed(&["status", "--admin-listen", &address], 1).ok()?;
        text.starts_with("2 things need you: no worker takes from apollo.pull, and ").then_some(text)
    };
    // On a busy machine PostgreSQL may not answer in time, which is a third.
    let text = eventually("the command tells of two things", printed).await?;
    let first = text.lines().next().unwrap_or_default();
    assert!(first.ends_with("; 1 dead letter waits in apollo.dead"), "{first}");
    assert!(text.contains("QUEUE") && text.contains("malformed_entry"), "{text}");
    assert!(!text.contains("hush") && !text.contains("error:"), "{text}");

    let mut watching = site
        .worker_command()?
        .args(["status", "--watch", "--json", "--admin-listen", &address])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(watching.stdout.take().ok_or("no output")?).lines();
    let told: Vec<Value> = tokio::task::block_in_place(|| {
        lines.take(2).map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_>>()
    })?;
    let page = status(worker).await?;
    for told in &told {
        assert_eq!(told["needs"], page["needs"]);
        assert_eq!(told["users"], page["users"]);
        assert_eq!(told["worker"]["lag"]["notifications"], page["worker"]["lag"]["notifications"]);
        assert_eq!(told["queues"].as_array().map(Vec::len), Some(10));
    }
    assert!(page["worker"]["lag"]["p99_seconds"].as_f64() >= page["worker"]["lag"]["p50_seconds"].as_f64());
    Command::new("kill").args(["-INT", &watching.id().to_string()]).status()?;
    let ended = tokio::task::block_in_place(|| watching.wait())?;
    assert_eq!(ended.code(), Some(0), "Ctrl-C is how to end it");
    Ok(())
}

async fn database_may_be_away(browser: &Browser, role: &Role, site: &Site) -> Result<()> {
    role.may_log_in(site, false).await?;
    shows(browser, "#verdict", "PostgreSQL does not answer").await?;
    shows(browser, "#participants", "Not known").await?;
    shows(browser, "#queues", "apollo.summaries 0").await?;
    shows(browser, "#notifications", "dailies").await?;
    browser.is_accessible().await?;
    role.may_log_in(site, true).await?;
    shows(browser, "#participants", "Withdrawn 1").await
}

/// On a phone, and where no script runs.
async fn elsewhere(worker: &RunningWorker) -> Result<()> {
    let phone = Browser::open(Device::PHONE).await?;
    phone.goto(&worker.admin_url("/status")).await?;
    shows(&phone, "#participants", "Withdrawn 1").await?;
    phone.is_accessible().await?;
    pictures(&phone, "phone").await?;
    phone.click("#pause").await?;
    shows(&phone, "#pause", "Go on").await?;

    let plain = Browser::open(Device::WITHOUT_SCRIPTS).await?;
    let told = async || {
        plain.goto(&worker.admin_url("/")).await.ok()?;
        plain.text().await.ok()?.contains("2 things need you").then_some(())
    };
    eventually("the page without scripts tells of two things", told).await?;
    assert_eq!(plain.count("noscript meta[http-equiv=refresh]").await?, 1, "it would never change");
    Ok(())
}

async fn pictures(browser: &Browser, device: &str) -> Result<()> {
    for (scheme, suffix) in [(Scheme::Light, ""), (Scheme::Dark, "-dark")] {
        browser.prefer(scheme).await?;
        browser.evaluate("scrollTo(0, 0)").await?;
        browser.screenshot(&format!("status-{device}{suffix}")).await?;
    }
    browser.prefer(Scheme::Light).await
}
