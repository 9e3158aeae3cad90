//! Rows into a staging table, by PostgreSQL's binary COPY.

use super::error::StoreError;
use crate::summaries::batch::Row;
use crate::summaries::table::Table;
use sqlx::PgConnection;

/// The format's signature, flags, and length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Bytes gathered before they are sent.
const CHUNK: usize = 256 * 1024;

/// The columns of the version, behind those of the table's declaration.
const VERSION_COLUMNS: usize = 4;

pub(super) async fn rows(
    connection: &mut PgConnection,
    table: &Table,
    rows: &[&Row],
) -> Result<(), StoreError> {
    let columns = i16::try_from(table.columns.len() + VERSION_COLUMNS).unwrap_or(i16::MAX).to_be_bytes();
    let mut copy = connection.copy_in_raw(&table.copy).await?;
    let mut chunk = Vec::with_capacity(CHUNK);
    chunk.extend_from_slice(HEADER);
    for row in rows {
        chunk.extend_from_slice(&columns);
        chunk.extend_from_slice(&row.encoded);
        if chunk.len() >= CHUNK {
            copy.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    chunk.extend_from_slice(&TRAILER);
    copy.send(chunk.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}
