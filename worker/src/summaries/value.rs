//! A column's value, and its binary form.
//!
//! Source of the forms: the `_recv` functions of PostgreSQL's types.

use super::sql_type::SqlType;
use std::borrow::Cow;

/// A value that fits its column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Missing, or what came did not fit.
    Null,
    /// `text`.
    Text(Cow<'a, str>),
    /// `integer`.
    Integer(i32),
    /// `bigint`.
    BigInteger(i64),
    /// `double precision`.
    Float(f64),
    /// `boolean`.
    Boolean(bool),
    /// `date`, as days since 2000-01-01.
    Date(i32),
    /// `timestamptz`, as microseconds since 1970-01-01 00:00 UTC.
    Instant(i64),
    /// `jsonb`, as the JSON that came.
    Json(Cow<'a, str>),
    /// `integer[]`.
    Integers(Vec<i32>),
    /// `double precision[]`.
    Floats(Vec<f64>),
}

/// Microseconds from PostgreSQL's epoch, 2000-01-01, back to Unix's.
const POSTGRESQL_EPOCH: i64 = 946_684_800_000_000;

/// The version of jsonb's binary form, which stands before its text.
const JSONB_VERSION: u8 = 1;

impl Value<'_> {
    /// Whether the column stays empty.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Appends the value's binary form: its length in bytes, then itself.
    pub fn encode(&self, row: &mut Vec<u8>) {
        match self {
            Self::Null => row.extend_from_slice(&(-1i32).to_be_bytes()),
            Self::Text(text) => encode_bytes(row, text.as_bytes()),
            Self::Integer(value) | Self::Date(value) => encode_bytes(row, &value.to_be_bytes()),
            Self::BigInteger(value) => encode_bytes(row, &value.to_be_bytes()),
            Self::Float(value) => encode_bytes(row, &value.to_be_bytes()),
            Self::Boolean(value) => encode_bytes(row, &[u8::from(*value)]),
            Self::Instant(value) => encode_instant(row, *value),
            Self::Json(json) => {
                encode_length(row, json.len() + 1);
                row.push(JSONB_VERSION);
                row.extend_from_slice(json.as_bytes());
            }
            Self::Integers(values) => {
                encode_array(row, SqlType::Integer, values.iter().map(|value| value.to_be_bytes()));
            }
            Self::Floats(values) => {
                encode_array(row, SqlType::Float, values.iter().map(|value| value.to_be_bytes()));
            }
        }
    }
}

/// Appends a value of known bytes.
pub fn encode_bytes(row: &mut Vec<u8>, bytes: &[u8]) {
    encode_length(row, bytes.len());
    row.extend_from_slice(bytes);
}

/// Appends a `timestamptz`.
pub fn encode_instant(row: &mut Vec<u8>, unix_microseconds: i64) {
    encode_bytes(row, &(unix_microseconds - POSTGRESQL_EPOCH).to_be_bytes());
}

/// A length of PostgreSQL's is 32 bits. A value is part of an AMQP message, which is at most 128 MiB, and an
/// array takes four bytes a sample more than its shortest JSON does, so it fits.
fn encode_length(row: &mut Vec<u8>, length: usize) {
    row.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

/// An array of one dimension: dimensions, flag for nulls, element type, length, lower bound, elements.
fn encode_array<const N: usize>(
    row: &mut Vec<u8>,
    element: SqlType,
    elements: impl ExactSizeIterator<Item = [u8; N]>,
) {
    let count = elements.len();
    let dimensions = i32::from(count > 0);
    let bounds = if count > 0 { 8 } else { 0 };
    encode_length(row, 12 + bounds + count * (4 + N));
    row.extend_from_slice(&dimensions.to_be_bytes());
    row.extend_from_slice(&0i32.to_be_bytes());
    row.extend_from_slice(&element.oid().to_be_bytes());
    if count > 0 {
        encode_length(row, count);
        row.extend_from_slice(&1i32.to_be_bytes());
    }
    let length = (N as i32).to_be_bytes();
    let start = row.len();
    row.resize(start + count * (4 + N), 0);
    for (place, element) in row[start..].chunks_exact_mut(4 + N).zip(elements) {
        place[..4].copy_from_slice(&length);
        place[4..].copy_from_slice(&element);
    }
}
