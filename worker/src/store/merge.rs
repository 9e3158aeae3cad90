//! How a batch's rows come into one table: see [`crate::summaries::statements`].

use super::error::StoreError;
use super::staging::{Array, RecordTypes};
use crate::summaries::batch::{Outcomes, Row};
use crate::summaries::sql_type::SqlType;
use crate::summaries::table::Table;
use crate::summaries::value::{encode_bytes, encode_instant};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// The rows of one table, within a batch's transaction.
pub(super) struct Merge<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) table: &'a Table,
    pub(super) types: &'a RecordTypes,
    /// Of the table in the registry.
    pub(super) place: usize,
}

/// What is stored of a summary, compared with what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Nothing,
    /// An older version.
    Older {
        /// Whether its content is the same.
        same: bool,
    },
    /// This version or a greater one.
    Newer {
        /// Whether its content is the same.
        same: bool,
    },
}

impl Merge<'_> {
    /// Writes what is new or newer of `rows`, which are one a summary and in the order of their keys.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) async fn write(&mut self, rows: &[&Row]) -> Result<Outcomes, StoreError> {
        if rows.is_empty() {
            return Ok(Outcomes::default());
        }
        let stored = self.look(rows).await?;
        let of = |wanted: fn(Stored) -> bool| -> Vec<&Row> {
            rows.iter().zip(&stored).filter(|(_, stored)| wanted(**stored)).map(|(row, _)| *row).collect()
        };
        let count = |wanted: Stored| stored.iter().filter(|stored| **stored == wanted).count() as u64;
        let mut outcomes = self.insert(&of(|stored| stored == Stored::Nothing)).await?;
        let replaced = self.replace(&of(|stored| matches!(stored, Stored::Older { .. }))).await?;
        // What had the same content was written for its version only, and updates nothing.
        let repeated = count(Stored::Older { same: true }).min(replaced.updated);
        outcomes += Outcomes { updated: replaced.updated - repeated, unchanged: repeated, ..replaced };
        outcomes += Outcomes {
            unchanged: count(Stored::Newer { same: true }),
            stale: count(Stored::Newer { same: false }),
            ..Outcomes::default()
        };
        Ok(outcomes)
    }

    async fn look(&mut self, rows: &[&Row]) -> Result<Vec<Stored>, StoreError> {
        let mut query = sqlx::query(AssertSqlSafe(self.table.statements.look.as_str()));
        for array in self.keys(rows).into_iter().chain(self.versions(rows)) {
            query = query.bind(array);
        }
        let mut stored = vec![Stored::Nothing; rows.len()];
        for found in query.fetch_all(&mut *self.connection).await? {
            let (same, newer) = (found.try_get("same")?, found.try_get("newer")?);
            let place = usize::try_from(found.try_get::<i64, _>("place")?).ok();
            if let Some(stored) = place.and_then(|place| stored.get_mut(place)) {
                *stored = if newer { Stored::Older { same } } else { Stored::Newer { same } };
            }
        }
        Ok(stored)
    }

    /// The columns of the rows' keys.
    fn keys(&self, rows: &[&Row]) -> Vec<Array> {
        let mut rest: Vec<&[u8]> = rows.iter().map(|row| &*row.key).collect();
        let types = self.table.identity.iter().map(|&place| self.table.columns[place].sql_type);
        types
            .map(|sql_type| {
                Array::of(sql_type, rest.iter_mut(), |rest, bytes| {
                    let (first, others) = rest.split_at(length_of_first(rest));
                    bytes.extend_from_slice(first);
                    *rest = others;
                })
            })
            .collect()
    }

    /// The columns of the rows' versions.
    fn versions(&self, rows: &[&Row]) -> Vec<Array> {
        let rows = || rows.iter();
        let rank = self.table.rank.map(|place| match self.table.columns[place].sql_type {
            SqlType::Instant => {
                Array::of(SqlType::Instant, rows(), |row, bytes| encode_instant(bytes, row.version.rank))
            }
            _ => Array::of(SqlType::Integer, rows(), |row, bytes| {
                // It was made of such a column's value.
                let rank = i32::try_from(row.version.rank).unwrap_or_default();
                encode_bytes(bytes, &rank.to_be_bytes());
            }),
        });
        let received_at =
            Array::of(SqlType::Instant, rows(), |row, bytes| encode_instant(bytes, row.version.received_at));
        let message_id = Array::of(SqlType::Uuid, rows(), |row, bytes| {
            encode_bytes(bytes, row.version.message_id.as_bytes())
        });
        let entry_index = Array::of(SqlType::Integer, rows(), |row, bytes| {
            encode_bytes(bytes, &row.version.entry_index.to_be_bytes());
        });
        let digest = Array::of(SqlType::Bytes, rows(), |row, bytes| encode_bytes(bytes, &row.digest));
        rank.into_iter().chain([received_at, message_id, entry_index, digest]).collect()
    }

    /// Inserts rows that were not stored when it was looked.
    async fn insert(&mut self, rows: &[&Row]) -> Result<Outcomes, StoreError> {
        let mut created = 0;
        for records in self.types.records(self.place, rows) {
            let insert = sqlx::query(AssertSqlSafe(self.table.statements.insert.as_str())).bind(records);
            created += insert.execute(&mut *self.connection).await?.rows_affected();
        }
        let mut outcomes = Outcomes { created, ..Outcomes::default() };
        if created < rows.len() as u64 {
            // Another worker was faster with some of them. Those inserted here are no newer than themselves.
            let others = self.replace(rows).await?;
            outcomes += Outcomes { stale: others.stale.saturating_sub(created), ..others };
        }
        Ok(outcomes)
    }

    /// Puts rows in the place of older versions.
    async fn replace(&mut self, rows: &[&Row]) -> Result<Outcomes, StoreError> {
        let mut outcomes = Outcomes::default();
        for records in self.types.records(self.place, rows) {
            let staged = records.len() as u64;
            let merge = sqlx::query(AssertSqlSafe(self.table.statements.merge.as_str())).bind(records);
            let counts = merge.fetch_one(&mut *self.connection).await?;
            let [written, created] = [count(&counts, "written")?, count(&counts, "created")?];
            outcomes += Outcomes {
                created,
                updated: written.saturating_sub(created),
                stale: staged.saturating_sub(written),
                unchanged: 0,
            };
        }
        Ok(outcomes)
    }
}

/// Bytes of the first value of a key, its length in front included.
fn length_of_first(key: &[u8]) -> usize {
    let length = key.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
    (4 + length as usize).min(key.len())
}

fn count(row: &sqlx::postgres::PgRow, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}
