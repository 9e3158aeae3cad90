//! Garmin's other side: the OAuth 1.0a provider, the OAuth 2.0 provider, the page on which a user agrees, the user API,
//! and the data that pings tell of. All of it is on two listeners: one with plain HTTP, and one with TLS, where callback
//! URLs lead.
//!
//! It is strict where Garmin is: signatures, time stamps, nonces, code verifiers and rotated refresh tokens are really
//! checked, and refused as Garmin refuses them. Where Garmin's behaviour is unknown, it is stricter than Garmin may be.
//! Everything it knows is in memory and ends with it.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use apollo_simulator::garmin::{Call, Failure, Garmin, GarminOptions, OauthVersion};
//!
//! let garmin = Garmin::start(GarminOptions { user_ids: vec!["u1".into()], ..GarminOptions::default() }).await?;
//! for (name, value) in garmin.settings(OauthVersion::Two) {
//!     println!("{name}={value}");
//! }
//! garmin.fail_next(Call::Token, Failure::Status(503));
//! # Ok(())
//! # }
//! ```

mod activity_file;
mod backfill;
mod call;
mod consent;
mod data_type;
mod deliverer;
mod history;
mod incoming;
mod json_object;
mod limits;
mod notification;
mod oauth1;
mod oauth2;
mod page;
mod pull;
mod received;
mod refusal;
mod server;
mod signature;
mod state;
#[cfg(test)]
mod tests;
mod text_file;
mod tls;
mod uploads;
mod user_api;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::serve::Listener as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use activity_file::file_content;
pub use backfill::BackfillOptions;
pub use call::{Call, Failure, Request};
pub use deliverer::{Deliverer, Round};
use incoming::Scheme;
pub use limits::Limits;
pub use notification::{
    AccountNotification, Deregistration, PERMISSIONS, PermissionChange, PermissionsShape, deregistrations,
    permission_changes,
};
pub use received::{Mode, UploadError};
use server::Provider;
use state::State;
use tls::TlsListener;

/// How long connections that are being answered are waited for at the end.
const STOPPING_TIME: Duration = Duration::from_secs(5);

/// How to start.
#[derive(Debug, Clone)]
pub struct GarminOptions {
    /// Where to listen for plain HTTP; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where to listen for HTTP with TLS.
    pub tls_listen: SocketAddr,
    /// The app's key; its client id under OAuth 2.0.
    pub consumer_key: String,
    /// The app's secret.
    pub consumer_secret: String,
    /// The accounts that exist.
    pub user_ids: Vec<String>,
    /// Tokens, codes and secrets follow from it and the order of what is asked. Who keeps tokens for longer than this
    /// Garmin runs needs another seed for each.
    pub seed: u64,
    /// How much the app may ask for; without limits, whatever it likes.
    pub limits: Option<Limits>,
    /// How history is served.
    pub backfill: BackfillOptions,
}

impl Default for GarminOptions {
    /// Free ports on loopback, an app, and nobody.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            consumer_key: "simulated-consumer-key".to_owned(),
            consumer_secret: "simulated-consumer-secret".to_owned(),
            user_ids: Vec::new(),
            seed: 1,
            limits: None,
            backfill: BackfillOptions::default(),
        }
    }
}

/// How participants consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OauthVersion {
    /// OAuth 1.0a.
    One,
    /// OAuth 2.0 with PKCE.
    Two,
}

/// What a question for permissions is answered with; both occur (garmin-health-api.md 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PermissionsAnswer {
    /// The names alone.
    #[default]
    Array,
    /// An object with the names and the time of the last change.
    Object,
}

/// An OAuth 1.0a access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth1Token {
    /// The token: Garmin's `userAccessToken`.
    pub token: String,
    /// Its secret.
    pub secret: String,
}

/// How many tokens of a user are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensAlive {
    /// OAuth 1.0a access tokens.
    pub oauth1: usize,
    /// OAuth 2.0 access tokens that have not expired.
    pub access: usize,
    /// OAuth 2.0 refresh tokens that have not expired.
    pub refresh: usize,
}

/// A running Garmin. It ends when this is dropped.
#[derive(Debug)]
pub struct Garmin {
    provider: Provider,
    address: SocketAddr,
    tls_address: SocketAddr,
    certificate_authority: String,
    stopping: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Garmin {
    /// Starts to listen.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub async fn start(options: GarminOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (tls_listener, certificate_authority) = TlsListener::bind(options.tls_listen).await?;
        let tls_address = tls_listener.local_addr()?;
        let callback_origin = format!("https://{tls_address}");
        let mut state = State::new(&options, callback_origin);
        options.user_ids.into_iter().for_each(|user_id| state.add_user(user_id));
        let provider = Provider::new(state);
        let stopping = CancellationToken::new();
        let plain = axum::serve(listener, server::router(provider.clone(), Scheme::Http))
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let tls = axum::serve(tls_listener, server::router(provider.clone(), Scheme::Https))
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let server = async { tokio::try_join!(plain.into_future(), tls.into_future()).map(|_| ()) };
        let server = tokio::spawn(server);
        Ok(Self { provider, address, tls_address, certificate_authority, stopping, server })
    }

    /// Stops to listen, and waits until the addresses are free again, at most five seconds.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        // A handler that is still slow then is of no interest any more.
        let _ = tokio::time::timeout(STOPPING_TIME, &mut self.server).await;
    }

    /// The address of everything, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with TLS: where callback URLs lead.
    pub fn tls_url(&self) -> String {
        format!("https://{}", self.tls_address)
    }

    /// The certificate of the authority to trust for [`Garmin::tls_url`], in PEM. It ends with this Garmin.
    pub fn certificate_authority(&self) -> &str {
        &self.certificate_authority
    }

    /// The variables that make a receiver and a worker use this Garmin, with their values; GARMIN__CA_FILE, a file with the
    /// [`Garmin::certificate_authority`], comes with them.
    pub fn settings(&self, version: OauthVersion) -> Vec<(&'static str, String)> {
        let url = |path: &str| self.url() + path;
        let state = self.provider.lock();
        let version = match version {
            OauthVersion::One => "1",
            OauthVersion::Two => "2",
        };
        vec![
            ("GARMIN__CONSUMER_KEY", state.consumer_key.clone()),
            ("GARMIN__CONSUMER_SECRET", state.consumer_secret.clone()),
            ("GARMIN__OAUTH_VERSION", version.to_owned()),
            ("GARMIN__REQUEST_TOKEN_URL", url(server::REQUEST_TOKEN)),
            ("GARMIN__OAUTH1_AUTHORIZE_URL", url(server::OAUTH1_CONFIRM)),
            ("GARMIN__ACCESS_TOKEN_URL", url(server::ACCESS_TOKEN)),
            ("GARMIN__OAUTH2_AUTHORIZE_URL", url(server::OAUTH2_CONFIRM)),
            ("GARMIN__OAUTH2_TOKEN_URL", url(server::TOKEN)),
            ("GARMIN__TOKEN_EXCHANGE_URL", url(server::TOKEN_EXCHANGE)),
            ("GARMIN__API_URL", url(server::API)),
            ("GARMIN__CALLBACK_HOSTS", self.tls_address.to_string()),
        ]
    }

    /// One more account.
    pub fn add_user(&self, user_id: &str) {
        self.provider.lock().add_user(user_id.to_owned());
    }

    /// The user agrees without a browser, and the app gets an OAuth 1.0a access token, as it may have done years ago.
    /// An account is made if there is none.
    pub fn issue_oauth1_token(&self, user_id: &str) -> Oauth1Token {
        let mut state = self.provider.lock();
        state.add_user(user_id.to_owned());
        state.issue_oauth1_token(user_id.to_owned())
    }

    /// The user disconnects the app at Garmin: every token ends, and a notification waits to be delivered.
    pub fn disconnect(&self, user_id: &str) {
        self.provider.lock().disconnect(user_id);
    }

    /// The user allows exactly this from now on; a notification waits to be delivered if the app is connected. See
    /// [`PERMISSIONS`].
    pub fn set_permissions(&self, user_id: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        self.provider.lock().change_permissions(user_id, permissions);
    }

    /// From now on questions for permissions are answered like this.
    pub fn answer_permissions_as(&self, answer: PermissionsAnswer) {
        self.provider.lock().permissions_answer = answer;
    }

    /// A day passes for OAuth 2.0 access tokens: those given out so far have expired. Refresh tokens are still good.
    pub fn expire_access_tokens(&self) {
        self.provider.lock().access_tokens.values_mut().for_each(|token| token.expires_at = 0);
    }

    /// Time passes for consents under way: request tokens and authorization codes given out so far have expired.
    pub fn expire_grants(&self) {
        let mut state = self.provider.lock();
        state.request_tokens.values_mut().for_each(|token| token.expires_at = 0);
        state.codes.values_mut().for_each(|code| code.expires_at = 0);
    }

    /// The next such call that does not fail anyway meets with this. Several add up, one a call.
    pub fn fail_next(&self, call: Call, failure: Failure) {
        self.provider.lock().failures.add_next(call, failure);
    }

    /// Every such call meets with this, until [`Garmin::heal`].
    pub fn fail_always(&self, call: Call, failure: Failure) {
        self.provider.lock().failures.set_always(call, failure);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.provider.lock().failures = call::Failures::default();
    }

    /// Every such call so far, in the order of arrival.
    pub fn requests(&self, call: Call) -> Vec<Request> {
        self.provider.lock().requests.iter().filter(|request| request.call == call).copied().collect()
    }

    /// How many such calls there were so far.
    pub fn count(&self, call: Call) -> usize {
        self.requests(call).len()
    }

    /// How many of the user's tokens are good.
    pub fn tokens_alive(&self, user_id: &str) -> TokensAlive {
        let state = self.provider.lock();
        let now = state::unix_now();
        let good = |token: &&state::Bearer| token.user_id == user_id && token.expires_at > now;
        TokensAlive {
            oauth1: state.oauth1_tokens.values().filter(|token| token.user_id == user_id).count(),
            access: state.access_tokens.values().filter(good).count(),
            refresh: state.refresh_tokens.values().filter(good).count(),
        }
    }

    /// The users who are connected with the app.
    pub fn connected_users(&self) -> BTreeSet<String> {
        self.provider.lock().connected_users()
    }

    /// The users whose connection the app has ended, in order.
    pub fn deleted_registrations(&self) -> Vec<String> {
        self.provider.lock().deleted_registrations.clone()
    }

    /// What devices have uploaded: the body of a push notification. Gives the body of the notification to send, and keeps
    /// what that tells of. Entries of `activityFiles` get one-time URLs in both modes.
    ///
    /// # Errors
    /// The body is none of Garmin's.
    pub fn upload(&self, body: &[u8], mode: Mode) -> Result<Vec<u8>, UploadError> {
        self.provider.upload(body, mode)
    }

    /// Takes out the bodies of the notifications that bring the history asked for since the last time, in the order of
    /// their keys. Each has entries of one key, of all who asked for it, as Garmin collects them for some minutes.
    ///
    /// # Errors
    /// None that is known: history is of Garmin's own making.
    pub fn take_deliveries(&self) -> Result<Vec<Vec<u8>>, UploadError> {
        backfill::take_deliveries(&mut self.provider.lock())
    }

    /// A token with which anything of a user can be pulled, as the developer portal gives out to try it.
    pub fn pull_token(&self) -> String {
        self.provider.lock().pull_token.clone()
    }

    /// A day passes for callback URLs: those given out so far are good for nothing any more.
    pub fn expire_callbacks(&self) {
        let mut state = self.provider.lock();
        state.uploads.expire();
        state.files.expire();
    }

    /// Takes out the notifications that wait to be delivered, in order.
    pub fn take_notifications(&self) -> Vec<AccountNotification> {
        std::mem::take(&mut self.provider.lock().notifications)
    }
}

impl Drop for Garmin {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
