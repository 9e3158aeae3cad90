//! One attempt to fetch what a ping announces.

use super::ping::Ping;
use super::pulled::{self, Source};
use super::{End, PullHandler};
use crate::account::AccountError;
use crate::garmin::{Fetched, GarminClient, GarminError, UserToken};
use crate::message::Message;
use crate::pace::Outcome;
use crate::store::callbacks::State;
use crate::store::patience::Patience;
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
        Some(match asked {
            Ok(fetched) => self.summaries(&fetched),
            Err(error) => Err(error),
        })
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
        let arrived_at = message.envelope.arrived();
        let source = Source {
            endpoint: ping.endpoint,
            user_id: &ping.user_id,
            digest: ping.digest,
            uploaded_at: ping.uploaded_at(arrived_at),
            arrived_at,
        };
        let mut pulled = pulled::notifications(&fetched.body, &source, &message.envelope.traceparent)
            .ok_or_else(|| GarminError::no_array(ping.call()))?;
        pulled.notifications.iter_mut().for_each(|it| it.room.clone_from(&fetched.room));
        let entries = Some(pulled.entries);
        Ok(End { state: State::Fetched, status: Some(200), entries, outgoing: pulled.notifications })
    }
}
