//! The worker's metrics (design.md section 7), in one structure.

mod series;

use crate::account::Event;
use crate::backfill::State;
use crate::files::Kept;
use crate::garmin::Call;
use crate::message::{Destination, Outgoing};
use crate::summaries::batch::Outcomes;
use crate::summaries::body::UNKNOWN;
use apollo_shared::admin::Readiness;
use apollo_shared::envelope::Microseconds;
use apollo_shared::metrics::Families;
use apollo_shared::topology::Lane;
use prometheus::core::Collector as _;
use prometheus::{GaugeVec, Histogram, IntCounterVec, IntGauge, Registry};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// All of them. No label ever holds a user's id.
#[derive(Debug)]
pub struct Metrics {
    /// Where they are registered.
    pub registry: Registry,
    families: Families,
    messages: IntCounterVec,
    summaries: IntCounterVec,
    fields_unknown: IntCounterVec,
    batch_messages: Histogram,
    commit_seconds: Histogram,
    lag_seconds: Histogram,
    dead_letters: IntCounterVec,
    garmin_requests: IntCounterVec,
    accounts: IntCounterVec,
    callbacks: IntCounterVec,
    activity_files: IntCounterVec,
    last_notification: GaugeVec,
    backfill_ranges: GaugeVec,
    housekeeping: IntGauge,
    raw_partitions_until: IntGauge,
}

/// Powers of two up to the largest batch that configuration allows in practice.
const BATCH_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// From a lone row (a millisecond) to a database in trouble.
const COMMIT_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// From an idle system to a backlog of a week, which is how long Garmin keeps what it could not deliver. Below a minute no
/// bound is more than twice the one before, mostly half as much again, so that a quantile read from it is near the truth.
const LAG_BUCKETS: [f64; 32] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 300.0, 3600.0, 86400.0, 604_800.0,
];

impl Metrics {
    /// Those of a command, which nobody scrapes.
    ///
    /// # Errors
    /// None in practice: the names are constant and distinct.
    pub fn new() -> prometheus::Result<Self> {
        Self::of(&Readiness::default())
    }

    /// Those of a service, which show its readiness too.
    ///
    /// # Errors
    /// As [`Metrics::new`].
    pub fn of(readiness: &Readiness) -> prometheus::Result<Self> {
        let mut families = Families::new(env!("CARGO_PKG_VERSION"), readiness)?;
        Ok(Self {
            messages: families.counters(
                "apollo_worker_messages_total",
                "Messages by their end: stored, dead (as a whole), retried (an attempt that failed).",
                ["lane", "outcome"],
                series::messages(),
            )?,
            summaries: families.counters(
                "apollo_worker_summaries_total",
                "Entries of notifications by type and outcome: created, updated, unchanged, stale, rejected \
                 (now a dead letter), raw (kept in garmin_raw only, as no table takes them), withdrawn (kept nowhere, \
                 as their users have withdrawn).",
                ["type", "outcome"],
                series::summaries(),
            )?,
            fields_unknown: families.counters(
                "apollo_worker_fields_unknown_total",
                "Fields that Apollo does not know, kept in extra.",
                ["type"],
                series::types().map(|key| [key]),
            )?,
            batch_messages: families.histogram(
                "apollo_worker_batch_messages",
                "Messages stored in one transaction.",
                &BATCH_BUCKETS,
            )?,
            commit_seconds: families.histogram(
                "apollo_worker_commit_seconds",
                "From the begin of a batch's transaction to the end of its commit.",
                &COMMIT_BUCKETS,
            )?,
            lag_seconds: families.histogram(
                "apollo_worker_lag_seconds",
                "From a notification's arrival at the receiver, or its fetch from Garmin, to the commit that stored it.",
                &LAG_BUCKETS,
            )?,
            dead_letters: families.counters(
                "apollo_worker_dead_letters_total",
                "Dead letters published, by reason; `apollo-worker dead-letters --help` explains each.",
                ["lane", "reason"],
                series::dead_letters(),
            )?,
            garmin_requests: families.counters(
                "apollo_garmin_requests_total",
                "Requests to Garmin by call and HTTP status; error: no answer, or not a whole one.",
                ["call", "status"],
                series::garmin_requests(),
            )?,
            accounts: families.counters(
                "apollo_worker_accounts_total",
                "What became of consents (linked, subject_taken, account_taken, declined, failed), deregistrations \
                 and permissions changes (believed, confirmed, refuted, refused: Garmin was asked where it could be) \
                 and refreshes of tokens (renewed, ended, failed).",
                ["event", "outcome"],
                series::accounts(),
            )?,
            callbacks: families.counters(
                "apollo_worker_callbacks_total",
                "What became of pings by type: fetched, repeated (the URL came before), gone (used before, or too \
                 old), not_permitted (by the user), withdrawn, waiting (to be tried again), failed (a dead letter).",
                ["type", "outcome"],
                series::callbacks(),
            )?,
            activity_files: families.counters(
                "apollo_worker_activity_files_total",
                "Activity files fetched, by what they are and outcome: parsed, kept (no FIT file), unreadable (kept), \
                 stale (a newer one is stored), withdrawn (not kept, as the user has withdrawn).",
                ["media", "outcome"],
                series::activity_files(),
            )?,
            last_notification: families.gauges(
                "apollo_last_notification_timestamp_seconds",
                "When the newest notification of this type that this worker has stored was received, in Unix seconds.",
                &["type"],
            )?,
            backfill_ranges: families.gauges(
                "apollo_backfill_ranges",
                "Ranges of history by state, as of the last minute; every worker of the lane pull tells the same.",
                &["state"],
            )?,
            housekeeping: families.gauge(
                "apollo_worker_housekeeping_timestamp_seconds",
                "When this worker last deleted all that was due (raw notifications, consents, callback URLs), in Unix \
                 seconds; each worker does it every hour. 0 until it has succeeded.",
            )?,
            raw_partitions_until: families.gauge(
                "apollo_worker_raw_partitions_until_timestamp_seconds",
                "The end of the newest partition of garmin_raw that this worker has made or found, in Unix seconds: the \
                 end of tomorrow if all is well. 0 until it has looked, and while raw notifications are not kept.",
            )?,
            registry: families.registry().clone(),
            families,
        })
    }

    /// Every metric with its type, labels and meaning, as a Markdown table.
    #[must_use]
    pub fn table(&self) -> String {
        self.families.to_string()
    }

    /// A batch has been acknowledged: so many of its messages were stored, so many have become dead letters as
    /// a whole.
    pub fn acknowledged(&self, lane: Lane, stored: usize, dead: usize) {
        self.messages.with_label_values(&[lane.name(), "stored"]).inc_by(stored as u64);
        self.messages.with_label_values(&[lane.name(), "dead"]).inc_by(dead as u64);
        self.batch_messages.observe((stored + dead) as f64);
    }

    /// An attempt to store a batch failed and will be repeated.
    pub fn retried(&self, lane: Lane, messages: usize) {
        self.messages.with_label_values(&[lane.name(), "retried"]).inc_by(messages as u64);
    }

    /// Entries of a type came to an end.
    pub fn summaries(&self, key: &str, outcomes: Outcomes) {
        for (outcome, count) in [
            ("created", outcomes.created),
            ("updated", outcomes.updated),
            ("unchanged", outcomes.unchanged),
            ("stale", outcomes.stale),
        ] {
            self.summaries.with_label_values(&[key, outcome]).inc_by(count);
        }
    }

    /// Entries became dead letters.
    pub fn rejected(&self, key: &str, count: u64) {
        self.summaries.with_label_values(&[key, "rejected"]).inc_by(count);
    }

    /// Entries that no table takes are kept in the raw notification only.
    pub fn kept_raw(&self, key: &str, count: u64) {
        self.summaries.with_label_values(&[key, "raw"]).inc_by(count);
    }

    /// Entries of users who have withdrawn were kept nowhere.
    pub fn withdrawn(&self, key: &str, count: u64) {
        self.summaries.with_label_values(&[key, "withdrawn"]).inc_by(count);
    }

    /// How many entries came to which end so far, by type and outcome.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<(String, String), u64> {
        let families = self.summaries.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        metrics
            .map(|metric| {
                let label = |name| metric.get_label().iter().find(|label| label.name() == name);
                let value = |name| label(name).map(|label| label.value().to_owned()).unwrap_or_default();
                ((value("type"), value("outcome")), metric.get_counter().get_value() as u64)
            })
            .collect()
    }

    /// Something about an account came to an end.
    pub(crate) fn account(&self, event: Event, outcome: &str) {
        self.accounts.with_label_values(&[event.name(), outcome]).inc();
    }

    /// A ping was followed, and this came of it.
    pub(crate) fn callback(&self, key: &str, outcome: &str) {
        self.callbacks.with_label_values(&[key, outcome]).inc();
    }

    /// A file came to an end.
    pub(crate) fn activity_file(&self, kept: Kept) {
        self.activity_files.with_label_values(&[kept.media.name(), kept.outcome.name()]).inc();
    }

    /// Garmin was asked, and has answered with `status` if at all.
    pub fn asked_garmin(&self, call: Call, status: Option<u16>) {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.garmin_requests.with_label_values(&[call.name(), &status]).inc();
    }

    /// So many ranges of history are in this state.
    pub fn backfill_ranges(&self, state: State, ranges: i64) {
        self.backfill_ranges.with_label_values(&[state.name()]).set(ranges as f64);
    }

    /// Everything that was due has been deleted.
    pub fn housekept(&self, now: OffsetDateTime) {
        self.housekeeping.set(now.unix_timestamp());
    }

    /// There are partitions for raw notifications until then.
    pub fn raw_partitions_until(&self, end: OffsetDateTime) {
        self.raw_partitions_until.set(end.unix_timestamp());
    }

    /// Unknown fields were kept in `extra`.
    pub fn fields_unknown(&self, key: &str, count: u64) {
        self.fields_unknown.with_label_values(&[key]).inc_by(count);
    }

    /// A transaction took this long.
    pub fn committed(&self, elapsed: Duration) {
        self.commit_seconds.observe(elapsed.as_secs_f64());
    }

    /// How many transactions have been committed so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commit_seconds.get_sample_count()
    }

    /// How many entries of a type the database has taken so far.
    #[must_use]
    pub fn taken(&self, key: &str) -> u64 {
        let outcomes = ["created", "updated", "unchanged", "stale"].into_iter();
        outcomes.map(|outcome| self.summaries.with_label_values(&[key, outcome]).get()).sum()
    }

    /// A notification that arrived at `received_at` is stored now.
    pub fn lag(&self, endpoint: &str, received_at: Microseconds) {
        let lag = Microseconds::now().0 - received_at.0;
        self.lag_seconds.observe(lag.max(0) as f64 / 1e6);
        let known = apollo_shared::endpoint::Endpoint::of_key(endpoint);
        let last = self.last_notification.with_label_values(&[known.map_or(UNKNOWN, |known| known.key)]);
        last.set(last.get().max(received_at.0 as f64 / 1e6));
    }

    /// A message has been published, and confirmed.
    pub fn published(&self, lane: Lane, outgoing: &Outgoing) {
        match &outgoing.destination {
            Destination::Dead { reason, .. } => {
                self.dead_letters.with_label_values(&[lane.name(), reason.name()]).inc();
            }
            Destination::Retry { .. } => self.retried(lane, 1),
            Destination::Lane { .. } | Destination::Receivers => {}
        }
    }
}
