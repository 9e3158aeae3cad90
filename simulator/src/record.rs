//! The record of what was acknowledged, in a file: proof outside the receiver, the broker and the database.
//!
//! One line a notification, written when the 200 has come and before the household's next one is sent: the household's
//! index, the notification's place among the household's, and the SHA-256 of its body. The bodies themselves follow from
//! the plan; the digests show that it was the same plan. A line outlives the end of the program, whatever ends it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::expectation::{Expectation, ExpectationError};
use crate::plan::Group;

/// Why a record does not say what was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file.
    #[error("the record {} cannot be read", file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line that `push` would not have written there.
    #[error(
        "line {line} of the record is not the next of its household: one file holds the record of one push"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Something else was sent than the plan has.
    #[error(
        "notification {place} of household {household} is not what was sent: give the plan that was pushed"
    )]
    OtherPlan {
        /// The household's index.
        household: usize,
        /// Counted from 0.
        place: usize,
    },
    /// The simulator's own notifications are wrong.
    #[error(transparent)]
    Expectation(#[from] ExpectationError),
}

/// Writes a record.
#[derive(Debug)]
pub(crate) struct Recorder(File);

impl Recorder {
    /// Begins a new record.
    pub(crate) fn create(file: &Path) -> io::Result<Self> {
        File::options().append(true).create_new(true).open(file).map(Self)
    }

    /// Writes one line, in one piece, so that no part of one ever stands there.
    pub(crate) fn acknowledged(&self, household: usize, place: usize, digest: &str) -> io::Result<()> {
        (&self.0).write_all(format!("{household} {place} {digest}\n").as_bytes())
    }
}

/// What was acknowledged of a plan: of each household the digests of its first notifications, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<usize, Vec<String>>);

impl Record {
    /// Reads what `push` has written.
    pub fn read(file: &Path) -> Result<Self, RecordError> {
        let text =
            fs::read_to_string(file).map_err(|source| RecordError::File { file: file.to_owned(), source })?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, RecordError> {
        let mut record = Self::default();
        for (line, number) in text.split_inclusive('\n').zip(1..) {
            record.add(line).ok_or(RecordError::Line { line: number })?;
        }
        Ok(record)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let household = words.next()?.parse().ok()?;
        let place: usize = words.next()?.parse().ok()?;
        let digests = self.0.entry(household).or_default();
        (place == digests.len()).then(|| digests.push(words.next().unwrap_or_default().to_owned()))
    }

    /// How many notifications were acknowledged.
    pub fn notifications(&self) -> u64 {
        self.0.values().map(|digests| digests.len() as u64).sum()
    }

    /// Whether anything of this household was acknowledged.
    pub(crate) fn knows(&self, group: &Group) -> bool {
        self.0.contains_key(&group.index())
    }

    /// The rows that the household's acknowledged notifications must have left.
    pub(crate) fn expectation(&self, group: &Group) -> Result<Expectation, RecordError> {
        let household = group.index();
        let digests = self.0.get(&household).map(Vec::as_slice).unwrap_or_default();
        let mut notifications = group.notifications();
        let mut expectation = Expectation::default();
        for (place, recorded) in digests.iter().enumerate() {
            let sent = notifications.next().filter(|notification| digest(&notification.body) == *recorded);
            let sent = sent.ok_or(RecordError::OtherPlan { household, place })?;
            expectation.receive(&sent.body)?;
        }
        Ok(expectation)
    }
}

/// SHA-256, in hexadecimal digits.
pub(crate) fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn group() -> Group {
        let plan = Plan { users: 3, days: 1, seed: 5, sample_interval_seconds: Some(7_200) };
        plan.groups().next().unwrap()
    }

    fn record_of(notifications: usize) -> String {
        let digests = group().notifications().map(|notification| digest(&notification.body));
        digests
            .take(notifications)
            .enumerate()
            .map(|(place, digest)| format!("0 {place} {digest}\n"))
            .collect()
    }

    #[test]
    fn the_expectation_ends_where_the_record_ends() {
        let rows = |notifications| {
            let expectation =
                Record::parse(&record_of(notifications)).unwrap().expectation(&group()).unwrap();
            crate::expectation::SUMMARY_TYPES.iter().map(|kind| expectation.rows(kind.table).count()).sum()
        };
        let (none, some, all): (usize, usize, usize) = (rows(0), rows(2), rows(usize::MAX));
        assert_eq!(none, 0);
        assert!(0 < some && some < all, "{some} of {all}");
    }

    #[test]
    fn another_plan_is_noticed() {
        let record = Record::parse(&record_of(1).replace("0 0 ", "0 0 0")).unwrap();
        let refused = record.expectation(&group());
        assert!(matches!(refused, Err(RecordError::OtherPlan { household: 0, place: 0 })));
    }

    #[test]
    fn a_line_out_of_order_or_cut_short_is_refused() {
        let refused = |text: &str| match Record::parse(text) {
            Err(RecordError::Line { line }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("0 0 a\n0 2 b\n"), 2);
        assert_eq!(refused("0 0 a\n0 0 a\n"), 2);
        assert_eq!(refused("0 0 a\n0 1 b"), 2);
        assert_eq!(refused("household 0 a\n"), 1);
        assert_eq!(Record::parse("0 0 a\n7 0 b\n0 1 c\n").unwrap().notifications(), 3);
    }
}
