//! The rules of a consent: repetition, order, conflicts, restarts, and a Garmin that fails at every step.

use apollo_shared::consent::Status;
use apollo_simulator::garmin::{AccountNotification, Call, Failure, OauthVersion};
use apollo_tests::Result;
use apollo_tests::study::{ADA, BEN, Study};
use apollo_tests::wait::eventually;
use reqwest::StatusCode;
use reqwest::header::{COOKIE, LOCATION};
use serde_json::json;
use std::time::Duration;

const DAILIES: &str = "/api_client/garmin/dailies";

fn daily(user_id: &str, steps: u32) -> String {
    let entry = json!({"userId": user_id, "startTimeInSeconds": 1794265200, "steps": steps});
    json!({ "dailies": [entry] }).to_string()
}

/// How many days are stored of a subject.
async fn days_of(study: &Study, subject_id: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM garmin_wellness.daily_summary JOIN garmin_oauth.subject USING (user_id)
               WHERE subject_id = $1";
    Ok(sqlx::query_scalar(sql).bind(subject_id).fetch_one(&study.site.pool).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_changes_nothing_and_says_which() -> Result<()> {
    for version in [OauthVersion::One, OauthVersion::Two] {
        let study = Study::new(version, &[]).await?;
        let worker = study.worker().await?;
        let participant = study.participant();
        assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
        let before = study.everything_about_accounts().await?;

        assert_eq!(participant.consent("P-1", BEN).await?, Status::SubjectTaken);
        assert_eq!(participant.consent("P-2", ADA).await?, Status::AccountTaken);
        assert_eq!(study.everything_about_accounts().await?, before);

        assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked, "the same again is no conflict");
        assert_eq!(participant.consent("P-2", BEN).await?, Status::Linked);
        worker.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_callbacks_are_harmless() -> Result<()> {
    for (version, exchange) in [(OauthVersion::One, Call::AccessToken), (OauthVersion::Two, Call::Token)] {
        let study = Study::new(version, &[]).await?;
        let participant = study.participant();
        let returning = participant.begin("P-1").await?.agree(ADA).await?;
        let consent_id = returning.arrive().await?;
        for _ in 0..5 {
            assert_eq!(returning.arrive().await?, consent_id);
        }
        let workers = (study.worker().await?, study.worker().await?);
        assert_eq!(participant.outcome(&consent_id).await?, Status::Linked);

        let again = returning.come_back().await?;
        assert_eq!(again.status(), StatusCode::OK);
        assert!(again.text().await?.contains("Your account is linked"));
        let stored = async || Some(workers.0.stored().await.ok()? + workers.1.stored().await.ok()?);
        let all = async || (stored().await? >= 7.0).then_some(());
        eventually("the beginning and six callbacks are dealt with", all).await?;
        assert_eq!(
            study.garmin.count(exchange),
            1,
            "what a participant brings back is good for one exchange"
        );
        assert_eq!(study.site.count("SELECT count(*) FROM garmin_oauth.access_token").await?, 1);
        drop(workers);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_ahead_of_its_beginning_is_tried_again() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let participant = study.participant();
    let consent_id = participant.begin("P-1").await?.agree(ADA).await?.arrive().await?;
    let broker = study.site.broker().await?;
    let [started, callback] = &broker.take_all("apollo.account").await?[..] else {
        return Err("not one beginning and one callback".into());
    };
    let worker = study.worker().await?;
    broker.publish_again(callback).await?;
    let retried = async || broker.waiting("apollo.retry.5").await.ok().filter(|waiting| *waiting == 1);
    eventually("the callback waits for its beginning", retried).await?;
    assert_eq!(participant.status(&consent_id).await?, Status::Pending);

    broker.publish_again(started).await?;
    assert_eq!(participant.outcome(&consent_id).await?, Status::Linked);
    assert_eq!(study.account_of("P-1").await?.as_deref(), Some(ADA));
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_be_restarted_at_any_moment() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let participant = study.participant();
    let at_garmin = participant.begin("P-1").await?;
    let study = study.restart_receiver().await?;
    let returning = at_garmin.agree(ADA).await?;
    let consent_id = returning.arrive().await?;
    let study = study.restart_receiver().await?;
    let worker = study.worker().await?;
    assert_eq!(participant.outcome(&consent_id).await?, Status::Linked);

    // The one that comes now has heard of no outcome. The page asks again, and it is announced again.
    let study = study.restart_receiver().await?;
    assert_eq!(participant.status(&consent_id).await?, Status::Pending);
    assert_eq!(returning.outcome().await?, Status::Linked);
    assert_eq!(study.garmin.count(Call::Token), 1);
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_may_meet_several_receivers() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let other = study.another_receiver().await?;
    let worker = study.worker().await?;
    let participant = study.participant();
    let returning = participant.begin("P-1").await?.agree(ADA).await?;
    assert_eq!(returning.come_back_to(other.url()).await?.status(), StatusCode::ACCEPTED);

    let is_told = async || {
        let page = returning.come_back_to(other.url()).await.ok()?;
        (page.status() == StatusCode::OK).then_some(())
    };
    eventually("the one that the participant came back to tells the outcome", is_told).await?;
    let first = returning.come_back().await?;
    assert_eq!(first.status(), StatusCode::OK, "the one that the participant began with has heard it too");
    assert!(first.text().await?.contains("Your account is linked"));
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_browser_that_began_may_come_back() -> Result<()> {
    for version in [OauthVersion::One, OauthVersion::Two] {
        let study = Study::new(version, &[]).await?;
        let participant = study.participant();
        let (mine, yours) = (participant.begin("P-1").await?, participant.begin("P-2").await?);
        let (mine, yours) = (mine.agree(ADA).await?, yours.agree(BEN).await?);
        let callback = study.client.get(mine.callback.clone());
        let without = callback.try_clone().ok_or("a request")?.send().await?;
        let with_another = callback.header(COOKIE, &yours.cookie).send().await?;
        for refused in [without, with_another] {
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        }
        let forged = mine.cookie.replace('A', "B");
        let refused = study.client.get(mine.callback.clone()).header(COOKIE, forged).send().await?;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);

        let messages = study.site.broker().await?.take_all("apollo.account").await?;
        assert!(messages.iter().all(|message| message.routing_key == "account.consent.started"));
        assert_eq!(mine.come_back().await?.status(), StatusCode::ACCEPTED);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_refused() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let url = study.url("/oauth/garmin/consent");
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let refused = study.client.post(&url).header(name, value).form(&[("sid", "P-1")]).send().await?;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!refused.headers().contains_key(LOCATION));
    }
    assert_eq!(study.site.broker().await?.waiting("apollo.account").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_asked_for_again_when_the_form_is_sent() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &["--receiver-invitations", "required"]).await?;
    let participant = study.participant();
    let expired = study.invitation("P-1", -1)?;
    for fields in [&[("sid", "P-1")][..], &[("sid", "P-1"), ("invitation", &expired)], &[("invitation", "x")]]
    {
        assert_eq!(participant.send_form(fields).await?.status(), StatusCode::FORBIDDEN, "{fields:?}");
    }
    let good = study.invitation("P-1", 60)?;
    let led = participant.send_form(&[("sid", "P-2"), ("invitation", &good)]).await?;
    assert_eq!(led.status(), StatusCode::SEE_OTHER);

    let messages = study.site.broker().await?.take_all("apollo.account").await?;
    let subjects: Vec<_> =
        messages.iter().map(|message| message.json().unwrap()["subject_id"].clone()).collect();
    assert_eq!(subjects, ["P-1"], "the invitation says the subject");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_the_command_open_the_form() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &["--receiver-invitations", "required"]).await?;
    let one = study.run(&["invite", "P-1"])?;
    let many = study.run(&["invite", "--csv", "--days", "1", "P-2", "Übung 3"])?;
    assert!(one.status.success() && many.status.success(), "{one:?} {many:?}");
    let (one, many) = (String::from_utf8(one.stdout)?, String::from_utf8(many.stdout)?);
    let lines: Vec<&str> = many.lines().collect();
    assert_eq!((lines[0], lines.len()), ("subject_id,link,expires_at", 3));

    let link_of = |line: &str| line.split(',').nth(1).map(str::to_owned);
    let links = [Some(one.trim().to_owned()), link_of(lines[1]), link_of(lines[2])];
    for (subject_id, link) in ["P-1", "P-2", "Übung 3"].into_iter().zip(links) {
        let form = study.client.get(link.ok_or("no link")?).send().await?;
        assert_eq!(form.status(), StatusCode::OK);
        assert!(form.text().await?.contains(&format!("value=\"{subject_id}\"")), "{subject_id}");
    }
    Ok(())
}

/// Every way in which Garmin can fail for a moment.
fn passing_failures() -> [Failure; 4] {
    [Failure::Status(500), Failure::Status(429), Failure::Nonsense, Failure::Drop]
}

/// A participant is linked although each call fails once in each way.
async fn failing_for_a_moment(version: OauthVersion, exchange: Call) -> Result<()> {
    let study = Study::new(version, &[]).await?;
    let worker = study.worker().await?;
    let participant = study.participant();
    let mut number = 0;
    for call in [exchange, Call::UserId] {
        for failure in passing_failures() {
            number += 1;
            let (subject_id, user_id) = (format!("P-{number}"), format!("user-{number}"));
            study.garmin.add_user(&user_id);
            study.garmin.fail_next(call, failure.clone());
            let outcome = participant.consent(&subject_id, &user_id).await?;
            assert_eq!(outcome, Status::Linked, "{call:?} {failure:?}");
            assert_eq!(study.account_of(&subject_id).await?, Some(user_id), "{call:?} {failure:?}");
        }
    }
    assert_eq!(study.site.broker().await?.waiting("apollo.dead").await?, 0);
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_notices_nothing_of_a_garmin_that_fails_for_a_moment_by_oauth_1() -> Result<()> {
    failing_for_a_moment(OauthVersion::One, Call::AccessToken).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_notices_nothing_of_a_garmin_that_fails_for_a_moment_by_oauth_2() -> Result<()> {
    failing_for_a_moment(OauthVersion::Two, Call::Token).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garmin_that_is_slow_is_waited_for() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    for call in [Call::Token, Call::UserId] {
        study.garmin.fail_next(call, Failure::Slow(Duration::from_secs(3)));
    }
    let participant = study.participant();
    assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
    assert_eq!(study.garmin.count(Call::Token), 1);
    worker.stop().await
}

/// A participant is told after all attempts, and starts again.
async fn failing_for_long(version: OauthVersion, failing: Call) -> Result<()> {
    let study = Study::new(version, &[]).await?;
    let worker = study.worker().await?;
    study.garmin.fail_always(failing, Failure::Status(503));
    let participant = study.participant();
    assert_eq!(participant.consent("P-1", ADA).await?, Status::Failed);
    assert!(study.garmin.count(failing) > 2, "it was asked in growing steps before");
    assert_eq!(study.account_of("P-1").await?, None);

    study.garmin.heal();
    assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garmin_that_exchanges_nothing_for_long_is_told_and_the_participant_starts_again() -> Result<()> {
    failing_for_long(OauthVersion::One, Call::AccessToken).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garmin_that_tells_no_user_for_long_is_told_and_the_participant_starts_again() -> Result<()> {
    failing_for_long(OauthVersion::Two, Call::UserId).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_garmin_will_never_exchange_is_told_at_once() -> Result<()> {
    for version in [OauthVersion::One, OauthVersion::Two] {
        let study = Study::new(version, &[]).await?;
        let worker = study.worker().await?;
        let participant = study.participant();
        let returning = participant.begin("P-1").await?.agree(ADA).await?;
        study.garmin.expire_grants();
        assert_eq!(returning.outcome().await?, Status::Failed);
        assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
        worker.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_costs_the_participant_one_more_start() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    study.garmin.fail_next(Call::Token, Failure::LoseAnswer);
    let participant = study.participant();
    assert_eq!(participant.consent("P-1", ADA).await?, Status::Failed, "a code is good for one answer");
    assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garmin_without_request_tokens_begins_nothing() -> Result<()> {
    let study = Study::new(OauthVersion::One, &[]).await?;
    let participant = study.participant();
    for failure in passing_failures() {
        study.garmin.fail_next(Call::RequestToken, failure.clone());
        let answer = participant.send_form(&[("sid", "P-1")]).await?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{failure:?}");
        assert!(answer.text().await?.contains("/oauth/garmin/consent?sid=P-1"), "no way to start again");
    }
    assert_eq!(study.site.broker().await?.waiting("apollo.account").await?, 0);
    participant.begin("P-1").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_came_before_the_link_is_there_after_it() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    study.receiver.accept(DAILIES, daily(ADA, 1000)).await?;
    worker.has_stored_of("summaries", 1).await?;
    assert_eq!(days_of(&study, "P-1").await?, 0);
    assert_eq!(study.participant().consent("P-1", ADA).await?, Status::Linked);
    assert_eq!(days_of(&study, "P-1").await?, 1);
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_and_consents_again_is_active_again() -> Result<()> {
    for version in [OauthVersion::One, OauthVersion::Two] {
        let study = Study::new(version, &[]).await?;
        let worker = study.worker().await?;
        let participant = study.participant();
        assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);

        study.garmin.disconnect(ADA);
        for notification in study.garmin.take_notifications() {
            let AccountNotification::Deregistrations(body) = notification else { continue };
            study.receiver.accept("/oauth/garmin/deregistration", body.to_string()).await?;
        }
        study.becomes_active(ADA, false).await?;
        assert_eq!(study.site.count("SELECT count(*) FROM garmin_oauth.access_token").await?, 0);
        study.receiver.accept(DAILIES, daily(ADA, 1000)).await?;
        worker.has_stored_of("summaries", 1).await?;
        assert_eq!(days_of(&study, "P-1").await?, 0, "data of who has left was stored");

        assert_eq!(participant.consent("P-1", ADA).await?, Status::Linked);
        assert_eq!(study.is_active(ADA).await?, Some(true));
        study.receiver.accept(DAILIES, daily(ADA, 2000)).await?;
        worker.has_stored_of("summaries", 2).await?;
        assert_eq!(days_of(&study, "P-1").await?, 1);
        worker.stop().await?;
    }
    Ok(())
}
