//! History: asked for range by range, at Garmin's pace, once each, whatever Garmin says and whatever is killed.

use apollo_shared::consent::{Status, SubjectId};
use apollo_simulator::garmin::{
    BackfillOptions, Call, Failure, Garmin, GarminOptions, Limits, OauthVersion, PERMISSIONS,
};
use apollo_tests::Result;
use apollo_tests::programs::RunningWorker;
use apollo_tests::site::Site;
use apollo_tests::study::{self, ADA, Study, keyring};
use apollo_tests::wait::eventually;
use apollo_worker::garmin::Oauth1Token;
use apollo_worker::store::accounts::Link;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;
use time::OffsetDateTime;
use xtask::stack::StackFolder;
use xtask::stack::process::Process;

const HISTORY: &str = "HISTORICAL_DATA_EXPORT";

/// A Garmin, and a database whose participants have tokens for it.
struct Place {
    site: Site,
    garmin: Garmin,
}

impl Place {
    async fn new(options: GarminOptions) -> Result<Self> {
        Ok(Self { site: Site::new().await?, garmin: Garmin::start(options).await? })
    }

    /// Somebody who takes part, and permits everything.
    async fn participant(&self, subject_id: &str, user_id: &str) -> Result<()> {
        let token = self.garmin.issue_oauth1_token(user_id);
        let token = Oauth1Token { token: token.token.into(), secret: token.secret.into() };
        let link = Link {
            subject_id: &SubjectId::parse(subject_id)?,
            user_id,
            consented_at: OffsetDateTime::now_utc(),
            token: &token.into(),
            permissions: None,
        };
        let mut transaction = self.site.pool.begin().await?;
        link.store(&mut transaction, &keyring()?).await?;
        Ok(transaction.commit().await?)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.garmin.settings(OauthVersion::Two)
    }

    /// A worker for the lane, whose limits nobody reaches.
    async fn worker(&self) -> Result<RunningWorker> {
        let garmin = study::options(self.settings());
        let mut arguments = vec![
            "--lanes",
            "pull",
            "--garmin-key-kind",
            "production",
            "--garmin-backfill-days-per-minute",
            "100000",
        ];
        arguments.extend(garmin.iter().map(String::as_str));
        self.site.worker(&arguments).await
    }

    /// How many ranges are like this.
    async fn ranges(&self, condition: &str) -> Result<i64> {
        ranges(&self.site, condition).await
    }

    async fn come_to_be(&self, count: i64, condition: &str) -> Result<()> {
        come_to_be(&self.site, count, condition).await
    }

    /// The pauses are over: Garmin's, and those of ranges that are to be asked for again.
    async fn pass(&self) -> Result<()> {
        let sql = "UPDATE garmin_pull.pause SET until = now();
                   UPDATE garmin_pull.backfill SET due_at = now() WHERE state = 'pending'";
        sqlx::raw_sql(sql).execute(&self.site.pool).await?;
        Ok(())
    }

    /// Asks for more history, and does not wait for it.
    fn ask(&self, subject_id: &str, kind: &str) -> Result<String> {
        let (from, to) = (days_ago(80), days_ago(0));
        let what = ["backfill", "--subject", subject_id, "--types", kind, "--from", &from, "--to", &to];
        self.site.printed(&[&what[..], &["--detach"]].concat(), 0)
    }
}

async fn ranges(site: &Site, condition: &str) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM garmin_pull.backfill WHERE {condition}");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&site.pool).await?)
}

/// Waits until so many ranges are like this.
async fn come_to_be(site: &Site, count: i64, condition: &str) -> Result<()> {
    let what = format!("{count} ranges are {condition}");
    let waited = eventually(&what, async || (ranges(site, condition).await.ok()? == count).then_some(()));
    match waited.await {
        Ok(()) => Ok(()),
        Err(error) => {
            let all = "SELECT to_jsonb(b) FROM garmin_pull.backfill AS b ORDER BY id";
            let all: Vec<Value> = sqlx::query_scalar(all).fetch_all(&site.pool).await?;
            Err(format!("{error}; {all:#?}").into())
        }
    }
}

/// The last full hour as the tests began, however long they take.
static NOW: LazyLock<OffsetDateTime> = LazyLock::new(|| OffsetDateTime::now_utc().truncate_to_hour());

fn before_now(days: i64) -> OffsetDateTime {
    *NOW - time::Duration::days(days)
}

fn days_ago(days: i64) -> String {
    before_now(days).format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_garmins_has_its_consequence() -> Result<()> {
    let backfill = BackfillOptions {
        minimum_start: before_now(200).unix_timestamp() - 1_000,
        not_enabled: BTreeSet::from(["hrv".to_owned()]),
        ..BackfillOptions::default()
    };
    let place = Place::new(GarminOptions { backfill, ..GarminOptions::default() }).await?;
    for (subject_id, user_id) in [("P-1", ADA), ("P-2", "no history"), ("P-3", "health"), ("P-4", "gone")] {
        place.participant(subject_id, user_id).await?;
    }
    place.garmin.set_permissions("no history", &["HEALTH_EXPORT", "ACTIVITY_EXPORT"]);
    place.garmin.set_permissions("health", &["HEALTH_EXPORT", HISTORY]);
    place.garmin.disconnect("gone");
    let worker = place.worker().await?;

    let (from, to) = (days_ago(300), days_ago(0));
    let all = ["backfill", "--all", "--types", "dailies,hrv,activities", "--from", &from, "--to", &to];
    let told = place.site.printed(&all, 0)?;
    assert!(told.contains("72 ranges to be asked for"), "4 and 4 of 90 days, 10 of 30, of each: {told}");
    for (count, condition) in [
        // What began before the minimum was cut there.
        (
            3,
            "user_id = $$8f3d1c6a4be24f0c9a7d52e1b0c4f7a9$$ AND summary_type = 'dailies' AND state = 'requested'",
        ),
        (
            2,
            "user_id = $$8f3d1c6a4be24f0c9a7d52e1b0c4f7a9$$ AND summary_type = 'dailies' AND state = 'before_minimum'",
        ),
        (
            7,
            "user_id = $$8f3d1c6a4be24f0c9a7d52e1b0c4f7a9$$ AND summary_type = 'activities' AND state = 'requested'",
        ),
        (16, "summary_type = 'hrv' AND state = 'not_enabled'"),
        (14, "user_id = 'no history' AND state = 'not_permitted' AND status = 403"),
        (3, "user_id = 'health' AND summary_type = 'dailies' AND state = 'requested'"),
        (
            10,
            "user_id = 'health' AND summary_type = 'activities' AND state = 'not_permitted' AND status = 412",
        ),
        (14, "user_id = 'gone' AND state = 'no_consent'"),
        (0, "state IN ('pending', 'failed')"),
    ] {
        assert_eq!(place.ranges(condition).await?, count, "{condition}: {told}");
    }
    let requests = place.garmin.requests(Call::Backfill);
    let accepted = requests.iter().filter(|request| request.status == Some(202)).count();
    assert_eq!(accepted, 13);
    assert!(requests.len() <= accepted + 8, "what one answer tells of others is not asked: {requests:?}");

    let status: Value = serde_json::from_str(&place.site.printed(&["backfill", "status", "--json"], 0)?)?;
    assert_eq!(status["states"]["requested"]["ranges"], 13);
    assert_eq!(status["subjects"]["P-3"]["not_permitted"]["ranges"], 10);
    assert_eq!(status["types"]["hrv"]["not_enabled"]["days"], 4 * 300);
    assert_eq!(status["seconds_left"], 0);
    let again = ["backfill", "--subject", "P-1", "--types", "dailies", "--from", &from, "--to", &to];
    assert!(place.site.printed(&again, 0)?.contains("all of it has been asked for before"));

    // Garmin in trouble: asked again later, and after an answer that was lost it says that it was asked before.
    place.garmin.fail_next(Call::Backfill, Failure::Status(500));
    place.ask("P-1", "sleeps")?;
    place.come_to_be(1, "summary_type = 'sleeps' AND attempts = 1 AND due_at > now()").await?;
    place.garmin.fail_next(Call::Backfill, Failure::LoseAnswer);
    place.pass().await?;
    place.come_to_be(1, "summary_type = 'sleeps' AND attempts = 2").await?;
    place.pass().await?;
    place.come_to_be(1, "summary_type = 'sleeps' AND state = 'done_before' AND status = 409").await?;

    place.garmin.fail_next(Call::Backfill, Failure::Status(429));
    place.ask("P-1", "epochs")?;
    place.come_to_be(1, "summary_type = 'epochs' AND status = 429 AND state = 'pending'").await?;
    let pause = "SELECT count(*) FROM garmin_pull.pause WHERE until > now() + interval '30 seconds'";
    assert_eq!(place.site.count(pause).await?, 1, "all who ask Garmin for data pause");
    let told = place.site.printed(&["backfill", "status"], 0)?;
    assert!(told.contains("is asked too often") && told.contains("Garmin has asked for a pause"), "{told}");
    place.pass().await?;
    place.come_to_be(1, "summary_type = 'epochs' AND state = 'requested'").await?;

    let refusal =
        |text: &str| Failure::Refusal { status: 400, body: json!({"errorMessage": text}).to_string() };
    place.garmin.fail_next(Call::Backfill, refusal("the range is longer than allowed"));
    place.ask("P-1", "bodyComps")?;
    place.come_to_be(2, "summary_type = 'bodyComps' AND state = 'requested'").await?;
    assert_eq!(place.ranges("summary_type = 'bodyComps' AND ends_at - starts_at = '40 days'").await?, 2);

    place.garmin.fail_next(Call::Backfill, refusal("something else"));
    let from = days_ago(80);
    let asked = ["backfill", "--subject", "P-1", "--types", "userMetrics", "--from", &from];
    let told = place.site.printed(&asked, 1)?;
    assert!(told.contains("something else") && told.contains("1 ranges have failed"), "{told}");
    assert!(place.site.printed(&asked, 0)?.contains("1 ranges to be asked for, 1 of them anew"));
    assert_eq!(worker.metric("apollo_backfill_ranges", &["state=\"pending\""]).await?, 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_is_told_in_a_sentence() -> Result<()> {
    let place = Place::new(GarminOptions::default()).await?;
    place.participant("P-1", ADA).await?;
    let refused = |arguments: &[&str], exit_code: i32| {
        place.site.printed(&[&["backfill"], arguments].concat(), exit_code)
    };
    let files = ["--subject", "P-1", "--from", "2026-01-01", "--types", "activityFiles"];
    assert!(refused(&files, 64)?.contains("ask for activities"));
    assert!(refused(&["--subject", "P-1"], 64)?.contains("--from"));
    assert!(refused(&["--from", "2026-01-01"], 64)?.contains("--subject"));
    assert!(refused(&["--subject", "P-9", "--from", "2026-01-01"], 1)?.contains("P-9"));
    assert!(refused(&["--all", "--from", "2100-01-01"], 1)?.contains("must be before"));

    // Nobody works it off.
    let two =
        ["--all", "--from", "2026-01-01", "--to", "2026-01-31", "--types", "sleeps,activities", "--detach"];
    assert!(refused(&two, 0)?.contains("2 ranges to be asked for"));
    assert!(refused(&["status"], 0)?.contains("about 40 seconds left"));
    assert!(refused(&["cancel", "--types", "sleeps"], 0)?.contains("1 ranges cancelled"));
    assert_eq!(place.ranges("state = 'cancelled' AND summary_type = 'sleeps'").await?, 1);
    assert_eq!(place.ranges("state = 'pending'").await?, 1);
    assert!(refused(&["cancel"], 0)?.contains("1 ranges cancelled"));
    assert!(refused(&two, 0)?.contains("2 of them anew"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_a_new_participant_is_asked_for_when_it_is_permitted() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let options = ["--garmin-backfill-days", "10", "--garmin-backfill-days-per-minute", "10000"];
    let worker = study.following_worker(&options).await?;
    let consent = async |permissions: &[&str]| {
        let participant = study.participant();
        participant.begin("P-1").await?.agree_to(ADA, permissions).await?.outcome().await
    };
    let permit = async |permissions: &[&str]| {
        study.garmin.set_permissions(ADA, permissions);
        let entry = json!({"userId": ADA, "permissions": permissions});
        let body = json!({"userPermissionsChange": [entry]});
        study.receiver.accept("/oauth/garmin/permissions", body.to_string()).await
    };

    assert_eq!(consent(&["HEALTH_EXPORT"]).await?, Status::Linked);
    assert_eq!(ranges(&study.site, "true").await?, 0, "history is not permitted");
    permit(&["HEALTH_EXPORT", HISTORY]).await?;
    come_to_be(&study.site, 12, "state = 'requested' AND ends_at - starts_at = '10 days'").await?;
    permit(&["HEALTH_EXPORT", "ACTIVITY_EXPORT", HISTORY]).await?;
    come_to_be(&study.site, 15, "state = 'requested'").await?;
    assert_eq!(consent(&["HEALTH_EXPORT", "ACTIVITY_EXPORT", HISTORY]).await?, Status::Linked);
    assert_eq!(ranges(&study.site, "true").await?, 15, "nothing is asked for twice");

    for body in study.garmin.take_deliveries()? {
        study.receiver.accept("/api_client/garmin", body).await?;
    }
    let days = "SELECT count(*) FROM garmin_wellness.daily_summary";
    eventually("the history is there", async || (study.site.count(days).await.ok()? >= 10).then_some(()))
        .await?;

    // What waits when a participant withdraws is asked for when they come back.
    let pause = "INSERT INTO garmin_pull.pause (failures, until) VALUES (0, now() + interval '1 hour')
                 ON CONFLICT (only_row) DO UPDATE SET until = excluded.until";
    sqlx::raw_sql(pause).execute(&study.site.pool).await?;
    let (from, to) = (days_ago(100), days_ago(20));
    let more = ["backfill", "--all", "--types", "sleeps", "--from", &from, "--to", &to, "--detach"];
    study.site.printed(&more, 0)?;
    study.garmin.disconnect(ADA);
    let body = json!({"deregistrations": [{"userId": ADA}]});
    study.receiver.accept("/oauth/garmin/deregistration", body.to_string()).await?;
    come_to_be(&study.site, 1, "state = 'no_consent'").await?;
    assert!(
        study.site.printed(&["backfill", "--subject", "P-1", "--from", &from], 1)?.contains("has withdrawn")
    );
    assert_eq!(consent(&PERMISSIONS).await?, Status::Linked);
    come_to_be(&study.site, 0, "state = 'no_consent'").await?;
    sqlx::raw_sql("DELETE FROM garmin_pull.pause").execute(&study.site.pool).await?;
    come_to_be(
        &study.site,
        1,
        "summary_type = 'sleeps' AND ends_at - starts_at = '80 days' AND state = 'requested'",
    )
    .await?;
    worker.stop().await
}

/// 90 days of 50 participants: 30 of them fill a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_backfill_survives_its_workers_within_the_limits() -> Result<()> {
    const PARTICIPANTS: usize = 50;
    const DAYS_A_MINUTE: u32 = 30 * 90;
    let limits = Limits { requests_per_minute: 100, backfill_days_per_minute: DAYS_A_MINUTE };
    let place = Place::new(GarminOptions { limits: Some(limits), ..GarminOptions::default() }).await?;
    for number in 0..PARTICIPANTS {
        place.participant(&format!("P-{number}"), &format!("user {number}")).await?;
    }
    let (folder, days) = (StackFolder::create("backfill")?, DAYS_A_MINUTE.to_string());
    let garmin = place.settings();
    let mut settings: Vec<(&str, &str)> =
        garmin.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend([
        ("WORKER__LANES", "pull"),
        ("GARMIN__REQUESTS_PER_MINUTE", "100"),
        ("GARMIN__BACKFILL_DAYS_PER_MINUTE", &days),
    ]);
    let start = || -> Result<Vec<Process>> {
        (0..2).map(|_| place.site.worker_process(&folder, &settings)).collect()
    };

    let (from, to) = (days_ago(90), days_ago(0));
    let asked = ["backfill", "--all", "--types", "dailies", "--from", &from, "--to", &to, "--detach"];
    assert!(place.site.printed(&asked, 0)?.contains("50 ranges"));
    place.garmin.fail_always(Call::Backfill, Failure::Slow(Duration::from_millis(100)));
    let mut workers = start()?;
    let begun = async || (place.garmin.count(Call::Backfill) >= 10).then_some(());
    eventually("some ranges have been asked for", begun).await?;
    for worker in &mut workers {
        worker.kill()?;
    }
    place.garmin.heal();
    let settled = place.ranges("state <> 'pending'").await?;
    assert!((1..30).contains(&settled), "killed in the middle: {settled}");

    // Two minutes pass for the claims of the killed.
    sqlx::raw_sql("UPDATE garmin_pull.backfill SET claimed_until = now()").execute(&place.site.pool).await?;
    let _workers = start()?;
    place.come_to_be(PARTICIPANTS as i64, "state IN ('requested', 'done_before')").await?;

    let requests = place.garmin.requests(Call::Backfill);
    let answered = |status: u16| requests.iter().filter(|request| request.status == Some(status)).count();
    assert_eq!(answered(429), 0, "Garmin was never asked too much");
    let (first, last) = (requests.first().ok_or("asked")?, requests.last().ok_or("asked")?);
    assert!(last.arrived - first.arrived >= Duration::from_secs(60), "there was a minute to be waited for");
    let twice = place.ranges("state = 'done_before'").await?;
    assert!(twice <= 2, "only what was under way when its worker died: {twice}");
    let deliveries = place.garmin.take_deliveries()?;
    let mut days = BTreeSet::new();
    for body in &deliveries {
        let body: Value = serde_json::from_slice(body)?;
        for daily in body["dailies"].as_array().ok_or("dailies")? {
            let new = days.insert((daily["userId"].to_string(), daily["startTimeInSeconds"].to_string()));
            assert!(new, "sent twice: {daily}");
        }
    }
    assert_eq!(days.len(), PARTICIPANTS * 90, "every day of everybody");
    Ok(())
}
