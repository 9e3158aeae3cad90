//! An app of Garmin's, as the tests need it: able to do everything wrong.

use reqwest::{Certificate, Client, Method, Response, Url, redirect};
use serde_json::Value;
use url::form_urlencoded;

use crate::garmin::oauth2::challenge_of;
use crate::garmin::signature::{base_string, percent_encode, sign};
use crate::garmin::state::unix_now;
use crate::garmin::{Garmin, GarminOptions, Mode, Oauth1Token, PERMISSIONS, server};

pub(super) const USER: &str = "8f3d1c6a4be24f0c9a7d52e1b0c4f7a9";
pub(super) const OTHER_USER: &str = "c0a41e52-7a34-4d56-8e90-1b2a3c4d5e6f";
pub(super) const CALLBACK: &str = "http://127.0.0.1:1/callback";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(super) struct App {
    pub(super) garmin: Garmin,
    pub(super) client: Client,
}

/// What is signed, and with what; the default is right.
#[derive(Clone)]
pub(super) struct Signature {
    pub(super) consumer_key: String,
    pub(super) consumer_secret: String,
    pub(super) token: Option<Oauth1Token>,
    pub(super) verifier: Option<String>,
    pub(super) version: &'static str,
    pub(super) method: &'static str,
    pub(super) timestamp: i64,
    pub(super) nonce: String,
    /// Form fields that are sent, and signed.
    pub(super) form: Vec<(String, String)>,
}

impl Default for Signature {
    fn default() -> Self {
        let options = GarminOptions::default();
        Self {
            consumer_key: options.consumer_key,
            consumer_secret: options.consumer_secret,
            token: None,
            verifier: None,
            version: "1.0",
            method: "HMAC-SHA1",
            timestamp: unix_now(),
            nonce: fastrand::u64(..).to_string(),
            form: Vec::new(),
        }
    }
}

impl Signature {
    pub(super) fn of(token: &Oauth1Token) -> Self {
        Self { token: Some(token.clone()), ..Self::default() }
    }

    /// The header for a request, which it is right for if the parts are.
    pub(super) fn header(&self, method: &Method, url: &Url) -> String {
        let mut oauth = vec![
            ("oauth_consumer_key", self.consumer_key.clone()),
            ("oauth_nonce", self.nonce.clone()),
            ("oauth_signature_method", self.method.to_owned()),
            ("oauth_timestamp", self.timestamp.to_string()),
            ("oauth_version", self.version.to_owned()),
        ];
        oauth.extend(self.token.iter().map(|token| ("oauth_token", token.token.clone())));
        oauth.extend(self.verifier.iter().map(|verifier| ("oauth_verifier", verifier.clone())));
        let mut parameters: Vec<(String, String)> =
            oauth.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        parameters.extend(url.query_pairs().into_owned());
        parameters.extend(self.form.clone());
        let mut base_uri = url.clone();
        base_uri.set_query(None);
        let base_string = base_string(method.as_str(), base_uri.as_str(), parameters.iter());
        let token_secret = self.token.as_ref().map_or("", |token| &token.secret);
        oauth.push(("oauth_signature", sign(&base_string, &self.consumer_secret, token_secret)));
        let quoted: Vec<String> =
            oauth.iter().map(|(name, value)| format!("{name}=\"{}\"", percent_encode(value))).collect();
        format!("OAuth {}", quoted.join(", "))
    }
}

impl App {
    pub(super) async fn start() -> Self {
        Self::with(GarminOptions::default()).await
    }

    pub(super) async fn with(options: GarminOptions) -> Self {
        let user_ids = vec![USER.to_owned(), OTHER_USER.to_owned()];
        let garmin = Garmin::start(GarminOptions { user_ids, ..options }).await.unwrap();
        let authority = Certificate::from_pem(garmin.certificate_authority().as_bytes()).unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
        let client = client.tls_certs_merge([authority]).build().unwrap();
        Self { garmin, client }
    }

    /// The address of a path, or a whole address as it is.
    pub(super) fn url(&self, path: &str) -> Url {
        self.garmin.url().parse::<Url>().unwrap().join(path).unwrap()
    }

    pub(super) async fn signed(&self, method: Method, path: &str, signature: &Signature) -> Response {
        let url = self.url(path);
        let header = signature.header(&method, &url);
        self.client
            .request(method, url)
            .header("authorization", header)
            .form(&signature.form)
            .send()
            .await
            .unwrap()
    }

    pub(super) async fn borne(&self, method: Method, path: &str, bearer: &str) -> Response {
        self.client.request(method, self.url(path)).bearer_auth(bearer).send().await.unwrap()
    }

    /// Where the consent page sends a user who has made that choice.
    pub(super) async fn decide(&self, path: &str, query: &[(&str, &str)], choice: &[(&str, &str)]) -> Url {
        let answer = self.decided(path, query, choice).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    }

    pub(super) async fn decided(
        &self,
        path: &str,
        query: &[(&str, &str)],
        choice: &[(&str, &str)],
    ) -> Response {
        self.client.post(self.url(path)).query(query).form(choice).send().await.unwrap()
    }

    pub(super) async fn request_token(&self) -> Oauth1Token {
        oauth1_token(
            &self
                .signed(Method::POST, server::REQUEST_TOKEN, &Signature::default())
                .await
                .text()
                .await
                .unwrap(),
        )
    }

    /// Agrees to a request token, and gives the verifier.
    pub(super) async fn agree_oauth1(&self, request_token: &Oauth1Token, user: &str) -> String {
        let query = [("oauth_token", request_token.token.as_str()), ("oauth_callback", CALLBACK)];
        let back =
            self.decide(server::OAUTH1_CONFIRM, &query, &[("user", user), ("decision", "agree")]).await;
        assert_eq!(parameter(&back, "oauth_token").as_ref(), Some(&request_token.token));
        parameter(&back, "oauth_verifier").unwrap()
    }

    /// Agrees by OAuth 2.0 with the usual code verifier, and gives the code.
    pub(super) async fn agree_oauth2(&self, user: &str) -> String {
        let challenge = challenge_of(VERIFIER);
        let choice = [("user", user), ("permission", "HEALTH_EXPORT"), ("decision", "agree")];
        let back = self.decide(server::OAUTH2_CONFIRM, &oauth2_query(&challenge), &choice).await;
        assert_eq!(parameter(&back, "state").as_deref(), Some("s/1"));
        parameter(&back, "code").unwrap()
    }

    /// POSTs to the token address as this app, with these fields on top of (or instead of) the usual ones.
    pub(super) async fn token(&self, fields: &[(&str, &str)]) -> Response {
        let options = GarminOptions::default();
        let usual = [
            ("client_id", options.consumer_key.as_str()),
            ("client_secret", options.consumer_secret.as_str()),
            ("grant_type", "authorization_code"),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let kept = usual.into_iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        let form: Vec<_> = kept.chain(fields.iter().copied()).collect();
        self.client.post(self.url(server::TOKEN)).form(&form).send().await.unwrap()
    }

    /// Tokens of a user who has agreed by OAuth 2.0.
    pub(super) async fn tokens(&self, user: &str) -> Value {
        let code = self.agree_oauth2(user).await;
        let answer = self.token(&[("code", &code)]).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// An access token of a user who allows everything.
    pub(super) async fn access_token(&self, user: &str) -> String {
        let tokens = self.tokens(user).await;
        self.garmin.set_permissions(user, &PERMISSIONS);
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    /// The notification that tells of what was uploaded.
    pub(super) fn upload(&self, body: &Value, mode: Mode) -> Value {
        let notification = self.garmin.upload(body.to_string().as_bytes(), mode).unwrap();
        serde_json::from_slice(&notification).unwrap()
    }
}

/// What an app asks for on the OAuth 2.0 page.
pub(super) fn oauth2_query(challenge: &str) -> [(&str, &str); 6] {
    [
        ("response_type", "code"),
        ("client_id", "simulated-consumer-key"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("redirect_uri", CALLBACK),
        ("state", "s/1"),
    ]
}

pub(super) fn oauth1_token(form: &str) -> Oauth1Token {
    let fields: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name| {
        let found = fields.iter().find(|(other, _)| other == name);
        found.unwrap_or_else(|| panic!("no {name} in {form}")).1.clone()
    };
    Oauth1Token { token: field("oauth_token"), secret: field("oauth_token_secret") }
}

pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
}

pub(super) async fn assert_refused(answer: Response, status: u16, text: &str) {
    let found = answer.status();
    let body = answer.text().await.unwrap();
    assert!(found == status && body.contains(text), "expected {status} {text}, found {found} {body}");
}
