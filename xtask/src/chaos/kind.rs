//! The kinds of faults: one line each.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// SIGKILL, or for PostgreSQL an immediate shutdown; started again afterwards.
    Kill,
    /// Asked to stop, as an operator does; started again afterwards.
    Stop,
    /// SIGSTOP, and SIGCONT afterwards.
    Freeze,
    /// Every piece that passes the link waits.
    Delay,
    /// The link becomes narrow.
    Throttle,
    /// The link holds everything back.
    Blackhole,
    /// The link's connections are closed and new ones are not taken.
    Refuse,
    /// The link's connections are closed; new ones are taken.
    Cut,
    /// The link's connections are forgotten: they stay open, and nothing passes any more.
    Lose,
    /// The broker thinks that it has too little memory.
    AlarmMemory,
    /// The broker thinks that its disk is nearly full.
    AlarmDisk,
    /// The first receiver's disk is full, while it does not reach the broker.
    FillDisk,
    /// No more files and connections can be opened.
    ExhaustDescriptors,
    /// The configuration is read again.
    Reload,
    /// The database takes no writes, as the old primary after a failover.
    ReadOnly,
}

/// To what it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Receiver,
    Worker,
    Broker,
    Database,
    Edge,
    Link,
}

/// A kind of faults.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// For people.
    pub(super) about: &'static str,
    pub(super) action: Action,
    pub(super) target: Target,
    /// How long, in milliseconds; mostly nearer to the least. What makes a taker of requests stand still stays well below the 30 s after which Garmin
    /// gives a request up: taken up by the receiver only after Garmin has sent its successor, it would be a later
    /// arrival of older content, which rightly wins where only the time of arrival counts.
    pub(super) lasts: RangeInclusive<u64>,
}

const fn kind(
    name: &'static str,
    action: Action,
    target: Target,
    lasts: RangeInclusive<u64>,
    about: &'static str,
) -> Kind {
    Kind { name, about, action, target, lasts }
}

/// All kinds.
pub(super) static KINDS: [Kind; 26] = [
    kind("receiver-kill", Action::Kill, Target::Receiver, 200..=3_000, "kill -9 a receiver"),
    kind("receiver-restart", Action::Stop, Target::Receiver, 100..=1_000, "restart a receiver (SIGTERM)"),
    kind("receiver-freeze", Action::Freeze, Target::Receiver, 1_000..=10_000, "SIGSTOP a receiver"),
    kind(
        "receiver-descriptors",
        Action::ExhaustDescriptors,
        Target::Receiver,
        1_000..=10_000,
        "a receiver runs out of file descriptors",
    ),
    kind("worker-kill", Action::Kill, Target::Worker, 200..=3_000, "kill -9 a worker"),
    kind("worker-restart", Action::Stop, Target::Worker, 100..=1_000, "restart a worker (SIGTERM)"),
    kind("worker-freeze", Action::Freeze, Target::Worker, 1_000..=20_000, "SIGSTOP a worker"),
    kind(
        "worker-descriptors",
        Action::ExhaustDescriptors,
        Target::Worker,
        1_000..=12_000,
        "a worker runs out of file descriptors",
    ),
    kind("broker-kill", Action::Kill, Target::Broker, 200..=2_000, "kill -9 RabbitMQ"),
    kind("broker-stop", Action::Stop, Target::Broker, 1_000..=15_000, "stop RabbitMQ for a while"),
    kind("broker-freeze", Action::Freeze, Target::Broker, 1_000..=15_000, "SIGSTOP RabbitMQ"),
    kind(
        "broker-memory-alarm",
        Action::AlarmMemory,
        Target::Broker,
        1_000..=15_000,
        "RabbitMQ blocks publishers, short of memory",
    ),
    kind(
        "broker-disk-alarm",
        Action::AlarmDisk,
        Target::Broker,
        1_000..=15_000,
        "RabbitMQ blocks publishers, short of disk",
    ),
    kind("database-kill", Action::Kill, Target::Database, 100..=2_000, "PostgreSQL crashes"),
    kind("database-stop", Action::Stop, Target::Database, 1_000..=15_000, "stop PostgreSQL for a while"),
    kind("database-freeze", Action::Freeze, Target::Database, 1_000..=15_000, "SIGSTOP PostgreSQL"),
    kind(
        "database-read-only",
        Action::ReadOnly,
        Target::Database,
        1_000..=12_000,
        "PostgreSQL takes no writes",
    ),
    kind("edge-freeze", Action::Freeze, Target::Edge, 1_000..=6_000, "SIGSTOP nginx"),
    kind("edge-reload", Action::Reload, Target::Edge, 100..=1_000, "nginx reads its configuration again"),
    kind("link-delay", Action::Delay, Target::Link, 1_000..=30_000, "a link is slow to answer"),
    kind("link-throttle", Action::Throttle, Target::Link, 1_000..=30_000, "a link is narrow"),
    kind(
        "link-blackhole",
        Action::Blackhole,
        Target::Link,
        1_000..=30_000,
        "a link passes nothing for a while",
    ),
    kind("link-refuse", Action::Refuse, Target::Link, 1_000..=15_000, "a link is down"),
    kind("link-cut", Action::Cut, Target::Link, 100..=1_000, "a link's connections are closed"),
    kind("link-lose", Action::Lose, Target::Link, 3_000..=30_000, "a link forgets its connections"),
    kind(
        "disk-full",
        Action::FillDisk,
        Target::Receiver,
        2_000..=12_000,
        "a receiver cannot spool: its disk is full",
    ),
];

/// The kinds of these names; all of them for none.
///
/// # Errors
/// There is no such kind.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static Kind>> {
    if names.is_empty() {
        return Ok(KINDS.iter().collect());
    }
    let named = names.iter().map(|name| match KINDS.iter().find(|kind| kind.name == name) {
        Some(kind) => Ok(kind),
        None => bail!("there is no fault {name}: `cargo xtask chaos --list-faults` lists them"),
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_an_error_that_says_where_the_right_ones_are() {
        assert_eq!(named(&["edge-reload".to_owned()]).unwrap()[0].action, Action::Reload);
        let error = named(&["flood".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("flood") && error.contains("--list-faults"), "{error}");
    }

    #[test]
    fn whoever_takes_requests_stands_still_for_less_than_garmin_waits() {
        let takers = KINDS.iter().filter(|kind| matches!(kind.target, Target::Receiver | Target::Edge));
        for kind in takers.filter(|kind| matches!(kind.action, Action::Freeze | Action::ExhaustDescriptors)) {
            assert!(*kind.lasts.end() < 30_000 / 2, "{}", kind.name);
        }
    }
}
