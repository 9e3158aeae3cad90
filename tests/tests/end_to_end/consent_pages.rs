//! A participant's way through a consent, in a real browser and through nginx: every flow, every outcome, every page.
//!
//! What a page looks like goes to `target/screenshots/`, or with `APOLLO_SCREENSHOTS=1` to `docs/screenshots/`.

use apollo_simulator::garmin::{Call, Failure, OauthVersion};
use apollo_tests::Result;
use apollo_tests::browser::{Browser, Device, Scheme};
use apollo_tests::study::{ADA, BEN, STUDY_CONTACT, STUDY_NAME, Study};
use serde_json::json;
use std::collections::BTreeSet;

const FORM: &str = "/oauth/garmin/consent";

/// Opens the form, fills it in and sends it.
async fn begin(browser: &Browser, study: &Study, subject_id: &str) -> Result<()> {
    browser.goto(&study.url(FORM)).await?;
    browser.type_into("#sid", subject_id).await?;
    browser.click("main button").await?;
    browser.shows("Simulated Garmin Connect").await
}

/// Agrees at Garmin.
async fn agree(browser: &Browser, user_id: &str) -> Result<()> {
    browser.choose("#user", user_id).await?;
    browser.click("#agree").await
}

/// Nothing went wrong in the browser, and nobody was asked but the study and its Garmin.
async fn stayed_among_us(browser: &Browser, study: &Study) -> Result<()> {
    let complaints = browser.complaints().await?;
    let ours: Vec<&String> =
        complaints.iter().filter(|line| !line.starts_with(&study.garmin.url())).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    let expected = BTreeSet::from([study.url(""), study.garmin.url()]);
    assert_eq!(browser.origins_asked().await?, expected);
    Ok(())
}

/// The participant waits at the page, and it turns into the outcome without being loaded again.
async fn linked_without_a_reload(version: OauthVersion, device: Device, name: &str) -> Result<()> {
    let study = Study::new(version, &[]).await?;
    let browser = Browser::open(device).await?;
    browser.goto(&study.url("/")).await?;
    browser.is_accessible().await?;
    browser.click("main a").await?;
    browser.shows("Link your Garmin account").await?;
    browser.is_accessible().await?;
    let form = browser.text().await?;
    assert!(form.contains(STUDY_NAME) && form.contains(STUDY_CONTACT), "{form}");
    browser.screenshot(&format!("form-{name}")).await?;

    browser.type_into("#sid", "P-001").await?;
    browser.click("main button").await?;
    browser.shows("Simulated Garmin Connect").await?;
    agree(&browser, ADA).await?;
    browser.shows("Linking your account").await?;
    browser.is_accessible().await?;
    browser.screenshot(&format!("linking-{name}")).await?;
    browser.evaluate("window.isTheSamePage = true").await?;

    let worker = study.worker().await?;
    browser.shows("Your account is linked").await?;
    assert_eq!(browser.evaluate("return window.isTheSamePage").await?, json!(true), "it was loaded again");
    assert!(browser.title().await?.starts_with("Your account is linked"));
    browser.is_accessible().await?;
    browser.screenshot(&format!("linked-{name}")).await?;
    assert_eq!(study.account_of("P-001").await?.as_deref(), Some(ADA));
    assert_eq!(study.is_active(ADA).await?, Some(true));
    stayed_among_us(&browser, &study).await?;

    browser.reload().await?;
    browser.shows("Your account is linked").await?;
    browser.is_accessible().await?;
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_linked_by_oauth_2() -> Result<()> {
    linked_without_a_reload(OauthVersion::Two, Device::DESKTOP, "desktop").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_linked_by_oauth_1_on_a_phone() -> Result<()> {
    linked_without_a_reload(OauthVersion::One, Device::PHONE, "phone").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_linked_without_scripts() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let browser = Browser::open(Device::WITHOUT_SCRIPTS).await?;
    begin(&browser, &study, "P-001").await?;
    agree(&browser, ADA).await?;
    browser.shows("Linking your account").await?;
    let worker = study.worker().await?;
    browser.shows("Your account is linked").await?;
    assert_eq!(study.account_of("P-001").await?.as_deref(), Some(ADA));
    assert_eq!(study.garmin.count(Call::Token), 1, "every reload comes back anew, and only one is exchanged");
    worker.stop().await
}

/// The outcomes in which nothing is linked, and starting again from each.
async fn nothing_is_linked(version: OauthVersion, device: Device, name: &str) -> Result<()> {
    let study = Study::new(version, &[]).await?;
    let worker = study.worker().await?;
    let browser = Browser::open(device).await?;

    begin(&browser, &study, "P-001").await?;
    browser.click("#cancel").await?;
    browser.shows("You did not agree").await?;
    browser.is_accessible().await?;
    browser.screenshot(&format!("declined-{name}")).await?;
    assert_eq!(study.account_of("P-001").await?, None);

    start_again(&browser, "P-001").await?;
    agree(&browser, ADA).await?;
    browser.shows("Your account is linked").await?;

    begin(&browser, &study, "P-001").await?;
    agree(&browser, BEN).await?;
    browser.shows("This subject id is linked already").await?;
    browser.is_accessible().await?;
    browser.screenshot(&format!("subject-taken-{name}")).await?;
    assert_eq!(study.account_of("P-001").await?.as_deref(), Some(ADA));
    assert_eq!(study.is_active(BEN).await?, None);

    begin(&browser, &study, "P-002").await?;
    agree(&browser, ADA).await?;
    browser.shows("This Garmin account is linked already").await?;
    browser.is_accessible().await?;
    browser.screenshot(&format!("account-taken-{name}")).await?;
    assert_eq!(study.account_of("P-002").await?, None);

    for (call, refusal) in
        [(Call::Token, r#"{"error": "invalid_grant"}"#), (Call::AccessToken, "oauth_problem=token_rejected")]
    {
        study.garmin.fail_next(call, Failure::Refusal { status: 400, body: refusal.to_owned() });
    }
    start_again(&browser, "P-002").await?;
    agree(&browser, BEN).await?;
    browser.shows("It did not work this time").await?;
    browser.is_accessible().await?;
    browser.screenshot(&format!("failed-{name}")).await?;
    assert_eq!(study.account_of("P-002").await?, None);

    start_again(&browser, "P-002").await?;
    agree(&browser, BEN).await?;
    browser.shows("Your account is linked").await?;
    assert_eq!(study.account_of("P-002").await?.as_deref(), Some(BEN));
    stayed_among_us(&browser, &study).await?;
    worker.stop().await
}

/// By the page's link, which keeps what was typed.
async fn start_again(browser: &Browser, subject_id: &str) -> Result<()> {
    browser.click("main a.button").await?;
    browser.shows("Link your Garmin account").await?;
    assert_eq!(browser.value_of("#sid").await?, subject_id);
    browser.click("main button").await?;
    browser.shows("Simulated Garmin Connect").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_told_by_oauth_2_on_a_phone() -> Result<()> {
    nothing_is_linked(OauthVersion::Two, Device::PHONE, "phone").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_told_by_oauth_1() -> Result<()> {
    nothing_is_linked(OauthVersion::One, Device::DESKTOP, "desktop").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_subject_id_is_explained_where_it_was_typed() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let browser = Browser::open(Device::PHONE).await?;
    browser.goto(&study.url(&format!("{FORM}?sid=P-001%20%3Cb%3E"))).await?;
    assert_eq!(browser.value_of("#sid").await?, "P-001 <b>");
    let too_long = "9".repeat(101);
    browser.type_into("#sid", &too_long).await?;
    browser.click("main button").await?;
    browser.shows("Link your Garmin account").await?;
    assert!(browser.title().await?.starts_with("Error"));
    assert_eq!(browser.value_of("#sid").await?, too_long, "what was typed is lost");
    let described = "return document.querySelector('#sid').getAttribute('aria-describedby').split(' ')
        .map((id) => document.getElementById(id).textContent).join(' ')";
    let description = browser.evaluate(described).await?;
    assert!(description.as_str().is_some_and(|text| text.contains("no subject id")), "{description}");
    browser.is_accessible().await?;
    browser.prefer(Scheme::Dark).await?;
    browser.screenshot("mistyped-phone-dark").await?;
    assert_eq!(browser.complaints().await?.iter().filter(|line| !line.contains("400")).count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_invitation_opens_the_form_where_one_is_required() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &["--receiver-invitations", "required"]).await?;
    let worker = study.worker().await?;
    let browser = Browser::open(Device::PHONE).await?;
    let invited = |text: &str| study.url(&format!("{FORM}?invitation={text}"));

    browser.goto(&study.url(&format!("{FORM}?sid=P-001"))).await?;
    browser.shows("You need an invitation").await?;
    browser.is_accessible().await?;
    browser.screenshot("no-invitation-phone").await?;

    browser.goto(&invited(&study.invitation("P-001", -1)?)).await?;
    browser.shows("This invitation has expired").await?;
    browser.is_accessible().await?;

    let good = study.invitation("P-001", 3600)?;
    let damaged = &good[..good.len() - 8];
    browser.goto(&invited(damaged)).await?;
    browser.shows("This invitation is not valid").await?;
    browser.is_accessible().await?;

    browser.goto(&invited(&good)).await?;
    browser.shows("Link your Garmin account").await?;
    assert_eq!(browser.value_of("#sid").await?, "P-001");
    browser.is_accessible().await?;
    browser.screenshot("invited-phone").await?;
    // The field cannot be changed; who changes it all the same is still invited as P-001 alone.
    browser.evaluate("document.querySelector('#sid').value = 'P-002'").await?;
    browser.click("main button").await?;
    browser.shows("Simulated Garmin Connect").await?;
    agree(&browser, ADA).await?;
    browser.shows("Your account is linked").await?;
    assert_eq!(study.account_of("P-001").await?.as_deref(), Some(ADA));
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_finished_in_the_browser_in_which_it_began() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let participant = study.participant();
    let somebody = participant.begin("P-001").await?.agree(ADA).await?;
    let browser = Browser::open(Device::PHONE).await?;
    browser.goto(somebody.callback.as_str()).await?;
    browser.shows("Please finish in the browser in which you began").await?;
    browser.is_accessible().await?;
    browser.screenshot("another-browser-phone").await?;

    let messages = study.site.broker().await?.take_all("apollo.account").await?;
    let keys: Vec<&str> = messages.iter().map(|message| message.routing_key.as_str()).collect();
    assert_eq!(keys, ["account.consent.started"], "a callback that nobody may make was passed on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_on_another_site_begins_nothing() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let browser = Browser::open(Device::DESKTOP).await?;
    let form = format!(
        "data:text/html,<form method=post action={}><input name=sid value=P-666><button>Win</button></form>",
        study.url(FORM)
    );
    browser.goto(&form).await?;
    browser.click("button").await?;
    browser.shows("Please start on this server").await?;
    browser.is_accessible().await?;
    assert_eq!(study.site.broker().await?.waiting("apollo.account").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garmin_that_does_not_answer_is_not_the_participants_fault() -> Result<()> {
    let study = Study::new(OauthVersion::One, &[]).await?;
    let worker = study.worker().await?;
    let browser = Browser::open(Device::PHONE).await?;
    study.garmin.fail_always(Call::RequestToken, Failure::Status(503));
    browser.goto(&study.url(&format!("{FORM}?sid=P-001"))).await?;
    browser.click("main button").await?;
    browser.shows("It does not work for now").await?;
    browser.is_accessible().await?;
    browser.screenshot("unavailable-phone").await?;

    study.garmin.heal();
    start_again(&browser, "P-001").await?;
    agree(&browser, ADA).await?;
    browser.shows("Your account is linked").await?;
    worker.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_may_come_back_while_the_receiver_is_away() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.worker().await?;
    let browser = Browser::open(Device::PHONE).await?;
    begin(&browser, &study, "P-001").await?;
    let come_back = async || {
        agree(&browser, ADA).await?;
        browser.shows("Please wait a moment").await?;
        browser.is_accessible().await
    };
    let study = study.without_receiver(come_back).await?;
    browser.shows("Your account is linked").await?;
    assert_eq!(study.account_of("P-001").await?.as_deref(), Some(ADA));
    worker.stop().await
}
