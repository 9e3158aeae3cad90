//! What happens when: drawn from a seed, so that the same seed makes the same schedule.
//!
//! Faults come in rounds of one or two, after a short pause each. The kinds are dealt like cards, every one once before
//! any comes again.

use std::{fmt, time::Duration};

use fastrand::Rng;

use super::kind::{Action, Kind, Target};
use crate::stack::Traffic;

/// What stands between two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    ReceiverToBroker,
    WorkerToBroker,
    WorkerToDatabase,
}

/// A part of the system, by its place among its like from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Receiver(usize),
    Worker(usize),
    Broker,
    Database,
    Edge,
    /// Of one program, or of all.
    Link(Link, Option<usize>),
}

/// One fault.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: &'static Kind,
    pub(super) place: Place,
    /// After the round's begin.
    pub(super) begins: Duration,
    pub(super) lasts: Duration,
    /// What a link does meanwhile.
    pub(super) traffic: Traffic,
}

/// Faults of which the second begins while the first one lasts.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) pause: Duration,
    pub(super) faults: Vec<Fault>,
}

/// The rounds of a seed, without end.
pub(super) struct Schedule {
    random: Rng,
    kinds: Vec<&'static Kind>,
    deck: Vec<&'static Kind>,
    receivers: usize,
    workers: usize,
}

impl Schedule {
    /// For so many receivers and workers. There must be a kind.
    pub(super) fn new(seed: u64, kinds: Vec<&'static Kind>, receivers: usize, workers: usize) -> Self {
        Self { random: Rng::with_seed(seed), kinds, deck: Vec::new(), receivers, workers }
    }

    fn deal(&mut self) -> Option<&'static Kind> {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
            self.random.shuffle(&mut self.deck);
        }
        self.deck.pop()
    }

    fn draw(&mut self, kind: &'static Kind, begins: Duration) -> Fault {
        let place = self.place(kind);
        let lasts = self.lasts(kind);
        Fault { kind, place, begins, lasts, traffic: self.traffic(kind.action) }
    }

    /// Mostly short, so that much happens, and now and then long enough for time-outs to end.
    fn lasts(&mut self, kind: &Kind) -> Duration {
        let (least, most) = (*kind.lasts.start(), *kind.lasts.end());
        Duration::from_millis(least) + Duration::from_millis(most - least).mul_f64(self.random.f64().powi(3))
    }

    fn place(&mut self, kind: &Kind) -> Place {
        let random = &mut self.random;
        match kind.target {
            // Only the first one is on the small disk.
            Target::Receiver if kind.action == Action::FillDisk => Place::Receiver(0),
            Target::Receiver => Place::Receiver(random.usize(..self.receivers)),
            Target::Worker => Place::Worker(random.usize(..self.workers)),
            Target::Broker => Place::Broker,
            Target::Database => Place::Database,
            Target::Edge => Place::Edge,
            Target::Link => {
                let (link, ends) = match random.usize(..3) {
                    0 => (Link::ReceiverToBroker, self.receivers),
                    1 => (Link::WorkerToBroker, self.workers),
                    _ => (Link::WorkerToDatabase, self.workers),
                };
                Place::Link(link, random.bool().then(|| random.usize(..ends)))
            }
        }
    }

    fn traffic(&mut self, action: Action) -> Traffic {
        match action {
            Action::Delay => Traffic::Delay {
                latency: Duration::from_millis(self.random.u64(20..=400)),
                jitter: Duration::from_millis(self.random.u64(0..=200)),
            },
            Action::Throttle => Traffic::Throttle { bytes_per_second: self.random.u32(20_000..=500_000) },
            Action::Blackhole => Traffic::Blackhole,
            Action::Refuse => Traffic::Refuse,
            _ => Traffic::Pass,
        }
    }

    /// Another fault that begins while the first one lasts, in most rounds.
    fn second(&mut self, first: &Fault) -> Option<Fault> {
        if self.random.f64() < 0.3 {
            return None;
        }
        let kind = self.deal()?;
        let begins = first.lasts.mul_f64(self.random.f64());
        let second = self.draw(kind, begins);
        if first.contradicts(&second) {
            self.deck.push(kind);
            return None;
        }
        Some(second)
    }
}

impl Iterator for Schedule {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let kind = self.deal()?;
        let pause = Duration::from_millis(self.random.u64(100..=1_000));
        let first = self.draw(kind, Duration::ZERO);
        let second = self.second(&first);
        Some(Round { pause, faults: std::iter::once(first).chain(second).collect() })
    }
}

impl Fault {
    /// Whether the two cannot be at the same time: they are about the same part, or one is a restart in order, which is
    /// to be seen undisturbed.
    fn contradicts(&self, other: &Self) -> bool {
        let is_restart = |fault: &Self| {
            fault.kind.action == Action::Stop && matches!(fault.place, Place::Receiver(_) | Place::Worker(_))
        };
        is_restart(self)
            || is_restart(other)
            || self.holds().iter().any(|held| other.holds().iter().any(|other| held.meets(*other)))
    }

    /// The parts that it is about.
    fn holds(&self) -> Vec<Place> {
        match self.kind.action {
            Action::FillDisk | Action::ExhaustDescriptors => {
                let links =
                    self.place.links().into_iter().map(|(link, number)| Place::Link(link, Some(number)));
                links.chain([self.place]).collect()
            }
            _ => vec![self.place],
        }
    }
}

impl Place {
    /// What leads from a program to its servers.
    pub(super) fn links(self) -> Vec<(Link, usize)> {
        match self {
            Self::Receiver(number) => vec![(Link::ReceiverToBroker, number)],
            Self::Worker(number) => vec![(Link::WorkerToBroker, number), (Link::WorkerToDatabase, number)],
            _ => Vec::new(),
        }
    }

    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Link(link, one), Self::Link(other_link, another)) => {
                link == other_link && (one.is_none() || another.is_none() || one == another)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbered =
            |number: &Option<usize>| number.map(|number| format!("-{}", number + 1)).unwrap_or_default();
        match self {
            Self::Receiver(number) => write!(formatter, "receiver-{}", number + 1),
            Self::Worker(number) => write!(formatter, "worker-{}", number + 1),
            Self::Broker => write!(formatter, "RabbitMQ"),
            Self::Database => write!(formatter, "PostgreSQL"),
            Self::Edge => write!(formatter, "nginx"),
            Self::Link(Link::ReceiverToBroker, number) => {
                write!(formatter, "receiver{} to RabbitMQ", numbered(number))
            }
            Self::Link(Link::WorkerToBroker, number) => {
                write!(formatter, "worker{} to RabbitMQ", numbered(number))
            }
            Self::Link(Link::WorkerToDatabase, number) => {
                write!(formatter, "worker{} to PostgreSQL", numbered(number))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}, {:.1} s)", self.kind.name, self.place, self.lasts.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::chaos::kind::{KINDS, named};

    fn schedule(seed: u64) -> Schedule {
        Schedule::new(seed, named(&[]).unwrap(), 2, 3)
    }

    fn lines(seed: u64) -> Vec<String> {
        let rounds = schedule(seed).take(50);
        rounds.flat_map(|round| round.faults).map(|fault| format!("{:?} {fault}", fault.begins)).collect()
    }

    #[test]
    fn a_seed_makes_one_schedule_and_another_seed_another() {
        assert_eq!(lines(1), lines(1));
        assert_ne!(lines(1), lines(2));
    }

    #[test]
    fn every_kind_comes_once_before_any_comes_again() {
        for seed in 0..20 {
            let faults = schedule(seed).flat_map(|round| round.faults);
            let names: BTreeSet<_> = faults.take(KINDS.len()).map(|fault| fault.kind.name).collect();
            assert_eq!(names.len(), KINDS.len(), "seed {seed}");
        }
    }

    #[test]
    fn faults_of_a_round_never_share_a_part() {
        let mut pairs = 0;
        for round in schedule(3).take(500) {
            if let [first, second] = &round.faults[..] {
                assert!(!first.contradicts(second), "{first} and {second}");
                assert!(second.begins <= first.lasts);
                pairs += 1;
            }
        }
        assert!(pairs > 100, "{pairs} pairs");
    }

    #[test]
    fn a_link_of_all_programs_meets_that_of_each() {
        let link = |number| Place::Link(Link::WorkerToBroker, number);
        assert!(link(None).meets(link(Some(1))));
        assert!(!link(Some(0)).meets(link(Some(1))));
        assert!(!link(None).meets(Place::Link(Link::WorkerToDatabase, None)));
    }
}
