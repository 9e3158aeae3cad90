use reqwest::Method;
use serde_json::Value;

use super::app::{App, OTHER_USER, USER, VERIFIER, assert_refused, oauth2_query, parameter};
use crate::garmin::oauth2::challenge_of;
use crate::garmin::server::OAUTH2_CONFIRM;

const USER_ID: &str = "/wellness-api/rest/user/id";
const PERMISSIONS: &str = "/wellness-api/rest/user/permissions";

#[tokio::test]
async fn a_consent_ends_in_tokens_that_tell_their_user() {
    let app = App::start().await;
    let tokens = app.tokens(USER).await;
    assert_eq!(
        (&tokens["expires_in"], &tokens["refresh_token_expires_in"]),
        (&86_400.into(), &7_775_998.into())
    );
    assert_eq!(tokens["token_type"], "bearer");
    let bearer = tokens["access_token"].as_str().unwrap();
    let user: Value = app.borne(Method::GET, USER_ID, bearer).await.json().await.unwrap();
    assert_eq!(user["userId"], USER);
    // What was ticked, and nothing else.
    let permissions: Value = app.borne(Method::GET, PERMISSIONS, bearer).await.json().await.unwrap();
    assert_eq!(permissions, serde_json::json!(["HEALTH_EXPORT"]));
}

#[tokio::test]
async fn a_code_is_good_once_for_its_verifier_and_address() {
    let app = App::start().await;
    let another = "another-verifier-of-the-right-length-000000000";
    let wrong = [
        (("code_verifier", another), "code_challenge"),
        (("code_verifier", "short"), "code_challenge"),
        (("redirect_uri", "http://127.0.0.1:1/elsewhere"), "redirect_uri"),
    ];
    for (field, reason) in wrong {
        let code = app.agree_oauth2(USER).await;
        let refused = app.token(&[("code", code.as_str()), field]).await;
        assert_refused(refused, 400, "invalid_grant").await;
        let code = app.agree_oauth2(USER).await;
        assert_refused(app.token(&[("code", code.as_str()), field]).await, 400, reason).await;
        assert_refused(app.token(&[("code", &code)]).await, 400, "invalid_grant").await;
    }
    let code = app.agree_oauth2(USER).await;
    assert_eq!(app.token(&[("code", &code)]).await.status(), 200);
    assert_refused(app.token(&[("code", &code)]).await, 400, "invalid_grant").await;
    let code = app.agree_oauth2(USER).await;
    app.garmin.expire_grants();
    assert_refused(app.token(&[("code", &code)]).await, 400, "expired").await;
}

#[tokio::test]
async fn a_client_must_know_its_secret() {
    let app = App::start().await;
    let code = app.agree_oauth2(USER).await;
    for field in [("client_secret", "another"), ("client_id", "another")] {
        assert_refused(app.token(&[("code", &code), field]).await, 401, "invalid_client").await;
    }
    assert_refused(app.token(&[("grant_type", "password")]).await, 400, "invalid_request").await;
    assert_eq!(app.token(&[("code", &code)]).await.status(), 200);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_gives_the_next() {
    let app = App::start().await;
    let tokens = app.tokens(USER).await;
    let refresh = async |token: &Value| {
        app.token(&[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())]).await
    };
    let next: Value = refresh(&tokens["refresh_token"]).await.json().await.unwrap();
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    assert_refused(refresh(&tokens["refresh_token"]).await, 400, "invalid_grant").await;
    assert_eq!(refresh(&next["refresh_token"]).await.status(), 200);
    assert_eq!(app.garmin.tokens_alive(USER).refresh, 1);
    assert_eq!(app.garmin.count(crate::garmin::Call::Refresh), 3);
}

#[tokio::test]
async fn an_expired_access_token_is_not_active_until_it_is_refreshed() {
    let app = App::start().await;
    let tokens = app.tokens(USER).await;
    app.garmin.expire_access_tokens();
    let bearer = tokens["access_token"].as_str().unwrap();
    assert_refused(app.borne(Method::GET, USER_ID, bearer).await, 401, "Token is not active").await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let answer = app.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
    let tokens: Value = answer.json().await.unwrap();
    let bearer = tokens["access_token"].as_str().unwrap();
    assert_eq!(app.borne(Method::GET, USER_ID, bearer).await.status(), 200);
}

#[tokio::test]
async fn a_user_may_decline() {
    let app = App::start().await;
    let challenge = challenge_of(VERIFIER);
    let back = app.decide(OAUTH2_CONFIRM, &oauth2_query(&challenge), &[("decision", "cancel")]).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("s/1"));
    assert_eq!(parameter(&back, "code"), None);
}

#[tokio::test]
async fn an_app_that_asks_wrongly_gets_no_consent() {
    let app = App::start().await;
    let challenge = challenge_of(VERIFIER);
    let right = oauth2_query(&challenge);
    let replaced = |name: &str, value: &'static str| {
        right.map(|(other, old)| if other == name { (other, value) } else { (other, old) })
    };
    let wrong = [
        ("client_id", "another"),
        ("response_type", "token"),
        ("code_challenge", ""),
        ("code_challenge_method", "plain"),
        ("redirect_uri", "javascript:alert(1)"),
    ];
    for (name, value) in wrong {
        let page =
            app.client.get(app.url(OAUTH2_CONFIRM)).query(&replaced(name, value)).send().await.unwrap();
        assert_refused(page, 400, name).await;
    }
    let nobody = [("user", "nobody"), ("decision", "agree")];
    assert_refused(app.decided(OAUTH2_CONFIRM, &right, &nobody).await, 400, "accounts").await;
}

#[tokio::test]
async fn the_page_offers_the_accounts_or_the_one_that_is_named() {
    let app = App::start().await;
    let challenge = challenge_of(VERIFIER);
    let page = async |user: &[(&str, &str)]| {
        let request = app.client.get(app.url(OAUTH2_CONFIRM)).query(&oauth2_query(&challenge)).query(user);
        request.send().await.unwrap().text().await.unwrap()
    };
    let open = page(&[]).await;
    for text in [r#"<select id="user" name="user">"#, USER, OTHER_USER, r#"id="agree""#, r#"id="cancel""#] {
        assert!(open.contains(text), "{text} is missing in {open}");
    }
    let named = page(&[("user", USER)]).await;
    assert!(
        named.contains(&format!(r#"type="hidden" name="user" value="{USER}""#))
            && !named.contains(OTHER_USER)
    );
}
