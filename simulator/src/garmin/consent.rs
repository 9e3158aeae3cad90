//! The page on which a user agrees, or does not, and the way back to the app.

use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::incoming::Incoming;
use super::page;
use super::server::Provider;
use super::state::{Agreement, State, unix_now};

/// A page cannot be shown, or a choice not be made, for this reason.
type Mistake = &'static str;

/// The length of a SHA-256.
const CHALLENGE_BYTES: usize = 32;

/// What an app has asked for.
#[derive(Debug)]
enum Flow {
    Oauth1 { token: String, callback: Url },
    Oauth2 { redirect_uri: String, state: Option<String>, code_challenge: String },
}

/// Reads what an app asks for, and whether it may.
type ReadFlow = fn(&State, &Incoming) -> Result<Flow, Mistake>;

/// `GET /oauthConfirm`
pub(super) async fn show_oauth1(Extract(provider): Extract<Provider>, request: Request) -> Response {
    show(&provider, request, Flow::oauth1).await
}

/// `POST /oauthConfirm`
pub(super) async fn decide_oauth1(Extract(provider): Extract<Provider>, request: Request) -> Response {
    decide(&provider, request, Flow::oauth1).await
}

/// `GET /oauth2Confirm`
pub(super) async fn show_oauth2(Extract(provider): Extract<Provider>, request: Request) -> Response {
    show(&provider, request, Flow::oauth2).await
}

/// `POST /oauth2Confirm`
pub(super) async fn decide_oauth2(Extract(provider): Extract<Provider>, request: Request) -> Response {
    decide(&provider, request, Flow::oauth2).await
}

async fn show(provider: &Provider, request: Request, read: ReadFlow) -> Response {
    let request = match Incoming::read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let state = provider.lock();
    match read(&state, &request) {
        Ok(_) => Html(page::consent(&state, request.get("user"))).into_response(),
        Err(mistake) => mistaken(mistake),
    }
}

async fn decide(provider: &Provider, request: Request, read: ReadFlow) -> Response {
    let request = match Incoming::read(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let state = &mut provider.lock();
    match read(state, &request).and_then(|flow| flow.finish(state, &request)) {
        Ok(url) => Redirect::to(url.as_str()).into_response(),
        Err(mistake) => mistaken(mistake),
    }
}

fn mistaken(mistake: Mistake) -> Response {
    (StatusCode::BAD_REQUEST, Html(page::mistake(mistake))).into_response()
}

impl Flow {
    fn oauth1(state: &State, request: &Incoming) -> Result<Self, Mistake> {
        let token = request.get("oauth_token").ok_or("oauth_token is missing")?;
        let held =
            state.request_tokens.get(token).ok_or("oauth_token is not a request token, or was used")?;
        if held.expires_at <= unix_now() {
            return Err("the request token has expired");
        }
        if held.agreement.is_some() {
            return Err("the request token was agreed to before");
        }
        let callback = request.get("oauth_callback").or(held.callback.as_deref());
        let callback = callback.ok_or("oauth_callback is missing")?;
        let callback = web_address(callback).ok_or("oauth_callback is not an address to come back to")?;
        Ok(Self::Oauth1 { token: token.to_owned(), callback })
    }

    fn oauth2(state: &State, request: &Incoming) -> Result<Self, Mistake> {
        let parameter = |name, mistake| request.get(name).ok_or(mistake);
        if parameter("client_id", "client_id is missing")? != state.consumer_key {
            return Err("client_id is not that of an app");
        }
        if parameter("response_type", "response_type is missing")? != "code" {
            return Err("response_type must be code");
        }
        if parameter("code_challenge_method", "code_challenge_method is missing")? != "S256" {
            return Err("code_challenge_method must be S256");
        }
        let code_challenge = parameter("code_challenge", "code_challenge is missing")?;
        if !URL_SAFE_NO_PAD.decode(code_challenge).is_ok_and(|hash| hash.len() == CHALLENGE_BYTES) {
            return Err("code_challenge is not base64url of a SHA-256");
        }
        let redirect_uri = parameter("redirect_uri", "redirect_uri is missing")?;
        web_address(redirect_uri).ok_or("redirect_uri is not an address to come back to")?;
        Ok(Self::Oauth2 {
            redirect_uri: redirect_uri.to_owned(),
            state: request.get("state").map(str::to_owned),
            code_challenge: code_challenge.to_owned(),
        })
    }

    /// Does what the user has chosen; where the browser is to go then.
    fn finish(self, state: &mut State, request: &Incoming) -> Result<Url, Mistake> {
        match request.get("decision") {
            Some("agree") => {
                let user_id = request.get("user").filter(|user_id| state.accounts.contains_key(*user_id));
                let user_id = user_id.ok_or("user is not one of the accounts")?.to_owned();
                state.allow(&user_id, request.all("permission").map(str::to_owned).collect());
                self.agree(state, user_id)
            }
            Some("cancel") => self.decline(state),
            _ => Err("decision must be agree or cancel"),
        }
    }

    fn agree(self, state: &mut State, user_id: String) -> Result<Url, Mistake> {
        match self {
            Self::Oauth1 { token, callback } => {
                let verifier = state.issue_verifier();
                if let Some(held) = state.request_tokens.get_mut(&token) {
                    held.agreement = Some(Agreement { user_id, verifier: verifier.clone() });
                }
                Ok(with_query(callback, &[("oauth_token", &token), ("oauth_verifier", &verifier)]))
            }
            Self::Oauth2 { redirect_uri, state: app_state, code_challenge } => {
                let code = state.issue_code(user_id, redirect_uri.clone(), code_challenge);
                oauth2_return(&redirect_uri, ("code", &code), app_state.as_deref())
            }
        }
    }

    fn decline(self, state: &mut State) -> Result<Url, Mistake> {
        match self {
            Self::Oauth1 { token, callback } => {
                state.request_tokens.remove(&token);
                Ok(with_query(callback, &[("oauth_token", &token), ("oauth_verifier", "null")]))
            }
            Self::Oauth2 { redirect_uri, state: app_state, .. } => {
                oauth2_return(&redirect_uri, ("error", "access_denied"), app_state.as_deref())
            }
        }
    }
}

fn oauth2_return(redirect_uri: &str, answer: (&str, &str), app_state: Option<&str>) -> Result<Url, Mistake> {
    let url = web_address(redirect_uri).ok_or("redirect_uri is not an address to come back to")?;
    let app_state = app_state.map(|app_state| ("state", app_state));
    Ok(with_query(url, &[answer].into_iter().chain(app_state).collect::<Vec<_>>()))
}

fn web_address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn with_query(mut url: Url, pairs: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(pairs);
    url
}
