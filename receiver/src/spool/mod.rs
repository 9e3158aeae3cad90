//! The receiver's own disk, for when the broker takes nothing (design.md, law 1).
//!
//! An SQLite database in WAL mode with `synchronous = FULL`: what a commit has returned for survives a kill and a power
//! cut, and what a crash tears is not there at the next start. One thread owns it; requests that wait at the same time
//! share a commit, and so an fsync. It is bounded by its file's size. What is in it is compressed, and sealed as
//! everything else that Apollo keeps as received.

mod database;
mod drain;
mod record;
mod writer;

use crate::budget::Reservation;
use crate::metrics::Metrics;
use crate::publish::Message;
use apollo_shared::secrets::Keyring;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

use database::Database;
pub(crate) use drain::Drain;
use writer::{Command, Writer};

/// Requests that may wait for the thread before others wait to be heard.
const WAITING: usize = 1024;

/// What is in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) messages: usize,
    /// Of their bodies, as they came.
    pub(crate) bytes: usize,
    /// Messages among them that cannot be read.
    pub(crate) damaged: usize,
}

/// A message's place in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    id: i64,
    /// Of its body, as it came.
    bytes: usize,
}

/// Why a message is not in the spool.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SpoolError {
    /// It is switched off.
    #[error("there is no spool, as RECEIVER__SPOOL_MAX_BYTES is 0")]
    Off,
    /// Its limit or its disk's is reached.
    #[error(
        "the spool is full: its limit is {max_bytes} bytes (RECEIVER__SPOOL_MAX_BYTES), or its disk has no room"
    )]
    Full {
        /// The limit.
        max_bytes: u64,
    },
    /// The disk fails.
    #[error("the spool's disk fails")]
    Disk(#[source] Arc<rusqlite::Error>),
    /// The message cannot be compressed.
    #[error("the message cannot be compressed")]
    Compression(#[source] Arc<std::io::Error>),
    /// The receiver is about to end.
    #[error("the spool is closed")]
    Closed,
}

/// Why the spool cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SpoolOpenError {
    /// Its folder cannot be made.
    #[error("RECEIVER__SPOOL_DIR: {path} cannot be made")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another receiver works with it.
    #[error("RECEIVER__SPOOL_DIR: {path} is in use by another receiver: give each one a folder of its own")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It was written by a later version.
    #[error(
        "RECEIVER__SPOOL_DIR: the spool in {path} was written by a later version of Apollo: start that one until it is \
         empty"
    )]
    Later {
        /// The folder.
        path: PathBuf,
    },
    /// A key that is needed is not there.
    #[error(
        "SECRETS__KEYS lacks the key {id:?}, which messages in the spool in {path} are sealed with: add it again until \
         apollo_receiver_spool_messages is 0"
    )]
    Key {
        /// The folder.
        path: PathBuf,
        /// The key's id.
        id: String,
    },
    /// Its disk fails.
    #[error("RECEIVER__SPOOL_DIR: the spool in {path} cannot be opened")]
    Disk {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Its thread cannot be started.
    #[error("the spool's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl SpoolOpenError {
    /// Whether a setting is to be mended, rather than the machine.
    #[must_use]
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::InUse { .. })
    }
}

/// Puts messages into the spool and takes them out, for as many tasks as like.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    commands: mpsc::Sender<Command>,
    contents: watch::Receiver<Contents>,
}

impl Spool {
    /// Opens the spool in `folder`, which is made if there is none. Its file may have `max_bytes`.
    pub(crate) fn open(
        folder: &Path,
        max_bytes: u64,
        keyring: Arc<Keyring>,
        metrics: &Metrics,
    ) -> Result<Self, SpoolOpenError> {
        let database = Database::open(folder, max_bytes)?;
        if let Some(id) = database.lacking_key(&keyring)? {
            return Err(SpoolOpenError::Key { path: folder.to_owned(), id });
        }
        let (commands, waiting) = mpsc::channel(WAITING);
        let (told, contents) = watch::channel(database.contents()?);
        let writer = Writer::new(database, keyring, metrics.clone(), told);
        let thread = std::thread::Builder::new().name("spool".to_owned());
        thread.spawn(move || writer.run(waiting)).map_err(SpoolOpenError::Thread)?;
        Ok(Self { commands, contents })
    }

    /// Returns when the message is on disk.
    pub(crate) async fn store(&self, message: &Arc<Message>) -> Result<(), SpoolError> {
        let message = message.clone();
        self.ask(|answer| Command::Store { message, answer }).await?
    }

    /// What is to be taken out next: the oldest messages; nothing if there are none that can be read.
    pub(crate) async fn next(&self) -> Result<Vec<Place>, SpoolError> {
        self.ask(|answer| Command::Next { answer }).await
    }

    /// The messages in these places, but for those that turn out to be damaged; `room` is what they take in memory.
    pub(crate) async fn read(
        &self,
        places: Vec<Place>,
        room: Arc<Reservation>,
    ) -> Result<Vec<(Place, Message)>, SpoolError> {
        self.ask(|answer| Command::Read { places, room, answer }).await
    }

    /// Forgets what is in these places. If the disk fails it is tried again later; they are not offered again.
    pub(crate) async fn remove(&self, places: Vec<Place>) -> Result<(), SpoolError> {
        self.ask(|answer| Command::Remove { places, answer }).await
    }

    /// Ends the thread, and returns when another receiver can have the folder.
    pub(crate) async fn close(&self) {
        let _ = self.ask(|answer| Command::Close { answer }).await;
    }

    /// What is in it, and how that changes.
    pub(crate) fn contents(&self) -> watch::Receiver<Contents> {
        self.contents.clone()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SpoolError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| SpoolError::Closed)?;
        answered.await.map_err(|_| SpoolError::Closed)
    }
}

#[cfg(test)]
mod tests;
