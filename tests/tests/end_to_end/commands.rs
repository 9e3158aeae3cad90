//! What operators do about accounts, with the program itself: tokens of an existing integration come in, are exchanged
//! for OAuth 2.0 tokens, and participants are shown and withdrawn.

use apollo_simulator::garmin::{Call, Failure, OauthVersion};
use apollo_tests::Result;
use apollo_tests::study::{ADA, BEN, Study};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::Output;

/// What a command prints, when it ends as it should.
fn printed(output: &Output, exit_code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{text}{errors}");
    text + &errors
}

/// A CSV file of tokens that participants gave to another program long ago, by OAuth 1.0a.
fn tokens_file(study: &Study, lines: &[(&str, &str, &str)]) -> Result<tempfile::NamedTempFile> {
    let mut text = "subject_id,user_id,token,token_secret\n".to_owned();
    for (subject_id, named_user_id, user_id) in lines {
        let token = study.garmin.issue_oauth1_token(user_id);
        writeln!(text, "{subject_id},{named_user_id},{},{}", token.token, token.secret)?;
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_existing_integration_come_in_once_and_conflicts_change_nothing() -> Result<()> {
    let study = Study::new(OauthVersion::One, &[]).await?;
    let file = tokens_file(&study, &[("P-1", ADA, ADA), ("P-2", "", BEN), ("P-3", ADA, ADA)])?;
    let path = file.path().to_string_lossy().into_owned();

    let told = printed(&study.run(&["tokens", "import", &path, "--per-second", "50"])?, 1);
    assert!(told.contains("2 imported, 0 already there, 1 conflicts"), "{told}");
    assert!(told.contains("line 4, P-3: the account is linked with another subject"), "{told}");
    assert_eq!(study.garmin.count(Call::UserId), 1, "asked only where the file does not say");
    assert_eq!(study.account_of("P-1").await?.as_deref(), Some(ADA));
    assert_eq!(study.account_of("P-2").await?.as_deref(), Some(BEN), "the user id was fetched");
    assert_eq!(study.account_of("P-3").await?, None);

    let again = printed(&study.run(&["tokens", "import", &path, "--per-second", "50"])?, 1);
    assert!(again.contains("0 imported, 2 already there"), "{again}");
    assert_eq!(study.site.count("SELECT count(*) FROM garmin_oauth.access_token").await?, 2);

    let secret = std::fs::read_to_string(&path)?;
    let secret = secret.lines().nth(1).and_then(|line| line.rsplit(',').next()).ok_or("a secret")?;
    assert!(!told.contains(secret));
    let readable = "SELECT count(*) FROM garmin_oauth.access_token AS t WHERE position($1 IN t::text) > 0
                    OR position(convert_to($1, 'UTF8') IN sealed) > 0";
    let found: i64 = sqlx::query_scalar(readable).bind(secret).fetch_one(&study.site.pool).await?;
    assert_eq!(found, 0, "the secret is sealed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_1_tokens_are_exchanged_in_as_many_runs_as_it_takes() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let lines = [("P-1", ADA, ADA), ("P-2", BEN, BEN), ("P-3", "gone", "gone")];
    let file = tokens_file(&study, &lines)?;
    printed(&study.run(&["tokens", "import", &file.path().to_string_lossy()])?, 0);
    study.garmin.disconnect("gone");

    // The first token tried fares well, the second does not.
    let attempts = 4;
    for _ in 0..attempts {
        study.garmin.fail_next(Call::TokenExchange, Failure::Status(503));
    }
    let told = printed(&study.run(&["tokens", "migrate", "--per-second", "50"])?, 1);
    assert!(told.contains("1 exchanged") || told.contains("2 exchanged"), "{told}");
    assert!(told.contains("run `apollo-worker tokens migrate` again"), "{told}");

    let told = printed(&study.run(&["tokens", "migrate", "--per-second", "50"])?, 0);
    assert!(!told.contains("left"), "{told}");
    for user_id in [ADA, BEN] {
        let alive = study.garmin.tokens_alive(user_id);
        assert_eq!(
            (alive.oauth1, alive.access, alive.refresh),
            (1, 1, 1),
            "the old one works beside the new"
        );
    }
    let new = "SELECT count(*) FROM garmin_oauth.access_token
               WHERE oauth_version = 2 AND expires_at > now() AND refresh_after < expires_at";
    assert_eq!(study.site.count(new).await?, 2);
    let refused =
        "SELECT count(*) FROM garmin_oauth.access_token WHERE refused_at IS NOT NULL AND user_id = 'gone'";
    assert_eq!(study.site.count(refused).await?, 1);

    let exchanges = study.garmin.count(Call::TokenExchange);
    let told = printed(&study.run(&["tokens", "migrate"])?, 0);
    assert!(told.contains("0 exchanged"), "{told}");
    assert_eq!(study.garmin.count(Call::TokenExchange), exchanges, "what is done is not asked for again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_is_shown_and_withdrawn_with_garmins_registration() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let file = tokens_file(&study, &[("P-1", ADA, ADA), ("P-2", BEN, BEN)])?;
    printed(&study.run(&["tokens", "import", &file.path().to_string_lossy()])?, 0);
    let worker = study.worker().await?;
    let daily = json!({"dailies": [{"userId": ADA, "startTimeInSeconds": 1_794_265_200}]});
    study.receiver.accept("/api_client/garmin/dailies", daily.to_string()).await?;
    worker.has_stored(1).await?;

    let list = printed(&study.run(&["subjects", "list", "--csv"])?, 0);
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.contains(&format!("P-1,{ADA},active")), "{list}");
    let shown: Value =
        serde_json::from_str(&printed(&study.run(&["subjects", "show", "P-1", "--json"])?, 0))?;
    assert_eq!(shown["user_id"], ADA);
    assert_eq!(shown["tables"][0]["table"], "daily_summary");
    assert_eq!(shown["tables"][0]["rows"], 1);
    assert_eq!(shown["tokens"][0]["oauth_version"], 1);

    study.garmin.fail_always(Call::DeleteRegistration, Failure::Status(500));
    let failed = printed(&study.run(&["subjects", "withdraw", "P-1", "--yes"])?, 1);
    assert!(failed.contains("nothing was changed"), "{failed}");
    assert_eq!(study.is_active(ADA).await?, Some(true));
    study.garmin.heal();

    printed(&study.run(&["subjects", "withdraw", "P-1", "--yes"])?, 0);
    assert_eq!(study.garmin.deleted_registrations(), [ADA]);
    assert_eq!(study.is_active(ADA).await?, Some(false));
    assert_eq!(study.is_active(BEN).await?, Some(true));
    let left = "SELECT count(*) FROM garmin_oauth.access_token";
    assert_eq!(study.site.count(left).await?, 1, "the tokens of the one are gone");
    assert_eq!(study.site.rows_of("daily_summary").await?.len(), 1, "data is kept until a person erases it");

    let unknown = printed(&study.run(&["subjects", "withdraw", "P-9", "--yes"])?, 1);
    assert!(unknown.contains("P-9"), "{unknown}");
    Ok(())
}
