//! The rows of many notifications, brought together: of each summary only its greatest version is written.
//!
//! `INSERT … ON CONFLICT DO UPDATE` refuses to touch one row twice, and a version that another one of the
//! same batch beats need not be written at all.

use super::sql_type::SqlType;
use super::table::{Table, VERSION_COLUMNS};
use super::value::{Value, encode_bytes, encode_instant};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What orders the versions of a summary, greatest significance first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// What the type's versions are ranked by: seconds of a duration, or microseconds of a moment; 0 for types
    /// without a rank.
    pub rank: i64,
    /// Microseconds since the Unix epoch.
    pub received_at: i64,
    /// The notification's id.
    pub message_id: Uuid,
    /// The entry's place in the notification's body.
    pub entry_index: u32,
}

/// The first half of a SHA-256 over a row's content: enough to tell whether two contents are the same.
pub type Digest = [u8; 16];

/// A summary as its table takes it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The user it belongs to.
    pub user_id: String,
    /// The identity's columns, each with its length in front, as PostgreSQL's arrays have their elements.
    pub key: Box<[u8]>,
    /// Its version.
    pub version: Version,
    /// Of its content.
    pub digest: Digest,
    /// The whole row, as PostgreSQL's `record_recv` takes a record: the count of its columns, then each with the
    /// identifier of its type.
    pub encoded: Vec<u8>,
}

/// Bytes of a key and of a column with its type and length, as most are: series and texts take more.
const USUAL_KEY_BYTES: usize = 80;
const USUAL_COLUMN_BYTES: usize = 16;

impl Row {
    /// What ranks `values` among the versions of its summary.
    pub(super) fn rank(table: &Table, values: &[Value<'_>]) -> i64 {
        match table.rank.map(|place| &values[place]) {
            Some(Value::Integer(duration)) => (*duration).into(),
            Some(Value::Instant(microseconds)) => *microseconds,
            _ => 0,
        }
    }

    /// Encodes `values`.
    pub(super) fn new(table: &Table, values: &[Value<'_>], version: Version) -> Self {
        let mut key = Vec::with_capacity(USUAL_KEY_BYTES);
        table.identity.iter().for_each(|&place| values[place].encode(&mut key));
        let column_count = table.columns.len() + VERSION_COLUMNS.len();
        let mut encoded = Vec::with_capacity(column_count * USUAL_COLUMN_BYTES);
        encoded.extend_from_slice(&u32::try_from(column_count).unwrap_or(u32::MAX).to_be_bytes());
        for (column, value) in table.columns.iter().zip(values) {
            encode_type(&mut encoded, column.sql_type);
            value.encode(&mut encoded);
        }
        let digest = digest(&encoded);
        encode_type(&mut encoded, SqlType::Instant);
        encode_instant(&mut encoded, version.received_at);
        encode_type(&mut encoded, SqlType::Uuid);
        encode_bytes(&mut encoded, version.message_id.as_bytes());
        encode_type(&mut encoded, SqlType::Integer);
        encode_bytes(&mut encoded, &version.entry_index.to_be_bytes());
        encode_type(&mut encoded, SqlType::Bytes);
        encode_bytes(&mut encoded, &digest);
        let user_id = match &values[0] {
            Value::Text(user_id) => user_id.clone().into_owned(),
            _ => String::new(),
        };
        Self { user_id, key: key.into(), version, digest, encoded }
    }
}

fn encode_type(row: &mut Vec<u8>, sql_type: SqlType) {
    row.extend_from_slice(&sql_type.oid().to_be_bytes());
}

fn digest(content: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&Sha256::digest(content)[..16]);
    digest
}

/// How many entries came to which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Outcomes {
    /// Summaries that were new.
    pub created: u64,
    /// Greater versions with another content.
    pub updated: u64,
    /// The same content again.
    pub unchanged: u64,
    /// Lesser versions.
    pub stale: u64,
}

impl std::ops::AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
    }
}

/// The rows of one table, one a summary, and the outcomes of those that were beaten on the way.
#[derive(Debug, Default)]
pub struct Reduced<'a> {
    /// The greatest versions, in the order of their keys.
    pub rows: Vec<&'a Row>,
    /// Rows beaten by another of the batch: `unchanged` where the contents are the same, else `stale`.
    pub beaten: Outcomes,
}

/// Keeps the greatest version of each summary.
#[must_use]
pub fn reduce<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Reduced<'a> {
    let mut sorted: Vec<&Row> = rows.into_iter().collect();
    // Stable: versions of one summary are compared in the order in which they came.
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut rows: Vec<&Row> = Vec::with_capacity(sorted.len());
    let mut beaten = Outcomes::default();
    for row in sorted {
        match rows.last_mut().filter(|other| other.key == row.key) {
            None => rows.push(row),
            Some(other) => {
                if other.digest == row.digest {
                    beaten.unchanged += 1
                } else {
                    beaten.stale += 1
                }
                if row.version > other.version {
                    *other = row;
                }
            }
        }
    }
    Reduced { rows, beaten }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;

    fn row(duration: i32, received_at: i64, steps: i32) -> Row {
        let registry = Registry::new();
        let table = &registry.tables()[0];
        let mut values = vec![Value::Null; table.columns.len()];
        let place = |name: &str| table.place(name).unwrap();
        values[0] = Value::Text("u".into());
        values[place("start_time")] = Value::Instant(0);
        values[place("duration_in_seconds")] = Value::Integer(duration);
        values[place("steps")] = Value::Integer(steps);
        let rank = Row::rank(table, &values);
        let version = Version { rank, received_at, message_id: Uuid::nil(), entry_index: 0 };
        Row::new(table, &values, version)
    }

    #[test]
    fn the_longer_version_wins_and_then_the_later() {
        let rows = [row(900, 5, 1), row(1800, 1, 2), row(1800, 3, 3), row(1800, 2, 4), row(600, 9, 5)];
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            let reduced = reduce(order.map(|index| &rows[index]));
            assert_eq!(reduced.rows.len(), 1);
            assert_eq!(reduced.rows[0].version, rows[2].version);
            assert_eq!(reduced.beaten.stale, 4);
        }
    }

    #[test]
    fn the_same_content_again_is_unchanged() {
        let rows = [row(900, 1, 1), row(900, 2, 1)];
        let reduced = reduce(&rows);
        assert_eq!((reduced.rows.len(), reduced.beaten.unchanged), (1, 1));
        assert_eq!(reduced.rows[0].version.received_at, 2);
    }
}
