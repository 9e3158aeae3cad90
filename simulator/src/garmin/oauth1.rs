//! OAuth 1.0a as a provider sees it (RFC 5849): request tokens, access tokens, and whether a request is really signed
//! by whom it says.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::incoming::Incoming;
use super::refusal::Refusal;
use super::signature::{base_string, is_signed, parse_authorization};
use super::state::{State, unix_now};

/// How far a client's clock may be off.
const CLOCK_SECONDS: u64 = 300;

/// On whose behalf a request must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    /// The app alone.
    Consumer,
    /// The app, with a consent under way.
    RequestToken,
    /// The app, for a user.
    AccessToken,
}

/// The `oauth_` parameters of a request that is rightly signed.
struct Signed(BTreeMap<String, String>);

impl Signed {
    fn get(&self, name: &str) -> Result<&str, Refusal> {
        self.0.get(name).map(String::as_str).ok_or(Refusal::Oauth1("parameter_absent"))
    }
}

/// Gives out a request token.
pub(super) fn request_token(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let signed = verify(state, request, Signer::Consumer)?;
    let callback = signed.get("oauth_callback").ok().map(str::to_owned);
    let (token, secret) = state.issue_request_token(callback);
    Ok(token_form(&token, &secret, &[("oauth_callback_confirmed", "true")]))
}

/// Exchanges a request token that was agreed to for an access token.
pub(super) fn access_token(state: &mut State, request: &Incoming) -> Result<Response, Refusal> {
    let signed = verify(state, request, Signer::RequestToken)?;
    let (token, verifier) = (signed.get("oauth_token")?, signed.get("oauth_verifier")?);
    let agreement = state.request_tokens.get(token).and_then(|request_token| request_token.agreement.clone());
    let agreement = agreement.ok_or(Refusal::Oauth1("permission_unknown"))?;
    if agreement.verifier != verifier {
        return Err(Refusal::Oauth1("verifier_invalid"));
    }
    state.request_tokens.remove(token);
    let issued = state.issue_oauth1_token(agreement.user_id);
    Ok(token_form(&issued.token, &issued.secret, &[]))
}

/// The user on whose behalf a request is signed with an access token.
pub(super) fn user_of(state: &mut State, request: &Incoming) -> Result<String, Refusal> {
    let signed = verify(state, request, Signer::AccessToken)?;
    let token = state.oauth1_tokens.get(signed.get("oauth_token")?);
    token.map(|token| token.user_id.clone()).ok_or(Refusal::Oauth1("token_rejected"))
}

fn token_form(token: &str, secret: &str, more: &[(&str, &str)]) -> Response {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("oauth_token", token)
        .append_pair("oauth_token_secret", secret)
        .extend_pairs(more)
        .finish()
        .into_response()
}

/// A nonce counts as used only with a right signature: nobody can use up another's.
fn verify(state: &mut State, request: &Incoming, signer: Signer) -> Result<Signed, Refusal> {
    let header = request.authorization.as_deref().ok_or(Refusal::Oauth1("parameter_absent"))?;
    let header = parse_authorization(header).ok_or(Refusal::Oauth1("parameter_rejected"))?;
    let signed = Signed(header.iter().cloned().collect());
    if signed.0.len() != header.len() {
        return Err(Refusal::Oauth1("parameter_rejected"));
    }
    check_protocol(state, &signed)?;
    let timestamp = check_timestamp(&signed)?;
    let base_string =
        base_string(&request.method, &request.base_uri, header.iter().chain(&request.parameters));
    let token_secret = token_secret(state, &signed, signer)?;
    if !is_signed(&base_string, signed.get("oauth_signature")?, &state.consumer_secret, &token_secret) {
        return Err(Refusal::Oauth1("signature_invalid"));
    }
    if !state.used_nonces.insert((timestamp, signed.get("oauth_nonce")?.to_owned())) {
        return Err(Refusal::Oauth1("nonce_used"));
    }
    Ok(signed)
}

fn check_protocol(state: &State, signed: &Signed) -> Result<(), Refusal> {
    if signed.get("oauth_version")? != "1.0" {
        return Err(Refusal::Oauth1("version_rejected"));
    }
    if signed.get("oauth_signature_method")? != "HMAC-SHA1" {
        return Err(Refusal::Oauth1("signature_method_rejected"));
    }
    if signed.get("oauth_consumer_key")? != state.consumer_key {
        return Err(Refusal::Oauth1("consumer_key_unknown"));
    }
    Ok(())
}

fn check_timestamp(signed: &Signed) -> Result<i64, Refusal> {
    let timestamp = signed.get("oauth_timestamp")?.parse::<i64>().ok();
    let timestamp = timestamp.filter(|timestamp| timestamp.abs_diff(unix_now()) <= CLOCK_SECONDS);
    timestamp.ok_or(Refusal::Oauth1("timestamp_refused"))
}

/// The secret of the token that was named, which must be of the right kind.
fn token_secret(state: &State, signed: &Signed, signer: Signer) -> Result<String, Refusal> {
    match signer {
        Signer::Consumer if signed.get("oauth_token").is_ok() => Err(Refusal::Oauth1("parameter_rejected")),
        Signer::Consumer => Ok(String::new()),
        Signer::RequestToken => {
            let token = state.request_tokens.get(signed.get("oauth_token")?);
            let token = token.ok_or(Refusal::Oauth1("token_rejected"))?;
            if token.expires_at <= unix_now() {
                return Err(Refusal::Oauth1("token_expired"));
            }
            Ok(token.secret.clone())
        }
        Signer::AccessToken => {
            let token = state.oauth1_tokens.get(signed.get("oauth_token")?);
            Ok(token.ok_or(Refusal::Oauth1("token_rejected"))?.secret.clone())
        }
    }
}
