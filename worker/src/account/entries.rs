//! The entries of Garmin's notifications about accounts: each is dealt with alone, and a bad one harms only itself
//! (design.md, law 5).

use super::{AccountError, AccountHandler, pause, received_at};
use crate::message::{Message, Outgoing, Part, PartValue, Reason, STEPS_OF_A_DAY};
use crate::store::error::StoreError;
use apollo_shared::telemetry::with_causes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use time::OffsetDateTime;

/// A body; a key that is not among these is not Garmin's.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    deregistrations: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "userPermissionsChange")]
    permission_changes: Vec<&'a RawValue>,
}

/// An entry of either kind, as far as both are alike.
pub(super) trait Entry: DeserializeOwned {
    /// The key it comes under, as JSON.
    const KEY: &'static str;

    /// Does what it asks for.
    async fn settle(self, handler: &AccountHandler, received_at: OffsetDateTime) -> Result<(), AccountError>;
}

impl AccountHandler {
    /// `deregistrations` and `userPermissionsChange`
    pub(super) async fn notification(&self, message: &Message) -> Result<Vec<Outgoing>, StoreError> {
        let body: Body<'_> = match serde_json::from_slice(&message.body) {
            Ok(body) => body,
            Err(error) => {
                let error = format!("not a notification about accounts: {error}");
                return Ok(vec![message.dead(Reason::NotANotification, &error)]);
            }
        };
        let mut outgoing = Vec::new();
        for (entry_index, raw) in (message.envelope.first_entry_index..).zip(body.deregistrations) {
            outgoing.extend(
                self.entry::<super::deregistration::Deregistration>(message, raw, entry_index).await?,
            );
        }
        for (entry_index, raw) in (message.envelope.first_entry_index..).zip(body.permission_changes) {
            outgoing
                .extend(self.entry::<super::permissions::PermissionChange>(message, raw, entry_index).await?);
        }
        Ok(outgoing)
    }

    /// What is to be published about one entry: nothing if it is settled.
    async fn entry<E: Entry>(
        &self,
        message: &Message,
        raw: &RawValue,
        entry_index: u32,
    ) -> Result<Option<Outgoing>, StoreError> {
        let part = Part { key: E::KEY, value: PartValue::Entry(raw), entry_index };
        let entry: E = match serde_json::from_str(raw.get()) {
            Ok(entry) => entry,
            Err(error) => {
                return Ok(Some(message.dead_part(&part, Reason::MalformedEntry, &error.to_string())));
            }
        };
        match entry.settle(self, received_at(message)).await {
            Ok(()) => Ok(None),
            Err(AccountError::Store(error @ StoreError::Data(_))) => {
                Ok(Some(message.dead_part(&part, Reason::RefusedByDatabase, &with_causes(&error))))
            }
            Err(AccountError::Store(error)) => Err(error),
            Err(error) => Ok(Some(later(message, &part, &error))),
        }
    }
}

fn later(message: &Message, part: &Part<'_>, error: &AccountError) -> Outgoing {
    let reason = with_causes(error);
    match pause(&STEPS_OF_A_DAY, message.envelope.attempt) {
        Some(seconds) => {
            let (message_id, trace_id) = message.envelope.for_logs();
            let what = &message.envelope;
            tracing::warn!(%message_id, trace_id, "an entry of {what} is tried again in {seconds} s: {reason}");
            message.put_off_part(part, seconds)
        }
        None => message.dead_part(part, Reason::GarminUnavailable, &reason),
    }
}

/// Reads a user's id, which must not be empty.
pub(super) fn user_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let user_id = String::deserialize(deserializer)?;
    if user_id.is_empty() { Err(serde::de::Error::custom("userId is empty")) } else { Ok(user_id) }
}
