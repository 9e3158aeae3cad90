//! What is complete as soon as it is recorded, and waits for the next synchronisation.

use serde_json::Value;

/// Summaries that their device has not sent yet. What is due after the plan's last synchronisation is never sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Vec<Posting>);

#[derive(Debug)]
struct Posting {
    /// Unix seconds.
    due: i64,
    key: &'static str,
    summary: Value,
}

impl Outbox {
    /// Has the summary sent at the first synchronisation from the moment `due` (Unix seconds) on.
    pub(crate) fn post(&mut self, due: i64, key: &'static str, summary: Value) {
        self.0.push(Posting { due, key, summary });
    }

    /// Takes out what is due by that moment, the longest due first.
    pub(crate) fn take_due(&mut self, moment: i64) -> impl Iterator<Item = (&'static str, Value)> {
        self.0.sort_by_key(|posting| posting.due);
        let due = self.0.partition_point(|posting| posting.due <= moment);
        self.0.drain(..due).map(|posting| (posting.key, posting.summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_sent_once_in_the_order_of_its_times() {
        let mut outbox = Outbox::default();
        for (due, number) in [(30, 3), (10, 1), (20, 2), (40, 4)] {
            outbox.post(due, "hrv", number.into());
        }
        let mut sent = |moment| outbox.take_due(moment).map(|(_, summary)| summary).collect::<Vec<_>>();
        assert_eq!(sent(30), [1, 2, 3]);
        assert_eq!(sent(39), [0; 0]);
        assert_eq!(sent(40), [4]);
    }
}
