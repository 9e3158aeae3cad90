//! What a worker knows of itself: from its metrics, its readiness, and what its lanes have in hand.

use super::figures::{LaneFigures, LaneState, OfWorker};
use super::recent::{INTERVAL, Recent, Snapshot, label, metrics};
use crate::lane::InHand;
use apollo_shared::admin::Readiness;
use apollo_shared::topology::Lane;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use time::OffsetDateTime;

/// What one worker knows of itself, and has known of late.
#[derive(Debug)]
pub struct Own {
    registry: Registry,
    readiness: Readiness,
    in_hand: InHand,
    /// The lanes whose messages it takes, and those that it would take if it could ask Garmin.
    served: BTreeMap<&'static str, LaneState>,
    started_at: OffsetDateTime,
    recent: Mutex<Recent>,
}

impl Own {
    /// Of a worker that starts now; lanes that `served` does not name are left to others.
    #[must_use]
    pub fn new(
        registry: Registry,
        readiness: Readiness,
        in_hand: InHand,
        served: impl IntoIterator<Item = (Lane, LaneState)>,
    ) -> Self {
        let served = served.into_iter().map(|(lane, state)| (lane.name(), state)).collect();
        let recent = Mutex::new(Recent::starting(Instant::now()));
        Self { registry, readiness, in_hand, served, started_at: OffsetDateTime::now_utc(), recent }
    }

    /// Takes snapshots of the counters, for ever.
    pub async fn watch(&self) -> Infallible {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            let snapshot = Snapshot::of(&self.registry.gather(), Instant::now());
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).add(snapshot);
        }
    }

    /// How it is now.
    #[must_use]
    pub fn look(&self) -> OfWorker {
        let families = self.registry.gather();
        let now = Snapshot::of(&families, Instant::now());
        let not_ready = self.readiness.by_component();
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = |lane: Lane| {
            let (batches_in_hand, messages_in_hand) = self.in_hand.of(lane);
            LaneFigures {
                lane: lane.name().to_owned(),
                state: self.state(lane, &not_ready),
                batches_in_hand,
                messages_in_hand,
                messages_per_second: recent.messages_per_second(lane.name(), &now),
            }
        };
        OfWorker {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            lanes: Lane::ALL.into_iter().map(lane).collect(),
            lag: recent.lag(&now),
            dead_letters: dead_letters(&families),
            newest: newest(&families),
            not_ready: not_ready.into_iter().map(|(name, reason)| (name.to_owned(), reason)).collect(),
        }
    }

    /// A lane that has connected still waits for what all lanes need: the database, and the worker's own start.
    fn state(&self, lane: Lane, not_ready: &BTreeMap<&'static str, String>) -> LaneState {
        let of_others =
            |component: &str| Lane::ALL.iter().any(|other| other.name() == component && *other != lane);
        match self.served.get(lane.name()) {
            None => LaneState::NotServed,
            Some(LaneState::Ready) if not_ready.keys().any(|component| !of_others(component)) => {
                LaneState::NotReady
            }
            Some(state) => *state,
        }
    }
}

fn dead_letters(families: &[MetricFamily]) -> BTreeMap<String, u64> {
    let mut letters = BTreeMap::new();
    for metric in metrics(families, "apollo_worker_dead_letters_total") {
        let count = metric.get_counter().get_value() as u64;
        *letters.entry(label(metric, "reason").to_owned()).or_default() += count;
    }
    letters.retain(|_, count| *count > 0);
    letters
}

fn newest(families: &[MetricFamily]) -> BTreeMap<String, f64> {
    metrics(families, "apollo_last_notification_timestamp_seconds")
        .map(|metric| (label(metric, "type").to_owned(), metric.get_gauge().get_value()))
        .filter(|(_, seconds)| *seconds > 0.0)
        .collect()
}
