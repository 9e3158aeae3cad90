//! What operators are told, as `/status.json` tells it. No figure is about one participant.

use crate::store::status::{Notifications, Users};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A part that was asked for by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Part<T> {
    /// What it said.
    Known(T),
    /// It did not say.
    Unknown {
        /// Why not.
        unknown: String,
    },
}

impl<T> Part<T> {
    /// What it said, if it did.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// Everything, as of one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What needs a person; nothing if all is well.
    pub needs: Vec<Need>,
    /// The program that asks.
    pub program: Program,
    /// The broker's queues.
    pub queues: Part<Vec<Queue>>,
    /// The worker whose page this is, or that answers the command.
    pub worker: Part<OfWorker>,
    /// The version of the database's schema; 0 for an empty database.
    pub schema: Part<i64>,
    /// How many users there are, by what is heard of them.
    pub users: Part<Users>,
    /// When notifications were received.
    pub notifications: Part<Notifications>,
    /// The history that is asked for.
    pub history: Part<History>,
}

/// Something that does not get well by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The program that asks.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The version of the schema that it knows.
    pub schema: i64,
}

/// One of the broker's queues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Messages that are not handed out to a consumer; none if there is no such queue.
    pub waiting: Option<u32>,
    /// Consumers of all workers.
    pub consumers: u32,
    /// By how many messages a second it has grown of late; none before a second look.
    pub growth_per_second: Option<f64>,
}

/// What one worker knows of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfWorker {
    /// Its version.
    pub version: String,
    /// When it was started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// What keeps it from doing its work, by component.
    pub not_ready: BTreeMap<String, String>,
    /// Its lanes.
    pub lanes: Vec<LaneFigures>,
    /// How long notifications took to be stored.
    pub lag: Lag,
    /// Dead letters that it has made since its start, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// When the newest notification of each type that it has stored was received, in Unix seconds.
    pub newest: BTreeMap<String, f64>,
}

/// A lane of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneFigures {
    /// Its name.
    pub lane: String,
    /// How it is.
    pub state: LaneState,
    /// Batches that are being stored.
    pub batches_in_hand: usize,
    /// Messages in these.
    pub messages_in_hand: usize,
    /// Messages that came to their end, a second, in the last minute.
    pub messages_per_second: f64,
}

/// Whether a lane works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// It takes what comes.
    Ready,
    /// It would, but cannot now.
    NotReady,
    /// This worker leaves it to others.
    NotServed,
    /// Its messages wait, as the worker has no consumer key of Garmin's.
    WithoutGarmin,
}

/// How long notifications took from their arrival to the commit that stored them, in the last minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// How many minutes these are, in seconds.
    pub window_seconds: f64,
    /// How many notifications were stored in them.
    pub notifications: u64,
    /// Half of them took no longer, in seconds.
    pub p50_seconds: Option<f64>,
    /// 99 in 100 took no longer, in seconds.
    pub p99_seconds: Option<f64>,
}

/// The history that is asked for.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// How many ranges there are, by state.
    pub ranges: BTreeMap<String, i64>,
    /// Until when no worker asks Garmin, as Garmin wants it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paused_until: Option<OffsetDateTime>,
}
