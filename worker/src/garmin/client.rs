//! The calls.

use super::answer::{Answer, unreachable};
use super::error::{Call, GarminError};
use super::permissions;
use super::tokens::{Oauth1Token, Oauth2Tokens, UserToken};
use crate::metrics::Metrics;
use crate::trace;
use apollo_shared::garmin::{Consumer, GarminConfig, GarminConfigError};
use apollo_shared::oauth1::{self, Signed};
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded;

/// No token lives longer, whatever Garmin says: so that no moment lies beyond what a calendar can hold.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 86400);

/// Asks Garmin, with the consumer that is configured.
#[derive(Debug)]
pub struct GarminClient {
    http: Client,
    consumer: Consumer,
    config: GarminConfig,
    metrics: Arc<Metrics>,
}

/// What an OAuth 2.0 token endpoint gives (RFC 6749, 5.1; garmin-health-api.md 5).
#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    refresh_token: Option<String>,
    /// Seconds.
    expires_in: u64,
    /// Seconds.
    refresh_token_expires_in: Option<u64>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct UserIdReply {
    #[serde(rename = "userId")]
    user_id: String,
}

impl GarminClient {
    /// A client; nothing while no consumer is configured.
    ///
    /// # Errors
    /// A wrong setting.
    pub fn new(config: &GarminConfig, metrics: Arc<Metrics>) -> Result<Option<Self>, GarminConfigError> {
        let http = config.client()?;
        let client = |consumer| Self { http, consumer, config: config.clone(), metrics };
        Ok(config.consumer()?.map(client))
    }

    /// OAuth 1.0a: gives a request token that the participant has agreed to for an access token.
    ///
    /// # Errors
    /// [`GarminError::Rejected`] if it cannot be exchanged any more; see [`GarminError`].
    pub async fn exchange_request_token(
        &self,
        request_token: &Oauth1Token,
        verifier: &str,
    ) -> Result<Oauth1Token, GarminError> {
        let signed =
            Signed { token: Some(request_token.pair()), verifier: Some(verifier), ..Signed::default() };
        let request = self.sign(Method::POST, &self.config.access_token_url, &signed);
        let answer = self.send(Call::AccessToken, request).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.request_token_failure());
        }
        oauth1_token(answer.body()).ok_or_else(|| answer.nonsense())
    }

    /// OAuth 2.0: gives an authorization code for tokens.
    ///
    /// # Errors
    /// [`GarminError::Rejected`] if it cannot be exchanged any more; see [`GarminError`].
    pub async fn exchange_code(
        &self,
        code: &str,
        code_verifier: &str,
        redirect_uri: &str,
    ) -> Result<Oauth2Tokens, GarminError> {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", code_verifier),
            ("redirect_uri", redirect_uri),
        ];
        let answer = self.ask_for_tokens(Call::AuthorizationCode, &grant).await?;
        oauth2_tokens(&answer, None)
    }

    /// OAuth 2.0: gives a refresh token for new tokens. It ends with that, so what comes must be stored at once.
    ///
    /// # Errors
    /// [`GarminError::Rejected`] if it has ended before; see [`GarminError`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<Oauth2Tokens, GarminError> {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let answer = self.ask_for_tokens(Call::RefreshToken, &grant).await?;
        // A server that gives no new one lets the old one live (RFC 6749, 6).
        oauth2_tokens(&answer, Some(refresh_token))
    }

    /// Gives a user's OAuth 1.0a token for OAuth 2.0 tokens. It goes on living beside them.
    ///
    /// # Errors
    /// See [`GarminError`]. A refusal may mean that the app has not been prepared for the migration.
    pub async fn exchange_oauth1_token(&self, token: &Oauth1Token) -> Result<Oauth2Tokens, GarminError> {
        let signed = Signed { token: Some(token.pair()), ..Signed::default() };
        let request = self.sign(Method::POST, &self.config.token_exchange_url, &signed);
        let answer = self.send(Call::TokenExchange, request).await?;
        match answer.status {
            StatusCode::OK => oauth2_tokens(&answer, None),
            _ => Err(answer.user_failure()),
        }
    }

    /// Garmin's id of the user whose token this is.
    ///
    /// # Errors
    /// See [`GarminError`].
    pub async fn user_id(&self, token: &UserToken) -> Result<String, GarminError> {
        let answer = self.get(Call::UserId, "user/id", token).await?;
        let UserIdReply { user_id } = answer.json()?;
        let plausible = !user_id.is_empty() && !user_id.contains(char::is_control);
        if plausible { Ok(user_id) } else { Err(answer.nonsense()) }
    }

    /// What the user lets Garmin send, in Garmin's names.
    ///
    /// # Errors
    /// See [`GarminError`].
    pub async fn permissions(&self, token: &UserToken) -> Result<Vec<String>, GarminError> {
        let answer = self.get(Call::Permissions, "user/permissions", token).await?;
        permissions::read(&answer.json()?).ok_or_else(|| answer.nonsense())
    }

    /// Ends the user's registration: all their tokens end, and Garmin announces a deregistration.
    ///
    /// # Errors
    /// [`GarminError::Refused`] if it has ended before; see [`GarminError`].
    pub async fn delete_registration(&self, token: &UserToken) -> Result<(), GarminError> {
        let request = self.as_user(Method::DELETE, &self.api("user/registration"), token);
        let answer = self.send(Call::DeleteRegistration, request).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(answer.user_failure()),
        }
    }

    async fn get(&self, call: Call, path: &str, token: &UserToken) -> Result<Answer, GarminError> {
        let request = self.as_user(Method::GET, &self.api(path), token);
        let answer = self.send(call, request).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(answer.user_failure()) }
    }

    async fn ask_for_tokens(&self, call: Call, grant: &[(&str, &str)]) -> Result<Answer, GarminError> {
        let client = [
            ("client_id", self.consumer.key.as_str()),
            ("client_secret", self.consumer.secret.expose_secret()),
        ];
        let form: Vec<_> = grant.iter().chain(&client).collect();
        let request = self.http.post(self.config.oauth2_token_url.clone()).form(&form);
        let answer = self.send(call, request).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(answer.token_endpoint_failure()) }
    }

    /// The address of something in the API.
    #[must_use]
    pub fn api(&self, path: &str) -> Url {
        let mut url = self.config.api_url.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url
    }

    /// A request on a user's behalf.
    pub(super) fn as_user(&self, method: Method, url: &Url, token: &UserToken) -> RequestBuilder {
        match token {
            UserToken::Oauth1(token) => {
                self.sign(method, url, &Signed { token: Some(token.pair()), ..Signed::default() })
            }
            UserToken::Oauth2 { access_token } => {
                self.http.request(method, url.clone()).bearer_auth(access_token.expose_secret())
            }
        }
    }

    fn sign(&self, method: Method, url: &Url, signed: &Signed<'_>) -> RequestBuilder {
        let authorization = oauth1::authorization(&self.consumer, &method, url, signed);
        self.http.request(method, url.clone()).header(AUTHORIZATION, authorization)
    }

    /// Sends a request, and reads the answer to its end.
    pub(super) async fn send(&self, call: Call, request: RequestBuilder) -> Result<Answer, GarminError> {
        let span = trace::garmin(call);
        let answered = match request.send().await {
            Ok(response) => Answer::read(call, response).await,
            Err(error) => Err(unreachable(call, error)),
        };
        let status = answered.as_ref().ok().map(|answer| answer.status.as_u16());
        trace::answered(span, status);
        self.count(call, status);
        answered
    }

    /// Counts a request, and what it was answered with if it was.
    pub(super) fn count(&self, call: Call, status: Option<u16>) {
        self.metrics.asked_garmin(call, status);
    }
}

fn oauth1_token(body: &[u8]) -> Option<Oauth1Token> {
    let mut fields: HashMap<_, _> = form_urlencoded::parse(body).collect();
    let mut take = |name| fields.remove(name).filter(|value| !value.is_empty());
    Some(Oauth1Token {
        token: take("oauth_token")?.into_owned().into(),
        secret: take("oauth_token_secret")?.into_owned().into(),
    })
}

fn oauth2_tokens(answer: &Answer, old_refresh_token: Option<&str>) -> Result<Oauth2Tokens, GarminError> {
    let reply: TokenReply = answer.json()?;
    let refresh_token = reply.refresh_token.as_deref().or(old_refresh_token).unwrap_or_default();
    if reply.access_token.is_empty() || refresh_token.is_empty() {
        return Err(answer.nonsense());
    }
    let life = |seconds| Duration::from_secs(seconds).min(LONGEST_LIFE);
    Ok(Oauth2Tokens {
        refresh_token: refresh_token.into(),
        access_token: reply.access_token.into(),
        expires_in: life(reply.expires_in),
        refresh_expires_in: reply.refresh_token_expires_in.map(life),
        scope: reply.scope,
    })
}

#[cfg(test)]
mod tests;
