//! OAuth 2.0 as a provider sees it (RFC 6749, with PKCE of RFC 7636): codes and refresh tokens become tokens.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::incoming::Incoming;
use super::oauth1;
use super::refusal::Refusal;
use super::state::{ACCESS_TOKEN_SECONDS, Code, Pair, REFRESH_TOKEN_SECONDS, State, unix_now};

/// Lengths of a code verifier (RFC 7636, 4.1).
const VERIFIER_LENGTHS: std::ops::RangeInclusive<usize> = 43..=128;

/// Gives tokens for an authorization code. A code is good once, for the right verifier, and only for the address that
/// it was sent to.
pub(super) fn token(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    check_client(state, request)?;
    if request.get("grant_type") != Some("authorization_code") {
        return Err(Refusal::invalid_request("grant_type must be authorization_code or refresh_token"));
    }
    let code = request.get("code").ok_or(Refusal::invalid_request("code is missing"))?;
    // Whatever else is wrong, a code that was shown once is not good again.
    let code = state.codes.remove(code).ok_or(Refusal::invalid_grant("the code is unknown, or was used"))?;
    check_code(&code, request)?;
    Ok(tokens(state.issue_oauth2_pair(&code.user_id)))
}

/// Gives tokens for a refresh token, which ends with it.
pub(super) fn refresh(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    check_client(state, request)?;
    let token = request.get("refresh_token").ok_or(Refusal::invalid_request("refresh_token is missing"))?;
    let held = state.refresh_tokens.remove(token).filter(|token| token.expires_at > unix_now());
    let held = held.ok_or(Refusal::invalid_grant("the refresh token is not active"))?;
    Ok(tokens(state.issue_oauth2_pair(&held.user_id)))
}

/// Gives tokens to who signs with an OAuth 1.0a token, which stays good.
pub(super) fn exchange(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let user_id = oauth1::user_of(state, request)?;
    Ok(tokens(state.issue_oauth2_pair(&user_id)))
}

/// The user whose access token a request bears.
pub(super) fn user_of(state: &State, bearer: &str) -> Result<String, Refusal> {
    let token = state.access_tokens.get(bearer).filter(|token| token.expires_at > unix_now());
    token.map(|token| token.user_id.clone()).ok_or(Refusal::token_not_active())
}

fn check_client(state: &State, request: &Incoming) -> Result<(), Refusal> {
    let known = request.get("client_id") == Some(&state.consumer_key)
        && request.get("client_secret") == Some(&state.consumer_secret);
    if known { Ok(()) } else { Err(Refusal::invalid_client()) }
}

fn check_code(code: &Code, request: &Incoming) -> Result<(), Refusal> {
    if code.expires_at <= unix_now() {
        return Err(Refusal::invalid_grant("the code has expired"));
    }
    if request.get("redirect_uri") != Some(&code.redirect_uri) {
        return Err(Refusal::invalid_grant("redirect_uri is not the one that the code was sent to"));
    }
    let verifier =
        request.get("code_verifier").ok_or(Refusal::invalid_request("code_verifier is missing"))?;
    if !is_verifier(verifier) || challenge_of(verifier) != code.code_challenge {
        return Err(Refusal::invalid_grant("code_verifier does not belong to the code_challenge"));
    }
    Ok(())
}

fn is_verifier(text: &str) -> bool {
    VERIFIER_LENGTHS.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// The code challenge of a verifier (RFC 7636, 4.2).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn tokens(pair: Pair) -> Response {
    Json(json!({
        "access_token": pair.access_token,
        "token_type": "bearer",
        "refresh_token": pair.refresh_token,
        "expires_in": ACCESS_TOKEN_SECONDS,
        "scope": "PARTNER_WRITE PARTNER_READ CONNECT_READ CONNECT_WRITE",
        "jti": pair.id,
        "refresh_token_expires_in": REFRESH_TOKEN_SECONDS,
    }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(is_verifier(verifier));
        assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_a_length_and_an_alphabet() {
        assert!(!is_verifier(&"a".repeat(42)) && is_verifier(&"a".repeat(43)));
        assert!(is_verifier(&"~".repeat(128)) && !is_verifier(&"a".repeat(129)));
        assert!(!is_verifier(&"+".repeat(43)));
    }
}
