//! The thread that owns the spool's file.

use super::database::Database;
use super::record::{DamagedError, Record};
use super::{Contents, Place, SpoolError};
use crate::budget::Reservation;
use crate::metrics::Metrics;
use crate::publish::Message;
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::with_causes;
use rusqlite::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Bytes of the bodies that share a commit, though a single larger one is a commit too.
const GROUP_BYTES: usize = 8 << 20;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Store { message: Arc<Message>, answer: oneshot::Sender<Result<(), SpoolError>> },
    Next { answer: oneshot::Sender<Vec<Place>> },
    Read { places: Vec<Place>, room: Arc<Reservation>, answer: oneshot::Sender<Vec<(Place, Message)>> },
    Remove { places: Vec<Place>, answer: oneshot::Sender<()> },
    Close { answer: oneshot::Sender<()> },
}

/// A message that is to be stored, and who waits for that.
type Waiting = (Arc<Message>, oneshot::Sender<Result<(), SpoolError>>);

pub(super) struct Writer {
    database: Database,
    keyring: Arc<Keyring>,
    metrics: Metrics,
    contents: watch::Sender<Contents>,
    /// Places that cannot be read. They stay, for a person to look at.
    damaged: BTreeSet<i64>,
    /// Places that are to be removed, but could not be yet, with the bytes there.
    done_with: BTreeMap<i64, usize>,
}

impl Writer {
    pub(super) fn new(
        database: Database,
        keyring: Arc<Keyring>,
        metrics: Metrics,
        contents: watch::Sender<Contents>,
    ) -> Self {
        metrics.spooled(*contents.borrow());
        Self { database, keyring, metrics, contents, damaged: BTreeSet::new(), done_with: BTreeMap::new() }
    }

    /// Works until it is told to close, or nobody is left who could ask for anything.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut ahead = None;
        while let Some(command) = ahead.take().or_else(|| commands.blocking_recv()) {
            match command {
                Command::Store { message, answer } => {
                    let group;
                    (group, ahead) = gather((message, answer), &mut commands);
                    self.store(group);
                }
                Command::Next { answer } => {
                    let _ = answer.send(self.next());
                }
                Command::Read { places, room, answer } => {
                    let _ = answer.send(self.read(&places, &room));
                }
                Command::Remove { places, answer } => {
                    self.done_with.extend(places.iter().map(|place| (place.id, place.bytes)));
                    self.remove();
                    let _ = answer.send(());
                }
                Command::Close { answer } => {
                    drop(self.database);
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }

    /// One commit for all; if that fails, one for each, as a large one may lack the room that a small one has.
    fn store(&mut self, group: Vec<Waiting>) {
        let (messages, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let stored = match self.insert(&messages) {
            Err(_) if messages.len() > 1 => messages.chunks(1).map(|message| self.insert(message)).collect(),
            of_all => vec![of_all; messages.len()],
        };
        for (answer, stored) in answers.into_iter().zip(stored) {
            // Whoever waited may have given up; then the message is there all the same, which does no harm.
            let _ = answer.send(stored);
        }
    }

    fn insert(&mut self, messages: &[Arc<Message>]) -> Result<(), SpoolError> {
        let sealed = messages.iter().map(|message| Record::seal(message, &self.keyring));
        let records: Vec<Record> =
            sealed.collect::<Result<_, _>>().map_err(|error| SpoolError::Compression(Arc::new(error)))?;
        self.database.insert(&records).map_err(|error| self.error(error))?;
        self.tell(|contents| {
            contents.messages += records.len();
            contents.bytes += records.iter().map(|record| record.bytes).sum::<usize>();
        });
        Ok(())
    }

    fn next(&mut self) -> Vec<Place> {
        self.remove();
        let next = self.database.next(|id| self.damaged.contains(&id) || self.done_with.contains_key(&id));
        next.unwrap_or_else(|error| {
            tracing::error!("the spool cannot be read: {}", with_causes(&error));
            Vec::new()
        })
    }

    fn read(&mut self, places: &[Place], room: &Arc<Reservation>) -> Vec<(Place, Message)> {
        let mut messages = Vec::with_capacity(places.len());
        for place in places {
            match self.read_one(*place, room) {
                Ok(Some(message)) => messages.push((*place, message)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!("message {} of the spool is damaged: {}", place.id, with_causes(&error));
                    self.damaged.insert(place.id);
                    self.tell(|contents| contents.damaged += 1);
                }
            }
        }
        messages
    }

    fn read_one(&self, place: Place, room: &Arc<Reservation>) -> Result<Option<Message>, DamagedError> {
        let record = self.database.read(place)?;
        record.map(|record| record.open(&self.keyring, room.clone())).transpose()
    }

    fn remove(&mut self) {
        if self.done_with.is_empty() {
            return;
        }
        if let Err(error) = self.database.remove(self.done_with.keys().copied()) {
            let reason = with_causes(&error);
            return tracing::warn!("what is out of the spool cannot be deleted there yet: {reason}");
        }
        let removed = std::mem::take(&mut self.done_with);
        self.tell(|contents| {
            contents.messages -= removed.len();
            contents.bytes -= removed.values().sum::<usize>();
        });
        if self.contents.borrow().messages == 0
            && let Err(error) = self.database.shrink()
        {
            tracing::info!("the empty spool keeps its size: {}", with_causes(&error));
        }
    }

    /// Says how the contents have changed.
    fn tell(&self, change: impl FnOnce(&mut Contents)) {
        self.contents.send_modify(change);
        self.metrics.spooled(*self.contents.borrow());
    }

    fn error(&self, error: rusqlite::Error) -> SpoolError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => SpoolError::Full { max_bytes: self.database.max_bytes() },
            _ => SpoolError::Disk(Arc::new(error)),
        }
    }
}

/// The first message and those that wait behind it, and the command that came after them, if there is one.
fn gather(first: Waiting, commands: &mut mpsc::Receiver<Command>) -> (Vec<Waiting>, Option<Command>) {
    let mut bytes = first.0.body.len();
    let mut group = vec![first];
    while bytes < GROUP_BYTES {
        match commands.try_recv() {
            Ok(Command::Store { message, answer }) => {
                bytes += message.body.len();
                group.push((message, answer));
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}
