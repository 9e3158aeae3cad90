//! Rows on their way into a table: as one parameter of the statement that takes them, an array of records.
//!
//! The record's type is that of an empty temporary table of the connection, which has exactly the columns that
//! this program knows, whatever a newer schema may have added. An array of records in one parameter is one
//! round trip; `COPY` into a temporary table would be five, one of which waits 40 ms for a delayed
//! acknowledgement of TCP (sqlx leaves Nagle's algorithm on), and emptying the table another cost.

use super::error::StoreError;
use crate::summaries::Registry;
use crate::summaries::batch::Row;
use crate::summaries::sql_type::SqlType;
use crate::summaries::table::Table;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{AssertSqlSafe, Encode, PgConnection, Postgres, Type};

/// Bytes of rows that one statement takes; a single larger row is one alone. The statement's parameter is
/// copied twice on its way.
const STATEMENT_BYTES: usize = 4 << 20;

/// The connection's record types, by the places of their tables in the registry.
pub(super) struct RecordTypes(Vec<Oid>);

impl RecordTypes {
    /// Finds them, and makes those that are missing. Outside of any transaction: a statement that was prepared
    /// for a type does not survive its being rolled back.
    pub(super) async fn of(connection: &mut PgConnection, registry: &Registry) -> Result<Self, StoreError> {
        let mut types = find(connection, registry).await?;
        if types.iter().any(Option::is_none) {
            for (table, found) in registry.tables().iter().zip(&types) {
                if found.is_none() {
                    let create = AssertSqlSafe(table.statements.create_staging.as_str());
                    sqlx::query(create).persistent(false).execute(&mut *connection).await?;
                }
            }
            types = find(connection, registry).await?;
        }
        Ok(Self(types.into_iter().map(Option::unwrap_or_default).collect()))
    }

    /// The parameters that carry `rows` of the table at `place`, one a statement.
    pub(super) fn records<'a>(&self, place: usize, rows: &'a [&'a Row]) -> impl Iterator<Item = Records<'a>> {
        let element = self.0.get(place).copied().unwrap_or_default();
        statements(rows).map(move |rows| Records { element, rows })
    }
}

async fn find(connection: &mut PgConnection, registry: &Registry) -> Result<Vec<Option<Oid>>, StoreError> {
    let names: Vec<String> = registry
        .tables()
        .iter()
        .map(|table: &Table| format!("pg_temp.{}", table.statements.staging))
        .collect();
    Ok(sqlx::query_scalar(
        "SELECT to_regtype(name)::oid FROM unnest($1::text[]) WITH ORDINALITY AS names (name, place)
         ORDER BY place",
    )
    .bind(names)
    .fetch_all(connection)
    .await?)
}

/// Divides `rows` so that no statement takes too much.
fn statements<'a>(mut rows: &'a [&'a Row]) -> impl Iterator<Item = &'a [&'a Row]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rows.iter().take_while(|row| {
            bytes += row.encoded.len();
            bytes <= STATEMENT_BYTES
        });
        let count = fitting.count().max(1).min(rows.len());
        let (first, rest) = rows.split_at(count);
        rows = rest;
        (!first.is_empty()).then_some(first)
    })
}

/// An array of records, in PostgreSQL's binary form (`array_recv` and `record_recv`).
pub(super) struct Records<'a> {
    element: Oid,
    rows: &'a [&'a Row],
}

impl Records<'_> {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Type<Postgres> for Records<'_> {
    /// Left to the statement, which casts it to a type that only the connection knows.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Records<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.reserve(ARRAY_HEAD + self.rows.iter().map(|row| row.encoded.len() + 4).sum::<usize>());
        encode_array_head(buffer, self.element, self.rows.len())?;
        for row in self.rows {
            buffer.extend_from_slice(&i32::try_from(row.encoded.len())?.to_be_bytes());
            buffer.extend_from_slice(&row.encoded);
        }
        Ok(IsNull::No)
    }
}

/// An array of values that are encoded already, each with its length in front.
pub(super) struct Array {
    element: Oid,
    count: usize,
    elements: Vec<u8>,
}

impl Array {
    /// Of a value of each item, which `append` encodes.
    pub(super) fn of<T>(
        sql_type: SqlType,
        items: impl ExactSizeIterator<Item = T>,
        append: impl Fn(T, &mut Vec<u8>),
    ) -> Self {
        let count = items.len();
        let mut elements = Vec::new();
        items.for_each(|item| append(item, &mut elements));
        Self { element: Oid(sql_type.oid()), count, elements }
    }
}

impl Type<Postgres> for Array {
    /// Left to the statement, which casts it.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.reserve(ARRAY_HEAD + self.elements.len());
        encode_array_head(buffer, self.element, self.count)?;
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }
}

/// Bytes in front of an array's elements.
const ARRAY_HEAD: usize = 20;

/// What stands in front of the elements of an array of one dimension.
fn encode_array_head(buffer: &mut PgArgumentBuffer, element: Oid, count: usize) -> Result<(), BoxDynError> {
    let (dimensions, has_nulls, lower_bound) = (1i32, 0i32, 1i32);
    buffer.extend_from_slice(&dimensions.to_be_bytes());
    buffer.extend_from_slice(&has_nulls.to_be_bytes());
    buffer.extend_from_slice(&element.0.to_be_bytes());
    buffer.extend_from_slice(&i32::try_from(count)?.to_be_bytes());
    buffer.extend_from_slice(&lower_bound.to_be_bytes());
    Ok(())
}
