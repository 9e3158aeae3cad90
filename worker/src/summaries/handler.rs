//! What the lane of summaries does with a batch of notifications.
//!
//! All of a batch is read first, then written in one transaction, over and over while the database is away.
//! When a row's data makes the transaction fail, or takes too long, the batch is halved until the row is found; halves
//! may be written one after the other, as their order does not matter (design.md, law 3).
//! Whether a user has withdrawn is known for sure only inside of that transaction (law 6). It is seldom so, hence a
//! batch is read as if nobody had, and what belongs to those who have is taken out when the store says so.

use super::Registry;
use super::batch::{Outcomes, Row};
use super::notification;
use super::reading::{Read, Reader};
use crate::lane::{Handled, Handler};
use crate::message::{Message, Outgoing, Reason};
use crate::metrics::Metrics;
use crate::store::error::StoreError;
use crate::store::raw::{RawNotification, RawStore};
use crate::store::withdrawals::{Present, Withdrawn};
use crate::store::{Batch, DATABASE, Store, Written, database_backoff, schema};
use crate::trace;
use apollo_shared::admin::Readiness;
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::traces::{self, SpanKind};
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use sqlx::PgPool;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a batch is held while the database is away, before it goes back to its queue: well below the
/// half hour after which RabbitMQ takes a consumer that acknowledges nothing for stuck.
const LONGEST_HOLD: Duration = Duration::from_secs(1200);

/// How long reading a batch may take where no setting says otherwise.
pub const READING_LIMIT: Duration = Duration::from_secs(60);

/// Attempts at a single row that PostgreSQL did not get done with in time, before it becomes a dead letter.
const ROW_ATTEMPTS: u32 = 3;

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
    /// How long reading a batch may take. It cannot be ended but with the program.
    pub reading_limit: Duration,
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
        // They end with this, at the commit.
        let mut spans = trace::messages("store", &messages);
        let reading = self.reader().read(Arc::clone(&messages));
        let Some(mut reads) = self.in_time(&messages, reading).await else {
            return Handled::Stuck;
        };
        loop {
            let withdrawn = match self.write(&batch(&messages, &reads), messages.len(), stop).await {
                None => {
                    spans.iter_mut().for_each(|span| span.fail("given-back"));
                    return Handled::GivenBack;
                }
                Some(Attempt::Written(refused)) => {
                    let dead =
                        refused.iter().filter_map(|refused| self.dead_letter(&messages, &reads, refused));
                    let dead: Vec<Outgoing> = dead.collect();
                    return Handled::Done(self.finish(&messages, reads, dead));
                }
                Some(Attempt::Withdrawn(withdrawn)) => withdrawn,
            };
            let reading = self.reader().read_without(withdrawn, Arc::clone(&messages), reads);
            match self.in_time(&messages, reading).await {
                Some(rest) => reads = rest,
                None => return Handled::Stuck,
            }
        }
    }
}

/// What came of an attempt to write a batch.
enum Attempt<'a> {
    /// It is written, but for what PostgreSQL refuses.
    Written(Vec<Refused<'a>>),
    /// It holds entries of users who have withdrawn.
    Withdrawn(Vec<Withdrawn>),
}

/// What PostgreSQL refuses, and why.
struct Refused<'a> {
    what: Refusal<'a>,
    reason: Reason,
    error: String,
}

/// A part of a batch that is still to be written.
struct Pending<'a> {
    batch: Batch<'a>,
    /// How often PostgreSQL did not get done with it, as a single row.
    timed_out: u32,
    /// How many of its kind had got through when that happened for the first time.
    others: u64,
}

enum Refusal<'a> {
    /// A row of the table at this place of the registry.
    Row(usize, &'a Row),
    /// A notification as it was received.
    Raw(&'a RawNotification),
}

impl SummariesHandler {
    /// What reading gives; nothing, and a line in the log, if it does not end.
    async fn in_time<T>(
        &self,
        messages: &[Message],
        reading: impl Future<Output = io::Result<T>>,
    ) -> Option<T> {
        let mut span = traces::child(SpanKind::Internal, "read");
        let error = match tokio::time::timeout(self.reading_limit, reading).await {
            Ok(Ok(read)) => return Some(read),
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("no end after {} s", self.reading_limit.as_secs()),
        };
        span.fail("stuck");
        let named: Vec<String> = messages.iter().map(|message| message.envelope.to_string()).collect();
        tracing::error!("reading failed: {error}; it is one of: {}", named.join(", "));
        None
    }

    fn reader(&self) -> Reader {
        Reader {
            registry: Arc::clone(&self.registry),
            keyring: Arc::clone(&self.keyring),
            raw_notifications: self.raw_notifications,
        }
    }

    /// Writes `batch`, in halves where it must be. Nothing if the database stayed away, or `stop` came first.
    async fn write<'a>(
        &self,
        batch: &Batch<'a>,
        messages: usize,
        stop: &CancellationToken,
    ) -> Option<Attempt<'a>> {
        let give_back = Instant::now() + LONGEST_HOLD;
        let mut backoff = database_backoff();
        let mut refused = Vec::new();
        let mut parts = VecDeque::from([Pending::new(batch.clone())]);
        while let Some(part) = parts.pop_back() {
            let error = match self.write_when_possible(&part.batch, messages, give_back, stop).await? {
                Ok(Written::Stored(outcomes)) => {
                    self.count_outcomes(&outcomes);
                    continue;
                }
                Ok(Written::Withdrawn(withdrawn)) => return Some(Attempt::Withdrawn(withdrawn)),
                Err(error) => error,
            };
            match (part.batch.halves(), &error) {
                (Some((left, right)), _) => parts.extend([left, right].map(Pending::new)),
                (None, StoreError::TimedOut(_)) if !self.is_at_fault(&part) => {
                    if Instant::now() > give_back || !backoff.pause(stop).await {
                        return None;
                    }
                    // After all others, so that it is seen whether these fare better.
                    let others = self.got_through(&part.batch);
                    parts.push_front(part.timed_out(others));
                }
                (None, _) => {
                    self.readiness.ready(DATABASE);
                    let (reason, error) = (reason(&error), with_causes(&error));
                    refused.extend(part.batch.refusal().map(|what| Refused { what, reason, error }));
                }
            }
        }
        Some(Attempt::Written(refused))
    }

    /// Whether a row, rather than the database, is to blame for yet another time-out: others got through meanwhile.
    fn is_at_fault(&self, row: &Pending<'_>) -> bool {
        row.timed_out + 1 >= ROW_ATTEMPTS && self.got_through(&row.batch) > row.others
    }

    /// How many of the same kind as a single row, or notification, the database has taken so far.
    fn got_through(&self, single: &Batch<'_>) -> u64 {
        match single.refusal() {
            Some(Refusal::Row(table, _)) => {
                self.metrics.taken(self.registry.tables()[table].summary_type.key)
            }
            Some(Refusal::Raw(_)) | None => self.metrics.commits(),
        }
    }

    /// Writes `batch` as soon as the database can take it. The error is that of a row's data, or it took too long.
    async fn write_when_possible(
        &self,
        batch: &Batch<'_>,
        messages: usize,
        give_back: Instant,
        stop: &CancellationToken,
    ) -> Option<Result<Written, StoreError>> {
        let store = Store { pool: &self.pool, registry: &self.registry, raw: &self.raw };
        let mut backoff = database_backoff();
        loop {
            let begun = Instant::now();
            let mut span = traces::child(SpanKind::Client, "write");
            span.set("db.system.name", "postgresql");
            span.set("apollo.rows", trace::count(batch.rows.len()));
            let written = store.write(batch).await;
            if let Err(error) = &written {
                span.fail(error.name());
            }
            drop(span);
            match written {
                Ok(written) => {
                    if let Written::Stored(_) = written {
                        self.metrics.committed(begun.elapsed());
                    }
                    self.readiness.ready(DATABASE);
                    return Some(Ok(written));
                }
                Err(error @ StoreError::Data(_)) => return Some(Err(error)),
                Err(error) => {
                    let reason = with_causes(&error);
                    tracing::warn!("a batch waits: {reason}");
                    self.metrics.retried(Lane::Summaries, messages);
                    self.readiness.not_ready(DATABASE, reason);
                    if let StoreError::TimedOut(_) = error {
                        return Some(Err(error));
                    }
                }
            }
            if Instant::now() > give_back || !backoff.pause(stop).await {
                return None;
            }
        }
    }

    fn dead_letter(&self, messages: &[Message], reads: &[Read], refused: &Refused<'_>) -> Option<Outgoing> {
        let message_id = match refused.what {
            Refusal::Row(_, row) => row.version.message_id,
            Refusal::Raw(raw) => raw.message_id(),
        };
        let place = messages.iter().position(|message| message.envelope.message_id == message_id)?;
        let message = reads.get(place)?.message(&messages[place]);
        let reason = refused.reason;
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

    /// Counts what came of a batch that is written. Returns what is to be published.
    fn finish(&self, messages: &[Message], reads: Vec<Read>, mut outgoing: Vec<Outgoing>) -> Vec<Outgoing> {
        for (message, Read { notification, withdrawn, .. }) in messages.iter().zip(reads) {
            self.metrics.lag(&message.envelope.endpoint, message.envelope.arrived());
            withdrawn.iter().for_each(|(key, count)| self.metrics.withdrawn(key, *count));
            notification.kept_raw.iter().for_each(|(key, count)| self.metrics.kept_raw(key, *count));
            notification.rejected.iter().for_each(|(key, count)| self.metrics.rejected(key, *count));
            let unknown = notification.unknown_fields.iter();
            unknown.for_each(|(key, count)| self.metrics.fields_unknown(key, *count));
            outgoing.extend(notification.outgoing);
            outgoing.extend(notification.accounts);
        }
        outgoing
    }
}

impl<'a> Pending<'a> {
    fn new(batch: Batch<'a>) -> Self {
        Self { batch, timed_out: 0, others: 0 }
    }

    /// The row once more, after a time-out.
    fn timed_out(self, others: u64) -> Self {
        let others = if self.timed_out == 0 { others } else { self.others };
        Self { timed_out: self.timed_out + 1, others, ..self }
    }
}

fn reason(error: &StoreError) -> Reason {
    match error {
        StoreError::TimedOut(_) => Reason::TimedOut,
        StoreError::Data(_) | StoreError::Unavailable(_) => Reason::RefusedByDatabase,
    }
}

/// What a batch brings into the database.
fn batch<'a>(messages: &[Message], reads: &'a [Read]) -> Batch<'a> {
    let rows = reads.iter().flat_map(|read| &read.notification.rows);
    let present = messages.iter().zip(reads).map(|(message, read)| Present {
        received_at: message.envelope.arrived(),
        user_ids: &read.notification.user_ids,
    });
    Batch {
        rows: rows.map(|(table, row)| (*table, row)).collect(),
        raw: reads.iter().filter_map(|read| read.raw.as_ref()).collect(),
        present: present.collect(),
    }
}

impl<'a> Batch<'a> {
    /// Two batches that hold what this one does, unless it is a single row or notification.
    fn halves(&self) -> Option<(Batch<'a>, Batch<'a>)> {
        match (self.rows.len(), self.raw.len()) {
            (1, 0) | (0, 0 | 1) => None,
            (0, count) => {
                let (left, right) = self.raw.split_at(count / 2);
                Some((self.part(&[], left), self.part(&[], right)))
            }
            (count, _) => {
                let (left, right) = self.rows.split_at(count / 2);
                Some((self.part(left, &self.raw), self.part(right, &[])))
            }
        }
    }

    fn part(&self, rows: &[(usize, &'a Row)], raw: &[&'a RawNotification]) -> Batch<'a> {
        Batch { rows: rows.to_vec(), raw: raw.to_vec(), present: self.present.clone() }
    }

    /// The single row or notification that it is.
    fn refusal(&self) -> Option<Refusal<'a>> {
        let row = self.rows.first().map(|(table, row)| Refusal::Row(*table, row));
        row.or_else(|| self.raw.first().map(|raw| Refusal::Raw(raw)))
    }
}
