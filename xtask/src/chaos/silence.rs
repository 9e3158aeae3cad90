//! How long nobody was answered 200: from the record of the probes, a few of which are sent every second.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

/// The 200s that probes got.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// The numbers of those probes.
    pub(super) acknowledged: BTreeSet<u64>,
    /// When the answers came, in milliseconds since 1970, in order.
    times: Vec<u64>,
}

/// A time without a 200, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Silence {
    pub(super) fn seconds(self) -> f64 {
        (self.to - self.from) as f64 / 1000.0
    }

    /// Whether any of it was between these times.
    pub(super) fn meets(self, from: u64, to: u64) -> bool {
        self.from < to && from < self.to
    }
}

impl Probes {
    /// Reads what `apollo-simulator probe` has recorded.
    pub(super) fn read(record: &Path) -> Result<Self> {
        Self::parse(&fs::read_to_string(record)?)
            .with_context(|| format!("{} is no record", record.display()))
    }

    fn parse(record: &str) -> Option<Self> {
        let mut probes = Self::default();
        for line in record.lines() {
            let (number, time) = line.split_once(' ')?;
            probes.acknowledged.insert(number.parse().ok()?);
            probes.times.push(time.parse().ok()?);
        }
        probes.times.sort_unstable();
        Some(probes)
    }

    /// The times without a 200 between two moments, however short.
    pub(super) fn silences(&self, from: u64, to: u64) -> impl Iterator<Item = Silence> {
        let inside: Vec<u64> = self.times.iter().copied().filter(|time| (from..to).contains(time)).collect();
        let begins = std::iter::once(from).chain(inside.clone());
        let ends = inside.into_iter().chain([to]);
        begins.zip(ends).map(|(from, to)| Silence { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_and_ends_with_an_answer_or_with_the_time_looked_at() {
        let probes = Probes::parse("0 100\n2 900\n1 400\n").unwrap();
        assert_eq!(probes.acknowledged, BTreeSet::from([0, 1, 2]));
        let silences: Vec<_> = probes.silences(50, 1000).map(|silence| (silence.from, silence.to)).collect();
        assert_eq!(silences, [(50, 100), (100, 400), (400, 900), (900, 1000)]);
        let silences: Vec<_> = probes.silences(200, 300).map(|silence| (silence.from, silence.to)).collect();
        assert_eq!(silences, [(200, 300)]);
    }

    #[test]
    fn a_fault_meets_the_silence_that_it_is_on_in() {
        let silence = Silence { from: 100, to: 400 };
        assert!(silence.meets(300, 500) && silence.meets(0, 101) && silence.meets(150, 160));
        assert!(!silence.meets(400, 500) && !silence.meets(0, 100));
    }

    #[test]
    fn another_file_is_no_record() {
        assert!(Probes::parse("hello\n").is_none());
    }
}
