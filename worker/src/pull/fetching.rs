//! One attempt to fetch what a ping announces.

use super::ping::Ping;
use super::pulled::{self, Source};
use super::{End, PullHandler};
use crate::account::AccountError;
use crate::files::{self, FileId, FileVersion};
use crate::garmin::{Fetched, GarminClient, GarminError, UserToken};
use crate::message::Message;
use crate::pace::Outcome;
use crate::store::callbacks::State;
use crate::store::error::StoreError;
use crate::store::patience::Patience;
use apollo_shared::envelope::{Envelope, Microseconds};
use std::sync::Arc;

/// What an attempt needs.
pub(super) struct Fetching<'a> {
    pub(super) handler: &'a PullHandler,
    pub(super) ping: &'a Ping,
    pub(super) message: &'a Message,
    pub(super) patience: &'a Patience<'a>,
}

impl Fetching<'_> {
    /// Fetches it. Nothing if `stop` came before what was fetched could be stored.
    pub(super) async fn fetch(&self) -> Option<Result<End, AccountError>> {
        let Self { handler, ping, .. } = self;
        let asked = handler.tokens.call(&ping.user_id, |client, token| self.ask(client, token)).await;
        match (asked, &ping.file) {
            (Err(error), _) => Some(Err(error)),
            (Ok(fetched), None) => Some(self.summaries(&fetched)),
            (Ok(fetched), Some(file)) => Some(self.keep(file, fetched).await?.map_err(AccountError::from)),
        }
    }

    async fn ask(&self, client: Arc<GarminClient>, token: UserToken) -> Result<Fetched, AccountError> {
        let PullHandler { pace, large, .. } = self.handler;
        pace.wait(self.patience.stop).await?;
        let answered = client.fetch(self.ping.call(), self.ping.url.url(), &token, large).await;
        pace.note(Outcome::of(&answered)).await;
        Ok(answered?)
    }

    /// An ordinary notification for each part of an answer.
    fn summaries(&self, fetched: &Fetched) -> Result<End, AccountError> {
        let Self { ping, message, .. } = self;
        let source = Source {
            endpoint: ping.endpoint,
            user_id: &ping.user_id,
            digest: ping.digest,
            uploaded_at: ping.uploaded_at(message.envelope.received_at),
            arrived_at: Microseconds::now(),
        };
        let mut pulled = pulled::notifications(&fetched.body, &source, Some(&message.envelope.traceparent))
            .ok_or_else(|| GarminError::no_array(ping.call()))?;
        pulled.notifications.iter_mut().for_each(|it| it.room.clone_from(&fetched.room));
        let entries = Some(pulled.entries);
        Ok(End { state: State::Fetched, status: Some(200), entries, outgoing: pulled.notifications })
    }

    /// Stores a file. Garmin does not give it again, so it is tried for as long as the program runs.
    async fn keep(&self, file: &FileId, fetched: Fetched) -> Option<Result<End, StoreError>> {
        let PullHandler { pool, metrics, .. } = self.handler;
        let Envelope { received_at, message_id, first_entry_index: entry_index, .. } = self.message.envelope;
        let version = FileVersion { received_at, message_id, entry_index };
        let content = Arc::new(fetched.body);
        let keep = || files::keep(pool, metrics, file, version, &content);
        let kept = loop {
            match self.patience.when_possible(&self.message.envelope, keep).await {
                Some(kept) => break kept,
                None if self.patience.stop.is_cancelled() => return None,
                None => {}
            }
        };
        Some(kept.map(|kept| {
            let state =
                if kept.outcome == files::Outcome::Withdrawn { State::Withdrawn } else { State::Fetched };
            End { state, status: Some(200), entries: Some(1), outgoing: vec![] }
        }))
    }
}
