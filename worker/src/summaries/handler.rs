//! What the lane of summaries does with a batch of notifications.
//!
//! All of a batch is read first, then written in one transaction, over and over while the database is away.
//! When a row's data makes the transaction fail, the batch is halved until the row is found; halves may be
//! written one after the other, as their order does not matter (design.md, law 3).

use super::Registry;
use super::batch::{Outcomes, Row};
use super::notification::{self, Notification};
use crate::lane::{Handled, Handler};
use crate::message::{Message, Outgoing, Reason};
use crate::metrics::Metrics;
use crate::store::error::StoreError;
use crate::store::raw::{RawNotification, RawStore};
use crate::store::{Batch, DATABASE, Store, database_backoff, schema};
use apollo_shared::admin::Readiness;
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use sqlx::PgPool;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a batch is held while the database is away, before it goes back to its queue: well below the
/// half hour after which RabbitMQ takes a consumer that acknowledges nothing for stuck.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// Stores summaries.
#[derive(Debug)]
pub struct SummariesHandler {
    /// The tables.
    pub registry: Arc<Registry>,
    /// Seals raw notifications.
    pub keyring: Arc<Keyring>,
    /// The database.
    pub pool: PgPool,
    /// The raw notifications' partitions.
    pub raw: Arc<RawStore>,
    /// What becomes of the notifications as received.
    pub raw_notifications: RawNotifications,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the state of the database is told.
    pub readiness: Readiness,
}

/// What becomes of the notifications as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawNotifications {
    /// They are stored too.
    Kept,
    /// They are not stored, so what no table takes becomes a dead letter.
    NotKept,
    /// They have been stored before.
    Stored,
}

impl Handler for SummariesHandler {
    fn lane(&self) -> Lane {
        Lane::Summaries
    }

    async fn prepare(&self, stop: &CancellationToken) -> bool {
        schema::wait_until_ready(&self.pool, &self.readiness, stop).await
    }

    async fn handle(&self, messages: Arc<Vec<Message>>, stop: &CancellationToken) -> Handled {
        let Ok(read) = self.read(Arc::clone(&messages)).await else {
            return Handled::GivenBack;
        };
        let rows = read.notifications.iter().flat_map(|notification| &notification.rows);
        let rows = rows.map(|(table, row)| (*table, row)).collect();
        let Some(refused) = self.write(Batch { rows, raw: &read.raw }, messages.len(), stop).await else {
            return Handled::GivenBack;
        };
        let mut outgoing: Vec<Outgoing> =
            refused.iter().filter_map(|refused| self.dead_letter(&messages, refused)).collect();
        self.count(&messages, &read.notifications);
        outgoing.extend(read.notifications.into_iter().flat_map(|notification| notification.outgoing));
        Handled::Done(outgoing)
    }
}

/// A batch as read.
struct Read {
    notifications: Vec<Notification>,
    raw: Vec<RawNotification>,
}

/// What PostgreSQL refuses, and why.
struct Refused<'a> {
    what: Refusal<'a>,
    error: String,
}

enum Refusal<'a> {
    /// A row of the table at this place of the registry.
    Row(usize, &'a Row),
    /// A notification as it was received.
    Raw(&'a RawNotification),
}

impl SummariesHandler {
    /// Reads on a thread of its own, as it keeps a core busy. Fails only when the program is being torn down or
    /// has no memory left.
    async fn read(&self, messages: Arc<Vec<Message>>) -> io::Result<Read> {
        let registry = Arc::clone(&self.registry);
        let keyring = Arc::clone(&self.keyring);
        let raw_notifications = self.raw_notifications;
        tokio::task::spawn_blocking(move || {
            let raw_is_kept = raw_notifications != RawNotifications::NotKept;
            let notifications =
                messages.iter().map(|message| read_alone(&registry, message, raw_is_kept)).collect();
            let kept: &[Message] = if raw_notifications == RawNotifications::Kept { &messages } else { &[] };
            let raw = kept.iter().map(|message| RawNotification::seal(message, &keyring));
            Ok(Read { notifications, raw: raw.collect::<io::Result<_>>()? })
        })
        .await?
    }

    /// Writes `batch`, in halves where it must be. Returns the rows that PostgreSQL refuses; nothing if
    /// the database stayed away, or `stop` came first.
    async fn write<'a>(
        &self,
        batch: Batch<'a>,
        messages: usize,
        stop: &CancellationToken,
    ) -> Option<Vec<Refused<'a>>> {
        let mut refused = Vec::new();
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.write_when_possible(&part, messages, stop).await? {
                Ok(()) => {}
                Err(error) => match part.halves() {
                    Some((left, right)) => parts.extend([left, right]),
                    None => {
                        let error = with_causes(&error);
                        refused.extend(part.refusal().map(|what| Refused { what, error }));
                    }
                },
            }
        }
        Some(refused)
    }

    /// Writes `batch` as soon as the database can take it. The error is that of a row's data.
    async fn write_when_possible(
        &self,
        batch: &Batch<'_>,
        messages: usize,
        stop: &CancellationToken,
    ) -> Option<Result<(), StoreError>> {
        let store = Store { pool: &self.pool, registry: &self.registry, raw: &self.raw };
        let give_back = Instant::now() + LONGEST_HOLD;
        let mut backoff = database_backoff();
        loop {
            let begun = Instant::now();
            match store.write(batch).await {
                Ok(outcomes) => {
                    self.metrics.committed(begun.elapsed());
                    self.readiness.ready(DATABASE);
                    self.count_outcomes(&outcomes);
                    return Some(Ok(()));
                }
                Err(error @ StoreError::Data(_)) => return Some(Err(error)),
                Err(error @ StoreError::Unavailable(_)) => {
                    let reason = with_causes(&error);
                    tracing::warn!("a batch waits: {reason}");
                    self.metrics.retried(Lane::Summaries, messages);
                    self.readiness.not_ready(DATABASE, reason);
                }
            }
            if Instant::now() > give_back || !backoff.pause(stop).await {
                return None;
            }
        }
    }

    fn dead_letter(&self, messages: &[Message], refused: &Refused<'_>) -> Option<Outgoing> {
        let message_id = match refused.what {
            Refusal::Row(_, row) => row.version.message_id,
            Refusal::Raw(raw) => raw.message_id(),
        };
        let message = messages.iter().find(|message| message.envelope.message_id == message_id)?;
        let reason = Reason::RefusedByDatabase;
        match refused.what {
            Refusal::Row(table, row) => {
                self.metrics.rejected(self.registry.tables()[table].summary_type.key, 1);
                notification::dead_entry(message, row.version.entry_index, reason, &refused.error)
            }
            Refusal::Raw(_) => Some(message.dead(reason, &refused.error)),
        }
    }

    fn count_outcomes(&self, outcomes: &[Outcomes]) {
        for (table, outcomes) in self.registry.tables().iter().zip(outcomes) {
            self.metrics.summaries(table.summary_type.key, *outcomes);
        }
    }

    fn count(&self, messages: &[Message], notifications: &[Notification]) {
        for (message, notification) in messages.iter().zip(notifications) {
            self.metrics.lag(&message.envelope.endpoint, message.envelope.received_at);
            notification.kept_raw.iter().for_each(|(key, count)| self.metrics.kept_raw(key, *count));
            notification.rejected.iter().for_each(|(key, count)| self.metrics.rejected(key, *count));
            let unknown = notification.unknown_fields.iter();
            unknown.for_each(|(key, count)| self.metrics.fields_unknown(key, *count));
        }
    }
}

impl<'a> Batch<'a> {
    /// Two batches that hold what this one does, unless it is a single row or notification.
    fn halves(&self) -> Option<(Batch<'a>, Batch<'a>)> {
        match (self.rows.len(), self.raw.len()) {
            (1, 0) | (0, 0 | 1) => None,
            (0, count) => {
                let (left, right) = self.raw.split_at(count / 2);
                Some((Batch { rows: vec![], raw: left }, Batch { rows: vec![], raw: right }))
            }
            (count, _) => {
                let (left, right) = self.rows.split_at(count / 2);
                let left = Batch { rows: left.to_vec(), raw: self.raw };
                Some((left, Batch { rows: right.to_vec(), raw: &[] }))
            }
        }
    }

    /// The single row or notification that it is.
    fn refusal(&self) -> Option<Refusal<'a>> {
        let row = self.rows.first().map(|(table, row)| Refusal::Row(*table, row));
        row.or_else(|| self.raw.first().map(Refusal::Raw))
    }
}

/// A defect that panics over one message becomes that message's dead letter.
fn read_alone(registry: &Registry, message: &Message, raw_is_kept: bool) -> Notification {
    catch_unwind(AssertUnwindSafe(|| notification::read(registry, message, raw_is_kept))).unwrap_or_else(
        |_| {
            let dead = message.dead(Reason::Panic, "reading the message failed by a defect of Apollo's");
            Notification { outgoing: vec![dead], ..Notification::default() }
        },
    )
}
