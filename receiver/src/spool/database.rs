//! The spool's file.

use super::record::Record;
use super::{Contents, Place, SpoolOpenError};
use apollo_shared::secrets::{Keyring, key_id};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The file's name; SQLite keeps its write-ahead log beside it, as `spool.sqlite-wal`.
const FILE: &str = "spool.sqlite";

/// Bytes of a page: the limit is counted in them.
const PAGE_BYTES: u32 = 4096;

/// The schema's version, in the file's `user_version`.
const VERSION: i64 = 1;

/// How long a receiver that is just ending may still hold the file.
const IN_USE: Duration = Duration::from_secs(5);

/// So many bytes at the beginning of a sealed body tell its key.
const KEY_BYTES: i64 = 257;

/// Messages that are taken out at a time, and their bytes: few enough to leave a place in the line and the room for
/// bodies to those that arrive.
const NEXT: usize = 32;
const NEXT_BYTES: usize = 4 << 20;

const SCHEMA: &str = "CREATE TABLE message (
    place INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL,
    routing_key TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    traceparent TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT";

/// The file, open, and locked against everybody else.
pub(super) struct Database {
    connection: Connection,
    folder: PathBuf,
    max_bytes: u64,
}

impl Database {
    /// Opens the file, or makes it. One that is no database any more is put aside and never deleted.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpoolOpenError> {
        let path = folder.to_owned();
        make(folder).map_err(|source| SpoolOpenError::Folder { path: path.clone(), source })?;
        let connection = match connect(folder, max_bytes) {
            Err(error) if is_damage(&error) => {
                put_aside(folder).map_err(|source| SpoolOpenError::Folder { path: path.clone(), source })?;
                connect(folder, max_bytes)
            }
            connected => connected,
        };
        let connection = connection.map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                SpoolOpenError::InUse { path: path.clone() }
            }
            _ => SpoolOpenError::Disk { path: path.clone(), source },
        })?;
        let database = Self { connection, folder: path, max_bytes };
        match database.version().map_err(|source| database.disk(source))? {
            VERSION => Ok(database),
            _ => Err(SpoolOpenError::Later { path: database.folder }),
        }
    }

    /// The id of a key that is needed and not in `keyring`.
    pub(super) fn lacking_key(&self, keyring: &Keyring) -> Result<Option<String>, SpoolOpenError> {
        let lacking = || {
            let mut statement = self.connection.prepare("SELECT substr(body, 1, ?1) FROM message")?;
            let mut rows = statement.query([KEY_BYTES])?;
            while let Some(row) = rows.next()? {
                let beginning: Vec<u8> = row.get(0)?;
                if let Some(id) = key_id(&beginning)
                    && keyring.ids().all(|known| known != id)
                {
                    return Ok(Some(id.to_owned()));
                }
            }
            Ok(None)
        };
        lacking().map_err(|source| self.disk(source))
    }

    /// Stores all of them, on disk when it returns, or none.
    pub(super) fn insert(&mut self, records: &[Record]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = transaction.prepare(
            "INSERT INTO message (message_id, routing_key, endpoint, received_at, traceparent, bytes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for record in records {
            insert.execute(params![
                record.message_id.as_bytes(),
                record.routing_key,
                record.endpoint,
                record.received_at,
                record.traceparent,
                signed(record.bytes),
                record.body,
            ])?;
        }
        drop(insert);
        transaction.commit()
    }

    /// The oldest messages that are not to be left out.
    pub(super) fn next(&self, left_out: impl Fn(i64) -> bool) -> rusqlite::Result<Vec<Place>> {
        let mut statement = self.connection.prepare("SELECT place, bytes FROM message ORDER BY place")?;
        let mut rows = statement.query([])?;
        let mut places: Vec<Place> = Vec::new();
        let mut bytes = 0;
        while places.len() < NEXT
            && let Some(row) = rows.next()?
        {
            let place = Place { id: row.get(0)?, bytes: length(row.get(1)?) };
            if left_out(place.id) {
                continue;
            }
            if !places.is_empty() && bytes + place.bytes > NEXT_BYTES {
                break;
            }
            bytes += place.bytes;
            places.push(place);
        }
        Ok(places)
    }

    pub(super) fn read(&self, place: Place) -> rusqlite::Result<Option<Record>> {
        let mut statement = self.connection.prepare(
            "SELECT message_id, routing_key, endpoint, received_at, traceparent, bytes, body
             FROM message WHERE place = ?1",
        )?;
        let record = statement.query_row([place.id], |row| {
            Ok(Record {
                message_id: Uuid::from_bytes(row.get(0)?),
                routing_key: row.get(1)?,
                endpoint: row.get(2)?,
                received_at: row.get(3)?,
                traceparent: row.get(4)?,
                bytes: length(row.get(5)?),
                body: row.get(6)?,
            })
        });
        record.optional()
    }

    /// Forgets these, all or none.
    pub(super) fn remove(&mut self, places: impl Iterator<Item = i64>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut delete = transaction.prepare("DELETE FROM message WHERE place = ?1")?;
        for place in places {
            delete.execute([place])?;
        }
        drop(delete);
        transaction.commit()
    }

    /// What is in it, counted message by message.
    pub(super) fn contents(&self) -> Result<Contents, SpoolOpenError> {
        let sql = "SELECT count(*), coalesce(sum(bytes), 0) FROM message";
        let contents = self.connection.query_row(sql, [], |row| {
            Ok(Contents { messages: length(row.get(0)?), bytes: length(row.get(1)?), damaged: 0 })
        });
        contents.map_err(|source| self.disk(source))
    }

    /// What its file may have.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Gives the disk back what an empty spool does not need.
    pub(super) fn shrink(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("VACUUM")?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn version(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "user_version", |row| row.get(0))
    }

    fn disk(&self, source: rusqlite::Error) -> SpoolOpenError {
        SpoolOpenError::Disk { path: self.folder.clone(), source }
    }
}

/// Makes the folder, if there is none, and has that survive a power cut: SQLite sees to the folder's entries, but not to the
/// folder's own.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Opens the file, and reads it once, so that it is known to be one, and locked.
///
/// Exclusive locking needs no shared memory beside the file, so that a full disk can be opened too; and it is held for as
/// long as the process lives, whatever way that ends.
fn connect(folder: &Path, max_bytes: u64) -> rusqlite::Result<Connection> {
    let connection = Connection::open(folder.join(FILE))?;
    connection.busy_timeout(IN_USE)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // There may be no other place that can be written to.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let pages = u32::try_from(max_bytes / u64::from(PAGE_BYTES)).unwrap_or(u32::MAX);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA}; PRAGMA user_version = {VERSION}; COMMIT"))?;
    }
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Whether what is there is no database.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Renames the file and its log, so that a person can look at them.
fn put_aside(folder: &Path) -> io::Result<()> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for suffix in ["", "-wal"] {
        let file = folder.join(format!("{FILE}{suffix}"));
        let aside = folder.join(format!("damaged-{}-{FILE}{suffix}", since_epoch.as_micros()));
        match std::fs::rename(&file, &aside) {
            Ok(()) => {
                tracing::error!("the spool is damaged: {} is now {}", file.display(), aside.display());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn length(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
