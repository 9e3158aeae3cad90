//! Garmin's summary types: what each is made of, and how a notification becomes rows of their tables.
//!
//! A type is one file with one [`SummaryType`] in it, one line in `SUMMARY_TYPES` and one migration. Columns,
//! statements and encodings are derived from the declaration. The way of a body: [`notification`] takes it
//! apart, [`entry`] reads one entry into values, [`batch`] brings the rows of many bodies together, and
//! `store` writes them.

pub mod batch;
mod dailies;
pub mod entry;
mod epochs;
pub mod field;
pub mod handler;
pub mod notification;
mod number;
mod sleeps;
pub mod storable;
mod stress_details;
pub mod table;
mod user_metrics;
pub mod value;

use field::Field;
use table::Table;

/// The declaration of a summary type.
#[derive(Debug, Clone, Copy)]
pub struct SummaryType {
    /// The top-level key of its entries.
    pub key: &'static str,
    /// Its table in the schema `garmin_wellness`.
    pub table: &'static str,
    /// The fields that tell one summary of a user from another: two entries that agree in them are versions
    /// of one summary.
    pub identity: &'static [&'static str],
    /// What makes one version greater than another before the time of arrival does.
    pub rank: Rank,
    /// Its fields, in the order of the table's columns.
    pub fields: &'static [Field],
}

/// What counts first when two versions of a summary are compared (garmin-health-api.md 3); after it come the
/// time of arrival, the message's id, and the place in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// `durationInSeconds`: the longer version wins.
    Duration,
    /// Nothing: the last one received wins.
    None,
}

/// Every type that has a table.
const SUMMARY_TYPES: &[SummaryType] = &[
    dailies::DAILIES,
    epochs::EPOCHS,
    sleeps::SLEEPS,
    stress_details::STRESS_DETAILS,
    user_metrics::USER_METRICS,
];

/// The types with all that is derived from their declarations. A table's place in it is the order in which
/// every worker writes, so that two of them never wait for each other in a circle.
#[derive(Debug)]
pub struct Registry {
    tables: Vec<Table>,
}

impl Registry {
    /// Derives everything.
    #[must_use]
    pub fn new() -> Self {
        Self { tables: SUMMARY_TYPES.iter().map(Table::new).collect() }
    }

    /// All tables.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The place of the table for a top-level key.
    #[must_use]
    pub fn position(&self, key: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.summary_type.key == key)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
