//! The series that the worker's counters show from the start, at zero: see [`apollo_shared::metrics`]. A value that is
//! missing here is counted all the same; only its first event is not seen by alerts.

use crate::account::Event;
use crate::files::{self, Media};
use crate::garmin::Call;
use crate::message::Reason;
use crate::summaries::body::UNKNOWN;
use apollo_shared::endpoint::ENDPOINTS;
use apollo_shared::topology::Lane;

type Pair = [&'static str; 2];

const MESSAGES: [&str; 3] = ["stored", "dead", "retried"];

const SUMMARIES: [&str; 7] = ["created", "updated", "unchanged", "stale", "rejected", "raw", "withdrawn"];

const CALLBACKS: [&str; 7] =
    ["fetched", "repeated", "gone", "not_permitted", "withdrawn", "waiting", "failed"];

/// What Garmin answers as a rule and when it is in trouble, and no answer.
const STATUSES: [&str; 5] = ["200", "429", "500", "503", "error"];

const ACCOUNTS: [(Event, &[&str]); 4] = [
    (Event::Consent, &["linked", "subject_taken", "account_taken", "declined", "failed"]),
    (Event::Deregistration, &["believed", "confirmed", "refuted"]),
    (Event::Permissions, &["believed", "confirmed", "refused"]),
    (Event::Refresh, &["renewed", "ended", "failed"]),
];

/// The types of summaries, and the label of all others.
pub(super) fn types() -> impl Iterator<Item = &'static str> {
    let of_summaries = ENDPOINTS.iter().filter(|endpoint| endpoint.lane == Lane::Summaries);
    of_summaries.map(|endpoint| endpoint.key).chain([UNKNOWN])
}

pub(super) fn messages() -> impl Iterator<Item = Pair> {
    pairs(lanes(), MESSAGES)
}

pub(super) fn summaries() -> impl Iterator<Item = Pair> {
    pairs(types(), SUMMARIES)
}

pub(super) fn dead_letters() -> impl Iterator<Item = Pair> {
    pairs(lanes(), Reason::ALL.map(Reason::name))
}

pub(super) fn garmin_requests() -> impl Iterator<Item = Pair> {
    pairs(Call::ALL.into_iter().map(Call::name), STATUSES)
}

pub(super) fn accounts() -> impl Iterator<Item = Pair> {
    ACCOUNTS
        .into_iter()
        .flat_map(|(event, outcomes)| outcomes.iter().map(move |outcome| [event.name(), outcome]))
}

pub(super) fn callbacks() -> impl Iterator<Item = Pair> {
    pairs(types(), CALLBACKS)
}

pub(super) fn activity_files() -> impl Iterator<Item = Pair> {
    pairs(Media::ALL.into_iter().map(Media::name), files::Outcome::ALL.map(files::Outcome::name))
}

fn lanes() -> impl Iterator<Item = &'static str> {
    Lane::ALL.into_iter().map(Lane::name)
}

fn pairs<const SECONDS: usize>(
    firsts: impl Iterator<Item = &'static str>,
    seconds: [&'static str; SECONDS],
) -> impl Iterator<Item = Pair> {
    firsts.flat_map(move |first| seconds.map(|second| [first, second]))
}
