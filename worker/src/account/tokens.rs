//! Tokens that are good for a call: OAuth 2.0 tokens are renewed before they end, by one worker at a time.

use super::{AccountError, Event};
use crate::garmin::{GarminClient, GarminError, Oauth1Token, Oauth2Tokens, UserToken};
use crate::metrics::Metrics;
use crate::store::tokens::{self, Credentials, NewToken, StoredToken};
use crate::store::{self, database_backoff};
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::with_causes;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often a worker looks for tokens that are due.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Seconds before its end from which an access token is not used any more (garmin-health-api.md 5).
const MARGIN: time::Duration = time::Duration::seconds(600);

/// How long after a renewal that failed the next one is tried.
const PUT_OFF: time::Duration = time::Duration::minutes(5);

/// What a token is worth.
#[derive(Debug)]
pub enum Verdict {
    /// Garmin answers it, with what the user permits.
    Lives(Vec<String>),
    /// Garmin refuses it.
    Ended,
}

/// Keeps tokens usable.
#[derive(Debug)]
pub struct Tokens {
    /// The database.
    pub pool: PgPool,
    /// Opens and seals them.
    pub keyring: Arc<Keyring>,
    /// Renews them; nothing while no consumer is configured.
    pub garmin: Option<Arc<GarminClient>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Tokens {
    /// Renews what is due, until `stop`.
    pub async fn keep_fresh(&self, stop: &CancellationToken) {
        loop {
            match self.refresh_one(None, stop).await {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => tracing::warn!("a token was not renewed: {}", with_causes(&error)),
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Asks Garmin what the user of a token permits.
    ///
    /// # Errors
    /// Garmin or the database could not be asked.
    pub async fn try_out(&self, stored: &StoredToken) -> Result<Verdict, AccountError> {
        let token = match self.usable(stored).await {
            Ok(token) => token,
            Err(AccountError::Garmin(GarminError::Rejected { .. })) => return Ok(Verdict::Ended),
            Err(error) => return Err(error),
        };
        match self.garmin()?.permissions(&token).await {
            Ok(permissions) => Ok(Verdict::Lives(permissions)),
            Err(GarminError::Refused { .. }) => Ok(Verdict::Ended),
            Err(error) => Err(error.into()),
        }
    }

    /// A token for a call just now, renewed if it is about to end.
    ///
    /// # Errors
    /// It cannot be opened or renewed; [`GarminError::Rejected`] if Garmin says that it has ended.
    pub async fn usable(&self, stored: &StoredToken) -> Result<UserToken, AccountError> {
        if !stored.ends_before(OffsetDateTime::now_utc() + MARGIN) {
            return Ok((&stored.open(&self.keyring)?).into());
        }
        match self.refresh_one(Some(stored.id), &CancellationToken::new()).await? {
            Some(credentials) => Ok((&credentials).into()),
            None => Err(AccountError::Busy),
        }
    }

    /// Calls Garmin for a user with the best of their tokens. One that Garmin refuses (401) is renewed and tried once more.
    /// One that is refused even then is not used any more, and the next one takes its place, if Garmin refuses another
    /// question too: a fault of one of Garmin's services must not cost the participants of a study their consents.
    ///
    /// # Errors
    /// [`AccountError::NeedsConsent`] if no token is left; otherwise why it could not be asked, or what it answered.
    pub async fn call<T, Asking>(
        &self,
        user_id: &str,
        ask: impl Fn(Arc<GarminClient>, UserToken) -> Asking,
    ) -> Result<T, AccountError>
    where
        Asking: Future<Output = Result<T, AccountError>>,
    {
        let garmin = self.garmin.as_ref().ok_or(AccountError::NotConfigured)?;
        while let Some(stored) = self.best_of(user_id).await? {
            let token = match self.usable(&stored).await {
                Ok(token) => token,
                Err(AccountError::Garmin(GarminError::Rejected { .. })) => continue,
                Err(error) => return Err(error),
            };
            let first = ask(Arc::clone(garmin), token.clone()).await;
            if !is_unauthorized(&first) {
                return first;
            }
            let token = match self.renewed(&stored).await {
                Ok(renewed) => renewed.unwrap_or(token),
                Err(AccountError::Garmin(GarminError::Rejected { .. })) => continue,
                Err(error) => return Err(error),
            };
            let second = ask(Arc::clone(garmin), token.clone()).await;
            if !is_unauthorized(&second) {
                return second;
            }
            match garmin.permissions(&token).await {
                Ok(_) => return second,
                Err(GarminError::Refused { .. }) => {
                    tracing::warn!("{stored:?} is refused by Garmin, and not used any more");
                    self.mark_refused(&stored).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::NeedsConsent)
    }

    /// All that are held of a user, the best first.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn of_user(&self, user_id: &str) -> Result<Vec<StoredToken>, AccountError> {
        Ok(store::ask(&self.pool, async |connection| tokens::of_user(connection, user_id).await).await?)
    }

    /// The token to try first.
    async fn best_of(&self, user_id: &str) -> Result<Option<StoredToken>, AccountError> {
        Ok(self.of_user(user_id).await?.into_iter().next())
    }

    async fn mark_refused(&self, stored: &StoredToken) -> Result<(), AccountError> {
        Ok(store::ask(&self.pool, async |connection| tokens::mark_refused(connection, stored.id).await)
            .await?)
    }

    /// What takes the place of a token that Garmin has refused though it should live. `None` for one of OAuth 1.0a, which
    /// cannot be renewed.
    async fn renewed(&self, stored: &StoredToken) -> Result<Option<UserToken>, AccountError> {
        if stored.oauth_version == 1 {
            return Ok(None);
        }
        // False if another worker has renewed it meanwhile.
        if store::ask(&self.pool, async |connection| tokens::make_due(connection, stored).await).await? {
            let renewed = self.refresh_one(Some(stored.id), &CancellationToken::new()).await?;
            return renewed.map(|credentials| Some((&credentials).into())).ok_or(AccountError::Busy);
        }
        match self.best_of(&stored.user_id).await? {
            Some(newer) if newer.token_digest != stored.token_digest => Ok(Some(self.usable(&newer).await?)),
            _ => Err(AccountError::Busy),
        }
    }

    /// Renews one token that is due. `None` if there is none.
    async fn refresh_one(
        &self,
        id: Option<i64>,
        stop: &CancellationToken,
    ) -> Result<Option<Credentials>, AccountError> {
        let garmin = self.garmin()?;
        let claim = async |connection: &mut _| tokens::claim_refresh(connection, id).await;
        let Some(stored) = store::ask(&self.pool, claim).await? else {
            return Ok(None);
        };
        let Credentials::Oauth2 { refresh_token, .. } = stored.open(&self.keyring)? else { return Ok(None) };
        match garmin.refresh(&refresh_token).await {
            Ok(renewed) => {
                let token = NewToken::from(renewed);
                self.store(&stored, &token, stop).await?;
                self.metrics.account(Event::Refresh, "renewed");
                Ok(Some(token.credentials))
            }
            Err(error @ GarminError::Rejected { .. }) => {
                tracing::warn!("{stored:?} has ended: {}", with_causes(&error));
                self.mark_refused(&stored).await?;
                self.metrics.account(Event::Refresh, "ended");
                Err(error.into())
            }
            Err(error) => {
                let put_off =
                    async |connection: &mut _| tokens::put_off_refresh(connection, stored.id, PUT_OFF).await;
                store::ask(&self.pool, put_off).await?;
                self.metrics.account(Event::Refresh, "failed");
                Err(error.into())
            }
        }
    }

    /// Garmin has ended the old refresh token with its answer, so the new one is lost if it is not stored: it is
    /// tried for as long as the program runs.
    async fn store(
        &self,
        stored: &StoredToken,
        token: &NewToken,
        stop: &CancellationToken,
    ) -> Result<(), AccountError> {
        let mut backoff = database_backoff();
        loop {
            let replace =
                async |connection: &mut _| tokens::replace(connection, &self.keyring, stored.id, token).await;
            let Err(error) = store::ask(&self.pool, replace).await else { return Ok(()) };
            tracing::error!("the renewed {stored:?} is not stored yet: {}", with_causes(&error));
            if !backoff.pause(stop).await {
                return Err(error.into());
            }
        }
    }

    fn garmin(&self) -> Result<&GarminClient, AccountError> {
        self.garmin.as_deref().ok_or(AccountError::NotConfigured)
    }
}

fn is_unauthorized<T>(answered: &Result<T, AccountError>) -> bool {
    matches!(answered, Err(AccountError::Garmin(GarminError::Refused { status: 401, .. })))
}

impl From<&Credentials> for UserToken {
    fn from(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::Oauth1 { token, secret } => {
                Self::Oauth1(Oauth1Token { token: token.as_str().into(), secret: secret.as_str().into() })
            }
            Credentials::Oauth2 { access_token, .. } => {
                Self::Oauth2 { access_token: access_token.as_str().into() }
            }
        }
    }
}

impl From<Oauth1Token> for NewToken {
    fn from(token: Oauth1Token) -> Self {
        let credentials = Credentials::Oauth1 {
            token: token.token.expose_secret().to_owned(),
            secret: token.secret.expose_secret().to_owned(),
        };
        Self { credentials, expires_at: None, refresh_expires_at: None, scope: None }
    }
}

impl From<Oauth2Tokens> for NewToken {
    fn from(tokens: Oauth2Tokens) -> Self {
        let now = OffsetDateTime::now_utc();
        let credentials = Credentials::Oauth2 {
            access_token: tokens.access_token.expose_secret().to_owned(),
            refresh_token: tokens.refresh_token.expose_secret().to_owned(),
        };
        Self {
            credentials,
            expires_at: Some(now + tokens.expires_in),
            refresh_expires_at: tokens.refresh_expires_in.map(|lifetime| now + lifetime),
            scope: tokens.scope,
        }
    }
}
