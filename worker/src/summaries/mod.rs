//! Garmin's summary types: what each is made of, and how a notification becomes rows of their tables.
//!
//! A type is one file in `types` with one [`SummaryType`] in it, one line in its list and one migration.
//! Columns, statements and encodings are derived from the declaration. The way of a body: [`notification`]
//! takes it apart where [`body`] cuts it, [`entry`] reads one entry into values, member by member with `cursor`, [`batch`] brings the rows of many
//! bodies together, and `store` writes them.

pub mod batch;
pub mod body;
mod cursor;
mod declaration;
pub mod entry;
pub mod field;
pub mod handler;
pub mod notification;
mod number;
mod reading;
mod series;
pub mod sql_type;
pub mod statements;
pub mod storable;
pub mod table;
mod types;
pub mod value;

pub use declaration::{IdentityField, Missing, SecondKey, SummaryType};

use table::Table;

/// The types with all that is derived from their declarations.
#[derive(Debug)]
pub struct Registry {
    tables: Vec<Table>,
}

impl Registry {
    /// Of all types.
    #[must_use]
    pub fn new() -> Self {
        Self { tables: types::SUMMARY_TYPES.iter().map(Table::new).collect() }
    }

    /// Of the types that come under one of `keys`.
    #[must_use]
    pub fn of_keys(keys: &[&str]) -> Self {
        let wanted = |summary_type: &&SummaryType| summary_type.keys().any(|key| keys.contains(&key));
        Self { tables: types::SUMMARY_TYPES.iter().filter(wanted).map(Table::new).collect() }
    }

    /// All tables.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The place of the table for a top-level key.
    #[must_use]
    pub fn position(&self, key: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.summary_type.keys().any(|of_table| of_table == key))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
