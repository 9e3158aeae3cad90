//! Pings: what they announce is fetched, once, from Garmin and from nobody else, and ends as the rows that a push
//! would have made.

use apollo_simulator::garmin::{Call, Failure, Mode, OauthVersion};
use apollo_simulator::plan::Plan;
use apollo_simulator::verify::{Scope, VerifyReport, verify_scope};
use apollo_tests::Result;
use apollo_tests::programs::RunningWorker;
use apollo_tests::study::Study;
use apollo_tests::wait::eventually;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// A study whose pings are followed.
struct Following {
    study: Study,
    worker: RunningWorker,
}

/// What is known of a user's only callback URL: state, status, repeats, entries.
type Known = (String, Option<i16>, i32, Option<i32>);

impl Following {
    async fn new(version: OauthVersion) -> Result<Self> {
        let study = Study::new(version, &[]).await?;
        let worker = study.following_worker(&[]).await?;
        Ok(Self { study, worker })
    }

    /// A device of the user uploads a day with so many steps. Returns the ping that tells of it.
    fn upload(&self, user_id: &str, steps: i32) -> Result<String> {
        let daily = json!({"userId": user_id, "startTimeInSeconds": 1_794_265_200, "durationInSeconds": 60, "steps": steps});
        let ping =
            self.study.garmin.upload(json!({"dailies": [daily]}).to_string().as_bytes(), Mode::Ping)?;
        Ok(String::from_utf8(ping)?)
    }

    async fn post(&self, ping: &str) -> Result<()> {
        self.study.receiver.accept("/api_client/garmin/dailies", ping.to_owned()).await
    }

    async fn known(&self, user_id: &str) -> Result<Vec<Known>> {
        let sql = "SELECT state, status, repeats, entries FROM garmin_pull.callback WHERE user_id = $1 ORDER BY announced_at";
        Ok(sqlx::query_as(sql).bind(user_id).fetch_all(&self.study.site.pool).await?)
    }

    /// Waits until the user's only callback URL is in a state, and returns Garmin's last answer.
    async fn becomes(&self, user_id: &str, state: &str) -> Result<Option<i16>> {
        let is_so = async || {
            let known = self.known(user_id).await.ok()?;
            known.first().filter(|(found, ..)| found == state).map(|(_, status, ..)| *status)
        };
        eventually(&format!("the callback URL of {user_id} is {state}"), is_so).await
    }

    async fn steps(&self, user_id: &str) -> Result<Option<i32>> {
        let sql = "SELECT steps FROM garmin_wellness.daily_summary WHERE user_id = $1";
        Ok(sqlx::query_scalar(sql).bind(user_id).fetch_optional(&self.study.site.pool).await?.flatten())
    }

    async fn has_steps(&self, user_id: &str, steps: i32) -> Result<()> {
        let there = async || (self.steps(user_id).await.ok()? == Some(steps)).then_some(());
        eventually(&format!("{user_id} has {steps} steps"), there).await
    }

    /// What became dead letters, by reason and error, as soon as there are so many.
    async fn dead_letters(&self, count: u32) -> Result<Vec<(String, String)>> {
        let broker = self.study.site.broker().await?;
        let there = async || (broker.waiting("apollo.dead").await.ok()? >= count).then_some(());
        eventually(&format!("there are {count} dead letters"), there).await?;
        let letters = broker.take_all("apollo.dead").await?;
        let text = |letter: &apollo_tests::broker::Taken, name| letter.header(name).unwrap_or_default();
        Ok(letters.iter().map(|letter| (text(letter, "reason"), text(letter, "error"))).collect())
    }
}

/// Somebody who would like to be sent a token.
struct Thief(TcpListener);

impl Thief {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    fn address(&self) -> Result<String> {
        Ok(self.0.local_addr()?.to_string())
    }

    fn was_asked(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// The entries of a ping that announce summaries rather than files.
fn of_summaries(ping: &[u8]) -> Result<usize> {
    let ping: BTreeMap<String, Vec<Value>> = serde_json::from_slice(ping)?;
    Ok(ping.iter().filter(|(key, _)| *key != "activityFiles").map(|(_, entries)| entries.len()).sum())
}

async fn pings_end_like_pushes(version: OauthVersion, seed: u64) -> Result<()> {
    let Following { study, worker } = Following::new(version).await?;
    let plan = Plan { users: 6, days: 1, seed, sample_interval_seconds: Some(1800) };
    let (mut sent, mut posted) = (0, 0);
    for group in plan.groups() {
        for user_id in group.user_ids() {
            match version {
                OauthVersion::One => drop(study.link_by_oauth1(&user_id).await?),
                OauthVersion::Two => study.link_by_oauth2(&user_id).await?,
            }
        }
        for notification in group.notifications() {
            let ping = study.garmin.upload(&notification.body, Mode::Ping)?;
            // Garmin repeats what it believes not to have been taken.
            for _ in 0..1 + usize::from(sent % 5 == 0) {
                study.receiver.accept("/api_client/garmin", ping.clone()).await?;
                posted += of_summaries(&ping)?;
            }
            sent += 1;
        }
    }
    let scope = Scope { files_of: plan.users, ..Scope::default() };
    let compare = async || verify_scope(&study.site.pool, &plan, &scope, |_| ()).await;
    let equal = async || compare().await.ok().filter(VerifyReport::is_clean);
    let Ok(report) = eventually("the rows and files are those that pushes make", equal).await else {
        panic!("{:?}", compare().await?);
    };
    assert!(report.compared > 500 && report.files > 0, "{report:?}");
    let refused = study.garmin.requests(Call::Pull).iter().filter(|it| it.status != Some(200)).count();
    assert_eq!(refused, 0);
    let urls =
        study.site.count("SELECT count(*) FROM garmin_pull.callback WHERE summary_type <> 'activityFiles'");
    let again = study.garmin.count(Call::Pull) - usize::try_from(urls.await?)?;
    let followed = async || {
        let followed =
            async |labels: &[&str]| worker.metric("apollo_worker_callbacks_total", labels).await.ok();
        let of_summaries = followed(&[]).await? - followed(&["type=\"activityFiles\""]).await?;
        (of_summaries >= posted as f64).then_some(of_summaries)
    };
    let followed = eventually("all pings are followed", followed).await?;
    // On a busy machine the broker may hand a message out twice (law 2), and only what comes so is fetched again.
    assert!(
        again as f64 <= followed - posted as f64,
        "{again} fetched twice; {followed} of {posted} followed"
    );
    let repeated = study.site.count("SELECT sum(repeats) FROM garmin_pull.callback").await?;
    assert!(repeated > 0, "{repeated}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_of_every_type_end_as_the_rows_that_pushes_make() -> Result<()> {
    pings_end_like_pushes(OauthVersion::Two, 11).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_followed_with_signatures_in_the_days_of_oauth_1() -> Result<()> {
    pings_end_like_pushes(OauthVersion::One, 12).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_leads_elsewhere_is_never_followed() -> Result<()> {
    let following = Following::new(OauthVersion::Two).await?;
    following.study.link_by_oauth2("u").await?;
    let thief = Thief::new()?;
    let at = thief.address()?;
    let port = at.split(':').next_back().unwrap_or_default();
    let garmin = following.study.garmin.tls_url();
    let forged = [
        format!("https://{at}/wellness-api/rest/dailies?token=t"),
        format!("http://{at}/wellness-api/rest/dailies"),
        format!("https://localhost:{port}/wellness-api/rest/dailies"),
        format!("https://apis.garmin.com@{at}/"),
        garmin.replace("https://", "http://"),
        garmin.replace("https://", "https://u@"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
    ];
    let entries: Vec<Value> = forged.iter().map(|url| json!({"userId": "u", "callbackURL": url})).collect();
    following.post(&json!({"dailies": entries}).to_string()).await?;
    let letters = following.dead_letters(u32::try_from(forged.len())?).await?;
    assert_eq!(letters.len(), forged.len());
    for (reason, error) in &letters {
        assert_eq!(reason, "callback_refused", "{error}");
        assert!(!error.contains("token=t"), "{error}");
    }
    assert_eq!(following.study.garmin.count(Call::Pull), 0);

    // Garmin itself, or who has come to own a host of its, sends on.
    let redirect = Failure::Redirect(format!("http://{at}/steal"));
    following.study.garmin.fail_next(Call::Pull, redirect);
    following.post(&following.upload("u", 1)?).await?;
    assert_eq!(following.becomes("u", "failed").await?, Some(302));
    assert_eq!(following.dead_letters(1).await?[0].0, "callback_refused");
    assert!(!thief.was_asked(), "a token may have been sent to somebody else");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_garmins_has_its_consequence() -> Result<()> {
    let following = Following::new(OauthVersion::Two).await?;
    let garmin = &following.study.garmin;
    let refusal = |status, message: &str| Failure::Refusal {
        status,
        body: json!({"errorMessage": message}).to_string(),
    };
    let final_answers = [
        (Failure::Status(410), "gone", 410),
        (refusal(401, "Invalid download token"), "gone", 401),
        (refusal(400, "InvalidPullToken failure"), "gone", 400),
        (Failure::Status(403), "not_permitted", 403),
        (Failure::Status(412), "not_permitted", 412),
        (refusal(400, "the range is wrong"), "failed", 400),
        (Failure::Status(404), "failed", 404),
    ];
    for (number, (failure, state, status)) in final_answers.into_iter().enumerate() {
        let user_id = format!("user {number}");
        following.study.link_by_oauth2(&user_id).await?;
        garmin.fail_next(Call::Pull, failure.clone());
        following.post(&following.upload(&user_id, 1)?).await?;
        assert_eq!(following.becomes(&user_id, state).await?, Some(status), "{failure:?}");
    }
    assert_eq!(garmin.count(Call::Pull), 7, "none of them is asked for twice");
    let shown = following.study.run(&["subjects", "show", "subject of user 4"])?;
    let shown = String::from_utf8(shown.stdout)?;
    assert!(shown.contains("NOT PERMITTED") && shown.contains("412"), "{shown}");

    // What is gone or not permitted is no dead letter. What is one can be followed again, once Garmin has been mended.
    let replay = ["dead-letters", "replay", "--reason", "garmin_refused", "--yes"];
    let replayed = String::from_utf8(following.study.run(&replay)?.stdout)?;
    assert!(replayed.contains("2 dead letters replayed"), "{replayed}");
    for user_id in ["user 5", "user 6"] {
        following.has_steps(user_id, 1).await?;
    }
    assert!(following.study.site.broker().await?.take("apollo.dead").await?.is_none());

    // A token that Garmin refuses before its time is renewed, and tried once more.
    following.study.link_by_oauth2("renewed").await?;
    garmin.fail_next(Call::Pull, Failure::Status(401));
    following.post(&following.upload("renewed", 5)?).await?;
    following.has_steps("renewed", 5).await?;
    assert_eq!((garmin.count(Call::Refresh), garmin.count(Call::Pull)), (1, 11));

    // When that does not help, and Garmin takes the token for nothing else, the user has to consent again.
    following.study.link_by_oauth2("ended").await?;
    garmin.fail_next(Call::Pull, Failure::Status(401));
    garmin.fail_next(Call::Pull, Failure::Status(401));
    garmin.fail_next(Call::Permissions, Failure::Status(401));
    following.post(&following.upload("ended", 6)?).await?;
    let refused =
        "SELECT count(*) FROM garmin_oauth.access_token WHERE user_id = 'ended' AND refused_at IS NOT NULL";
    let is_refused = async || (following.study.site.count(refused).await.ok()? == 1).then_some(());
    eventually("the token is not used any more", is_refused).await?;
    assert_eq!(garmin.count(Call::Refresh), 2);
    let listed = String::from_utf8(following.study.run(&["subjects", "list"])?.stdout)?;
    assert_eq!(listed.matches("needs consent").count(), 1, "{listed}");
    // Then what was announced meanwhile comes.
    following.study.link_by_oauth2("ended").await?;

    // When it does take it for something else, the fault is Garmin's, and passes.
    following.study.link_by_oauth2("not ended").await?;
    garmin.fail_next(Call::Pull, Failure::Status(401));
    garmin.fail_next(Call::Pull, Failure::Status(401));
    following.post(&following.upload("not ended", 9)?).await?;
    following.has_steps("not ended", 9).await?;

    // What may go better is tried again, and nobody asks meanwhile.
    for (number, failure) in [Failure::Status(503), Failure::Drop, Failure::Nonsense].into_iter().enumerate()
    {
        let user_id = format!("later {number}");
        following.study.link_by_oauth2(&user_id).await?;
        garmin.fail_next(Call::Pull, failure);
        following.post(&following.upload(&user_id, 7)?).await?;
    }
    following.has_steps("ended", 6).await?;
    for number in 0..3 {
        following.has_steps(&format!("later {number}"), 7).await?;
    }

    // 429 without a word about when: nobody asks for a minute, which the test does not wait for.
    following.study.link_by_oauth2("patient").await?;
    garmin.fail_next(Call::Pull, Failure::Status(429));
    following.post(&following.upload("patient", 8)?).await?;
    let pause = "SELECT count(*) FROM garmin_pull.pause WHERE until > now() + interval '50 seconds'";
    let paused = async || (following.study.site.count(pause).await.ok()? == 1).then_some(());
    eventually("all workers pause", paused).await?;
    sqlx::query("DELETE FROM garmin_pull.pause").execute(&following.study.site.pool).await?;
    following.has_steps("patient", 8).await?;
    assert!(following.study.site.broker().await?.take("apollo.dead").await?.is_none());
    let renewed = ["call=\"refresh_token\"", "status=\"200\""];
    assert!(following.worker.metric("apollo_garmin_requests_total", &renewed).await? >= 2.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_once_and_one_that_is_gone_leaves_its_row_and_is_not_asked_for_again() -> Result<()>
{
    let following = Following::new(OauthVersion::Two).await?;
    let Following { study, .. } = &following;
    let announce = |user_id: &str| {
        let url = "https://apis.garmin.com/wellness-api/rest/activityFile?id=20411873355&token=t";
        let file = json!({"userId": user_id, "summaryId": "20411873355-file", "fileType": "FIT", "callbackURL": url});
        let ping =
            study.garmin.upload(json!({"activityFiles": [file]}).to_string().as_bytes(), Mode::Push)?;
        Ok::<_, apollo_tests::Error>(String::from_utf8(ping)?)
    };
    study.link_by_oauth2("kept").await?;
    study.link_by_oauth2("late").await?;
    let ping = announce("kept")?;
    following.post(&ping).await?;
    assert_eq!(following.becomes("kept", "fetched").await?, Some(200));
    study.garmin.fail_next(Call::ActivityFile, Failure::Status(410));
    let late = announce("late")?;
    following.post(&late).await?;
    assert_eq!(following.becomes("late", "gone").await?, Some(410));
    for again in [&ping, &late] {
        following.post(again).await?;
    }
    following.worker.has_stored_of("pull", 4).await?;
    assert_eq!(study.garmin.count(Call::ActivityFile), 2, "Garmin would answer 410 to another download");
    let sql = "SELECT user_id, state FROM garmin_wellness.activity_file
               LEFT JOIN garmin_wellness.activity_file_content USING (user_id, summary_id, file_type) ORDER BY user_id";
    let files: Vec<(String, Option<String>)> = sqlx::query_as(sql).fetch_all(&study.site.pool).await?;
    assert_eq!(files, [("kept".to_owned(), Some("parsed".to_owned())), ("late".to_owned(), None)]);
    assert!(study.site.broker().await?.take("apollo.dead").await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_pings_and_their_repetition_do_not_matter() -> Result<()> {
    let following = Following::new(OauthVersion::Two).await?;
    for (number, order) in [[0, 1, 0], [1, 0, 0], [0, 0, 1]].into_iter().enumerate() {
        let user_id = format!("user {number}");
        following.study.link_by_oauth2(&user_id).await?;
        let pings = [following.upload(&user_id, 10)?, following.upload(&user_id, 20)?];
        for place in order {
            following.post(&pings[place]).await?;
            following.worker.has_stored_of("pull", number * 3 + 1).await?;
        }
        let both = async || {
            let known = following.known(&user_id).await.ok()?;
            let fetched = known.iter().filter(|(state, ..)| state == "fetched").count();
            (fetched == 2 && known.iter().map(|(_, _, repeats, _)| repeats).sum::<i32>() == 1).then_some(())
        };
        eventually("both are fetched", both).await?;
        following.has_steps(&user_id, 20).await?;
    }
    assert_eq!(following.study.garmin.count(Call::Pull), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_not_followed_any_more_once_its_user_has_withdrawn() -> Result<()> {
    let following = Following::new(OauthVersion::Two).await?;
    let Following { study, worker } = &following;
    study.link_by_oauth2("u").await?;
    study.garmin.fail_next(Call::Pull, Failure::Status(503));
    following.post(&following.upload("u", 1)?).await?;
    let asked = async || (study.garmin.count(Call::Pull) == 1).then_some(());
    eventually("Garmin is asked", asked).await?;
    let withdrawn = "UPDATE garmin_oauth.user_id SET active = false, deregistered_at = now()";
    sqlx::query(withdrawn).execute(&study.site.pool).await?;
    following.becomes("u", "withdrawn").await?;
    assert_eq!(study.garmin.count(Call::Pull), 1);
    assert_eq!(following.steps("u").await?, None);
    let withdrawn = ["outcome=\"withdrawn\"", "type=\"dailies\""];
    assert_eq!(worker.metric("apollo_worker_callbacks_total", &withdrawn).await?, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_pulls_with_the_portals_token() -> Result<()> {
    let following = Following::new(OauthVersion::Two).await?;
    let Following { study, .. } = &following;
    study.link_by_oauth2("u").await?;
    // Nobody tells of these.
    following.upload("u", 1)?;
    let to = upload_end(&following.upload("u", 2)?)?;
    let from = (to - Duration::hours(30)).format(&Rfc3339)?;
    let to = to.format(&Rfc3339)?;
    let pull = |token: &str| {
        let what = ["pull", "--subject", "subject of u", "--type", "dailies", "--from", &from, "--to", &to];
        study.run(&[&what, &["--garmin-pull-token", token][..]].concat())
    };
    let refused = pull("a wrong one")?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(!refused.status.success() && !said.contains("a wrong one"), "{said}");
    for _ in 0..2 {
        let pulled = pull(&study.garmin.pull_token())?;
        let said = String::from_utf8([pulled.stdout, pulled.stderr].concat())?;
        assert!(pulled.status.success() && said.contains("2 summaries pulled"), "{said}");
        following.has_steps("u", 2).await?;
    }
    following.post(&following.upload("u", 3)?).await?;
    following.has_steps("u", 3).await?;
    // What is newer than the range is not overwritten by it.
    assert!(pull(&study.garmin.pull_token())?.status.success());
    let stale = async || {
        let labels = ["outcome=\"stale\"", "type=\"dailies\""];
        (following.worker.metric("apollo_worker_summaries_total", &labels).await.ok()? >= 1.0).then_some(())
    };
    eventually("what was pulled is older", stale).await?;
    assert_eq!(following.steps("u").await?, Some(3));
    Ok(())
}

/// The end of the upload range in the callback URL of a ping for one user.
fn upload_end(ping: &str) -> Result<OffsetDateTime> {
    let (_, rest) = ping.split_once("uploadEndTimeInSeconds=").ok_or("no range")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(OffsetDateTime::from_unix_timestamp(digits.parse()?)?)
}
