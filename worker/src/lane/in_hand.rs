//! What the lanes have in hand: batches that are being stored, and the messages in them.

use apollo_shared::topology::Lane;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The counts of all lanes of a program. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct InHand(Arc<[Counts; Lane::ALL.len()]>);

#[derive(Debug, Default)]
struct Counts {
    batches: AtomicUsize,
    messages: AtomicUsize,
}

/// A batch that counts as in hand until this is dropped, however its work ends.
pub(super) struct Holding<'a> {
    counts: &'a Counts,
    messages: usize,
}

impl InHand {
    /// The batches and the messages that a lane has in hand now.
    #[must_use]
    pub fn of(&self, lane: Lane) -> (usize, usize) {
        let counts = self.counts(lane);
        (counts.batches.load(Ordering::Relaxed), counts.messages.load(Ordering::Relaxed))
    }

    /// A lane has taken a batch of so many messages in hand.
    pub(super) fn hold(&self, lane: Lane, messages: usize) -> Holding<'_> {
        let counts = self.counts(lane);
        counts.batches.fetch_add(1, Ordering::Relaxed);
        counts.messages.fetch_add(messages, Ordering::Relaxed);
        Holding { counts, messages }
    }

    fn counts(&self, lane: Lane) -> &Counts {
        match lane {
            Lane::Summaries => &self.0[0],
            Lane::Account => &self.0[1],
            Lane::Pull => &self.0[2],
        }
    }
}

/// The lanes that have anything in hand, for logs.
impl fmt::Display for InHand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for lane in Lane::ALL {
            let (batches, messages) = self.of(lane);
            if batches > 0 {
                let name = lane.name();
                write!(formatter, "{separator}{name}: {messages} messages in {batches} batches")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { formatter.write_str("no messages in hand") } else { Ok(()) }
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.counts.batches.fetch_sub(1, Ordering::Relaxed);
        self.counts.messages.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_until_its_work_ends() {
        let in_hand = InHand::default();
        let first = in_hand.hold(Lane::Pull, 1);
        let second = in_hand.clone().of(Lane::Pull);
        let third = in_hand.hold(Lane::Pull, 40);
        let fourth = in_hand.hold(Lane::Summaries, 7);
        assert_eq!((second, in_hand.of(Lane::Pull)), ((1, 1), (2, 41)));
        assert_eq!(in_hand.of(Lane::Account), (0, 0));
        assert_eq!(in_hand.to_string(), "summaries: 7 messages in 1 batches, pull: 41 messages in 2 batches");
        drop(fourth);
        drop(first);
        assert_eq!(in_hand.of(Lane::Pull), (1, 40));
        drop(third);
        assert_eq!(in_hand.of(Lane::Pull), (0, 0));
        assert_eq!(in_hand.to_string(), "no messages in hand");
    }
}
