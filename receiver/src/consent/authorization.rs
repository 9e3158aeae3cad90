//! The first step at Garmin: what the browser is sent there with, and what the worker will need for the rest.

use apollo_shared::consent::StartedSecret;
use apollo_shared::garmin::{Consumer, GarminConfig, GarminConfigError, OauthVersion};
use apollo_shared::oauth1::{self, Signed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

/// Bytes of randomness in a state and in a code verifier: as much as RFC 7636, 7.1 asks for.
const RANDOM_BYTES: usize = 32;

/// Bytes that the answer with a request token may have; Garmin's has about a hundred.
const LONGEST_ANSWER: usize = 8 * 1024;

/// How participants are sent to Garmin.
#[derive(Debug)]
pub(super) struct Authorizer {
    consumer: Consumer,
    redirect_uri: String,
    flow: Flow,
}

#[derive(Debug)]
enum Flow {
    Oauth1 { client: Client, request_token_url: Url, authorize_url: Url },
    Oauth2 { authorize_url: Url },
}

/// An authorization that has begun.
pub(super) struct Begun {
    /// Where the browser goes now.
    pub(super) location: Url,
    /// What Garmin gives the browser to bring back: the state, or the request token.
    pub(super) reference: String,
    /// What the exchange will need.
    pub(super) secret: StartedSecret,
}

/// Why none could begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    /// This machine's randomness failed.
    #[error("the system gives no random bytes")]
    Randomness(#[from] getrandom::Error),
    /// Garmin did not answer.
    #[error("Garmin gave no request token")]
    Unreachable(#[from] reqwest::Error),
    /// Garmin answered something else than success.
    #[error("Garmin answered {0} instead of giving a request token")]
    Refused(StatusCode),
    /// Garmin's answer holds no token.
    #[error("Garmin's answer holds no request token")]
    Nonsense,
}

impl Authorizer {
    /// Nothing, while no consumer is set.
    ///
    /// # Errors
    /// A wrong setting.
    pub(super) fn new(
        config: &GarminConfig,
        redirect_uri: String,
    ) -> Result<Option<Self>, GarminConfigError> {
        let Some(consumer) = config.consumer()? else { return Ok(None) };
        let flow = match config.oauth_version {
            OauthVersion::One => Flow::Oauth1 {
                client: config.client()?,
                request_token_url: config.request_token_url.clone(),
                authorize_url: config.oauth1_authorize_url.clone(),
            },
            OauthVersion::Two => Flow::Oauth2 { authorize_url: config.oauth2_authorize_url.clone() },
        };
        Ok(Some(Self { consumer, redirect_uri, flow }))
    }

    /// The page at Garmin on which participants agree.
    pub(super) fn authorize_url(&self) -> &Url {
        match &self.flow {
            Flow::Oauth1 { authorize_url, .. } | Flow::Oauth2 { authorize_url } => authorize_url,
        }
    }

    /// Where Garmin sends participants back to.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Which flow it is.
    pub(super) fn oauth_version(&self) -> OauthVersion {
        match self.flow {
            Flow::Oauth1 { .. } => OauthVersion::One,
            Flow::Oauth2 { .. } => OauthVersion::Two,
        }
    }

    /// Begins an authorization. Under OAuth 1.0a Garmin is asked for a request token first.
    ///
    /// # Errors
    /// See [`BeginError`].
    pub(super) async fn begin(&self) -> Result<Begun, BeginError> {
        match &self.flow {
            Flow::Oauth1 { client, request_token_url, authorize_url } => {
                let (token, secret) = self.request_token(client, request_token_url).await?;
                let parameters = [("oauth_token", token.as_str()), ("oauth_callback", &self.redirect_uri)];
                Ok(Begun {
                    location: with_parameters(authorize_url, &parameters),
                    reference: token.clone(),
                    secret: StartedSecret::RequestToken { token, secret },
                })
            }
            Flow::Oauth2 { authorize_url } => {
                let (state, verifier) = (random_text()?, random_text()?);
                let parameters = [
                    ("response_type", "code"),
                    ("client_id", self.consumer.key.as_str()),
                    ("code_challenge", &code_challenge(&verifier)),
                    ("code_challenge_method", "S256"),
                    ("redirect_uri", &self.redirect_uri),
                    ("state", &state),
                ];
                Ok(Begun {
                    location: with_parameters(authorize_url, &parameters),
                    reference: state,
                    secret: StartedSecret::CodeVerifier(verifier),
                })
            }
        }
    }

    /// RFC 5849, 2.1.
    async fn request_token(&self, client: &Client, url: &Url) -> Result<(String, String), BeginError> {
        let signed = Signed { callback: Some(&self.redirect_uri), ..Signed::default() };
        let authorization = oauth1::authorization(&self.consumer, &Method::POST, url, &signed);
        let answer = client.post(url.clone()).header(AUTHORIZATION, authorization).send().await?;
        if !answer.status().is_success() {
            return Err(BeginError::Refused(answer.status()));
        }
        read_token(&read(answer).await?).ok_or(BeginError::Nonsense)
    }
}

async fn read(mut answer: Response) -> Result<Vec<u8>, BeginError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(BeginError::Nonsense);
        }
    }
    Ok(body)
}

/// The token and its secret, both of which must be there.
fn read_token(body: &[u8]) -> Option<(String, String)> {
    let value = |wanted: &str| {
        let mut fields = form_urlencoded::parse(body);
        fields.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned())
    };
    Some((value("oauth_token")?, value("oauth_token_secret")?))
}

fn with_parameters(url: &Url, parameters: &[(&str, &str)]) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// Letters, digits, `-` and `_`: what a code verifier may consist of (RFC 7636, 4.1).
fn random_text() -> Result<String, getrandom::Error> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// RFC 7636, 4.2.
fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::tests::garmin_config;
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};
    use tokio::net::TcpListener;

    const REDIRECT_URI: &str = "https://study.example/oauth/garmin/callback";

    fn authorizer(arguments: &[&str]) -> Authorizer {
        Authorizer::new(&garmin_config(arguments), REDIRECT_URI.into()).unwrap().unwrap()
    }

    /// A Garmin that answers every request for a token in the same way, and keeps the last signature.
    async fn garmin(status: u16, body: &'static str) -> (Authorizer, Arc<Mutex<String>>) {
        let seen = Arc::new(Mutex::new(String::new()));
        let answer = {
            let seen = seen.clone();
            move |headers: HeaderMap| async move {
                *seen.lock().unwrap() = headers["authorization"].to_str().unwrap().to_owned();
                (StatusCode::from_u16(status).unwrap(), body)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/request_token", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/request_token", post(answer))).await.unwrap();
        });
        let authorizer = authorizer(&["--garmin-oauth-version", "1", "--garmin-request-token-url", &url]);
        (authorizer, seen)
    }

    fn parameters(url: &Url) -> HashMap<String, String> {
        url.query_pairs().into_owned().collect()
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_made_as_the_standard_says() {
        assert_eq!(
            code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[tokio::test]
    async fn oauth2_sends_a_challenge_and_a_fresh_state() {
        let authorizer = authorizer(&["--garmin-oauth2-authorize-url", "https://garmin.example/agree?a=b"]);
        let begun = authorizer.begin().await.unwrap();
        let StartedSecret::CodeVerifier(verifier) = &begun.secret else { panic!("no verifier") };
        assert!((43..=128).contains(&verifier.len()));
        assert!(begun.location.as_str().starts_with("https://garmin.example/agree?a=b&"));
        let expected = [
            ("a", "b"),
            ("response_type", "code"),
            ("client_id", "our-key"),
            ("code_challenge", &code_challenge(verifier)),
            ("code_challenge_method", "S256"),
            ("redirect_uri", REDIRECT_URI),
            ("state", &begun.reference),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters(&begun.location), HashMap::from(expected));
        assert!(!begun.location.as_str().contains(verifier.as_str()));

        let again = authorizer.begin().await.unwrap();
        assert!(again.reference != begun.reference && again.secret != begun.secret);
    }

    #[tokio::test]
    async fn oauth1_asks_for_a_request_token_with_a_signature() {
        let (authorizer, signature) =
            garmin(200, "oauth_token=to%2Fken&oauth_token_secret=hush&oauth_callback_confirmed=true").await;
        let begun = authorizer.begin().await.unwrap();
        assert_eq!(begun.reference, "to/ken");
        assert!(
            begun.secret == StartedSecret::RequestToken { token: "to/ken".into(), secret: "hush".into() }
        );
        let sent = parameters(&begun.location);
        assert_eq!((sent["oauth_token"].as_str(), sent["oauth_callback"].as_str()), ("to/ken", REDIRECT_URI));
        assert!(!begun.location.as_str().contains("hush"));

        let signature = signature.lock().unwrap();
        for part in [
            "oauth_consumer_key=\"our-key\"",
            "oauth_callback=\"https%3A%2F%2Fstudy.example%2Foauth%2Fgarmin%2Fcallback\"",
            "oauth_signature_method=\"HMAC-SHA1\"",
        ] {
            assert!(signature.contains(part), "{signature}");
        }
        assert!(!signature.contains("our-secret"));
    }

    #[tokio::test]
    async fn an_answer_without_a_request_token_begins_nothing() {
        for (status, body) in [
            (200, ""),
            (200, "<html>Welcome</html>"),
            (200, "oauth_token=token"),
            (200, "oauth_token=&oauth_token_secret="),
            (302, "oauth_token=token&oauth_token_secret=hush"),
            (401, "oauth_token=token&oauth_token_secret=hush"),
            (429, ""),
            (500, ""),
        ] {
            let error = garmin(status, body).await.0.begin().await.err().unwrap();
            assert!(!error.to_string().contains("hush"), "{error}");
            match error {
                BeginError::Nonsense => assert_eq!(status, 200),
                BeginError::Refused(refused) => assert_eq!(refused.as_u16(), status),
                other => panic!("{status} {body}: {other}"),
            }
        }
        let endless = "x".repeat(LONGEST_ANSWER + 1).leak();
        assert!(matches!(garmin(200, endless).await.0.begin().await, Err(BeginError::Nonsense)));
    }

    #[tokio::test]
    async fn a_garmin_that_is_not_there_begins_nothing() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let url = format!("http://{unused}/request_token");
        let authorizer = authorizer(&["--garmin-oauth-version", "1", "--garmin-request-token-url", &url]);
        let asked = Instant::now();
        assert!(matches!(authorizer.begin().await, Err(BeginError::Unreachable(_))));
        assert!(asked.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn without_a_consumer_nobody_is_sent_to_garmin() {
        let config = garmin_config(&["--garmin-consumer-key", "", "--garmin-consumer-secret", ""]);
        assert!(Authorizer::new(&config, REDIRECT_URI.into()).unwrap().is_none());
    }
}
