//! Messages, read on threads of their own, as that keeps a core busy: whole at first, and once more without the
//! entries that turn out to be of users who have withdrawn.

use super::handler::RawNotifications;
use super::notification::{self, Notification, Reading};
use super::{Registry, body};
use crate::message::{Message, Reason};
use crate::store::raw::{RawNotification, Sealer};
use crate::store::withdrawals::Withdrawn;
use apollo_shared::secrets::Keyring;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A message, read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// What it holds.
    pub(super) notification: Notification,
    /// As it is to be kept, if it is.
    pub(super) raw: Option<RawNotification>,
    /// How many entries were taken out of it, by key.
    pub(super) withdrawn: BTreeMap<&'static str, u64>,
    rest: Option<Message>,
}

impl Read {
    /// The message that was read: `whole`, or what is left of it.
    pub(super) fn message<'a>(&'a self, whole: &'a Message) -> &'a Message {
        self.rest.as_ref().unwrap_or(whole)
    }
}

/// Reads messages.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) registry: Arc<Registry>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) raw_notifications: RawNotifications,
}

impl Reader {
    /// Reads a batch. Fails only when the program is being torn down or has no memory left.
    pub(super) async fn read(self, messages: Arc<Vec<Message>>) -> io::Result<Vec<Read>> {
        let has_gaps = self.raw_notifications == RawNotifications::Stored;
        tokio::task::spawn_blocking(move || {
            let mut sealer = Sealer::new(&self.keyring)?;
            messages
                .iter()
                .map(|message| {
                    let notification = self.read_alone(message, has_gaps);
                    let raw = self.seal(&mut sealer, message, &notification)?;
                    Ok(Read { notification, raw, ..Read::default() })
                })
                .collect()
        })
        .await?
    }

    /// Reads those messages of a batch again that hold entries of users who have `withdrawn`.
    pub(super) async fn read_without(
        self,
        withdrawn: Vec<Withdrawn>,
        messages: Arc<Vec<Message>>,
        mut reads: Vec<Read>,
    ) -> io::Result<Vec<Read>> {
        tokio::task::spawn_blocking(move || {
            let mut sealer = Sealer::new(&self.keyring)?;
            for withdrawn in withdrawn {
                if let (Some(read), Some(message)) =
                    (reads.get_mut(withdrawn.place), messages.get(withdrawn.place))
                {
                    *read = self.read_rest(&mut sealer, &withdrawn, message, std::mem::take(read))?;
                }
            }
            Ok(reads)
        })
        .await?
    }

    fn read_rest(
        &self,
        sealer: &mut Sealer<'_>,
        withdrawn: &Withdrawn,
        message: &Message,
        read: Read,
    ) -> io::Result<Read> {
        let before = read.message(message);
        let goes = |user: Option<&str>| user.is_some_and(|user| withdrawn.user_ids.contains(user));
        let body::Rest { body, is_empty, taken } = body::without(&before.body, goes);
        let rest =
            Message { envelope: before.envelope.clone(), routing_key: before.routing_key.clone(), body };
        let mut notification = self.read_alone(&rest, true);
        notification.accounts = read.notification.accounts;
        let raw = if is_empty { None } else { self.seal(sealer, &rest, &notification)? };
        let mut withdrawn = read.withdrawn;
        taken.into_iter().for_each(|(key, count)| *withdrawn.entry(key).or_default() += count);
        Ok(Read { notification, raw, withdrawn, rest: Some(rest) })
    }

    /// A defect that panics over one message becomes that message's dead letter.
    fn read_alone(&self, message: &Message, has_gaps: bool) -> Notification {
        let raw_is_kept = self.raw_notifications != RawNotifications::NotKept;
        let reading = Reading { raw_is_kept, has_gaps };
        let read = || notification::read(&self.registry, message, reading);
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            let dead = message.dead(Reason::Panic, "reading the message failed by a defect of Apollo's");
            let user_ids = body::user_ids(&message.body);
            Notification { outgoing: vec![dead], user_ids, ..Notification::default() }
        })
    }

    fn seal(
        &self,
        sealer: &mut Sealer<'_>,
        message: &Message,
        notification: &Notification,
    ) -> io::Result<Option<RawNotification>> {
        let seal = || sealer.seal(message, &notification.user_ids);
        (self.raw_notifications == RawNotifications::Kept).then(seal).transpose()
    }
}
