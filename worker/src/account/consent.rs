//! A participant's consent, from its beginning to its outcome.

use super::{AccountError, AccountHandler, Event, pause, received_at};
use crate::backfill::automatic;
use crate::garmin::{GarminClient, GarminError, Oauth1Token};
use crate::message::{Message, Outgoing, Reason};
use crate::store;
use crate::store::accounts::Link;
use crate::store::consents::{self, Consent, Progress};
use crate::store::error::StoreError;
use crate::store::tokens::NewToken;
use apollo_shared::consent::{Answer, Callback, Outcome, Started, StartedSecret, Status};
use apollo_shared::telemetry::with_causes;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Seconds between the attempts at Garmin, while a participant waits before a page.
pub(super) const GARMIN_STEPS: [u32; 3] = [1, 5, 15];

/// Seconds until a look at what another worker has made of a consent.
pub(super) const LOOK_AGAIN: u32 = 1;

/// Seconds between the looks for a consent's beginning, which another worker may be about to store.
pub(super) const START_STEPS: [u32; 5] = [1, 5, 15, 60, 300];

/// The `type` of what is told to the receivers.
const OUTCOME: &str = "consent.outcome";

/// What an attempt at a consent came to, when it is not over yet.
enum Failure {
    /// Repeating it cannot help.
    Final(AccountError),
    /// It may go better later.
    Passing(AccountError),
    /// Another worker is at it; its claim ends in any case.
    Busy(AccountError),
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Garmin(GarminError::Rejected { .. })
            | AccountError::NotConfigured
            | AccountError::Mismatch
            | AccountError::UnreadableConsent(_)
            | AccountError::UnreadableMessage(_) => Self::Final(error),
            AccountError::Busy => Self::Busy(error),
            _ => Self::Passing(error),
        }
    }
}

impl AccountHandler {
    /// `consent.started`
    pub(super) async fn started(&self, message: &Message) -> Result<Vec<Outgoing>, StoreError> {
        let Ok(started) = serde_json::from_slice::<Started>(&message.body) else {
            return Ok(vec![
                message.dead(Reason::Consent, "not what a receiver sends when a consent begins"),
            ]);
        };
        match started.secret.open(started.consent_id, &self.keyring) {
            Err(error) => Ok(vec![message.dead(Reason::Consent, &with_causes(&error))]),
            Ok(secret) => {
                let at = received_at(message);
                let start = async |connection: &mut _| {
                    consents::start(connection, &self.keyring, &started, &secret, at).await
                };
                store::ask(&self.pool, start).await?;
                Ok(vec![])
            }
        }
    }

    /// `consent.callback`
    pub(super) async fn callback(&self, message: &Message) -> Result<Vec<Outgoing>, StoreError> {
        let Ok(callback) = serde_json::from_slice::<Callback>(&message.body) else {
            return Ok(vec![
                message.dead(Reason::Consent, "not what a receiver sends when a participant comes back"),
            ]);
        };
        let consent_id = callback.consent_id;
        let find = async |connection: &mut _| consents::find(connection, consent_id).await;
        let Some(consent) = store::ask(&self.pool, find).await? else {
            return Ok(self.without_beginning(message, consent_id));
        };
        match self.advance(&consent, &callback, message).await {
            Ok(status) => Ok(vec![news(consent_id, status)]),
            Err(AccountError::Store(error)) => Err(error),
            Err(error) => self.failed(message, consent_id, error.into()).await,
        }
    }

    /// Takes a consent as far as it goes.
    async fn advance(
        &self,
        consent: &Consent,
        callback: &Callback,
        message: &Message,
    ) -> Result<Status, AccountError> {
        let token = match consent.progress(&self.keyring)? {
            Progress::Over(status) => return Ok(status),
            Progress::Exchanged(token) => token,
            Progress::Pending(secret) => match callback.answer.open(consent.consent_id, &self.keyring)? {
                Answer::Declined => return self.finish(consent.consent_id, Status::Declined).await,
                Answer::Failed => return self.finish(consent.consent_id, Status::Failed).await,
                answer => self.exchange(consent, secret, answer).await?,
            },
        };
        self.link(consent, token, message).await
    }

    /// Gives what the participant brought back for tokens, and stores these at once.
    async fn exchange(
        &self,
        consent: &Consent,
        secret: StartedSecret,
        answer: Answer,
    ) -> Result<NewToken, AccountError> {
        let garmin = self.garmin()?;
        let consent_id = consent.consent_id;
        let claim = async |connection: &mut _| consents::claim(connection, consent_id).await;
        if !store::ask(&self.pool, claim).await? {
            return Err(AccountError::Busy);
        }
        let token = ask(garmin, consent, secret, answer).await?;
        let keep = async |connection: &mut _| {
            consents::exchanged(connection, &self.keyring, consent_id, &token).await
        };
        store::ask(&self.pool, keep).await?;
        Ok(token)
    }

    /// Asks whose tokens these are, and links that account with the subject.
    async fn link(
        &self,
        consent: &Consent,
        token: NewToken,
        message: &Message,
    ) -> Result<Status, AccountError> {
        let Some(subject_id) = consent.subject_id() else {
            return self.finish(consent.consent_id, Status::Failed).await;
        };
        let garmin = self.garmin()?;
        let user_token = (&token.credentials).into();
        let user_id = garmin.user_id(&user_token).await?;
        // Not worth failing for: Garmin announces changes, and they are read again then.
        let permissions = garmin.permissions(&user_token).await.ok();
        let link = Link {
            subject_id: &subject_id,
            user_id: &user_id,
            consented_at: received_at(message),
            token: &token,
            permissions: permissions.as_deref(),
        };
        let store = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let status = link.store(&mut transaction, &self.keyring).await?;
            if status == Status::Linked {
                automatic::permitted(&mut transaction, &user_id, self.backfill_days).await?;
            }
            let counts = consents::finish(&mut transaction, consent.consent_id, status).await?;
            transaction.commit().await?;
            Ok::<_, AccountError>(counts)
        };
        let counts = store::ask(&self.pool, store).await?;
        self.metrics.account(Event::Consent, counts.name());
        let consent_id = consent.consent_id;
        tracing::info!(%consent_id, "consent {consent_id}: {}", counts.name());
        Ok(counts)
    }

    async fn finish(&self, consent_id: Uuid, status: Status) -> Result<Status, AccountError> {
        let finish = async |connection: &mut _| consents::finish(connection, consent_id, status).await;
        let counts = store::ask(&self.pool, finish).await?;
        self.metrics.account(Event::Consent, counts.name());
        tracing::info!(%consent_id, "consent {consent_id}: {}", counts.name());
        Ok(counts)
    }

    /// A consent that could not be taken further: later again, or over.
    async fn failed(
        &self,
        message: &Message,
        consent_id: Uuid,
        failure: Failure,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let (error, pause) = match failure {
            Failure::Busy(error) => (error, Some(LOOK_AGAIN)),
            Failure::Passing(error) => {
                let note = async |connection: &mut _| consents::failed(connection, consent_id).await;
                let attempt = store::ask(&self.pool, note).await?;
                (error, pause(&GARMIN_STEPS, attempt))
            }
            Failure::Final(error) => (error, None),
        };
        let reason = with_causes(&error);
        let (message_id, trace_id) = message.envelope.for_logs();
        if let Some(seconds) = pause {
            tracing::warn!(%consent_id, %message_id, trace_id, "consent {consent_id} is tried again in {seconds} s: {reason}");
            return Ok(vec![message.put_off(seconds)]);
        }
        tracing::warn!(%consent_id, %message_id, trace_id, "consent {consent_id} has failed: {reason}");
        match self.finish(consent_id, Status::Failed).await {
            Ok(status) => Ok(vec![news(consent_id, status)]),
            Err(AccountError::Store(error)) => Err(error),
            Err(_) => Ok(vec![news(consent_id, Status::Failed)]),
        }
    }

    fn without_beginning(&self, message: &Message, consent_id: Uuid) -> Vec<Outgoing> {
        match pause(&START_STEPS, message.envelope.attempt) {
            Some(seconds) => vec![message.put_off(seconds)],
            None => {
                self.metrics.account(Event::Consent, Status::Failed.name());
                let error = "its beginning never came, or is more than a day old";
                vec![news(consent_id, Status::Failed), message.dead(Reason::Consent, error)]
            }
        }
    }

    fn garmin(&self) -> Result<&GarminClient, AccountError> {
        self.garmin.as_deref().ok_or(AccountError::NotConfigured)
    }
}

async fn ask(
    garmin: &GarminClient,
    consent: &Consent,
    secret: StartedSecret,
    answer: Answer,
) -> Result<NewToken, AccountError> {
    match (secret, answer) {
        (StartedSecret::CodeVerifier(verifier), Answer::Code(code)) => {
            Ok(garmin.exchange_code(&code, &verifier, &consent.redirect_uri).await?.into())
        }
        (StartedSecret::RequestToken { token, secret }, Answer::Verifier(verifier)) => {
            let request_token = Oauth1Token { token: token.into(), secret: secret.into() };
            Ok(garmin.exchange_request_token(&request_token, &verifier).await?.into())
        }
        _ => Err(AccountError::Mismatch),
    }
}

fn news(consent_id: Uuid, status: Status) -> Outgoing {
    let body = serde_json::to_vec(&Outcome { consent_id, status }).unwrap_or_default();
    Outgoing::news(OUTCOME, body)
}
