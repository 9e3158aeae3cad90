//! Dead letters in a file: a line of JSON each, to be kept, or mended by hand and replayed.
//!
//! A line is on disk before its letter is removed from the queue. The bodies are participants' health data, hence only
//! the file's owner may read it, and a file that exists is never overwritten.

use super::{Letter, letter};
use apollo_shared::envelope::{Envelope, EnvelopeError, Microseconds};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use uuid::Uuid;

/// A letter as a line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    message_id: Option<Uuid>,
    #[serde(rename = "type")]
    endpoint: String,
    #[serde(with = "time::serde::rfc3339::option")]
    received_at: Option<OffsetDateTime>,
    /// Of what was pulled, for which `received_at` is when it was uploaded.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    arrived_at: Option<OffsetDateTime>,
    entry_index: u32,
    #[serde(default)]
    traceparent: String,
    routing_key: String,
    lane: String,
    reason: String,
    error: String,
    /// Instead of `body_base64`, where it is text: so it can be mended in an editor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Why a file of letters cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be made.
    #[error("{path} cannot be made, so nothing was dropped")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("{path} cannot be written; the letter in hand is not dropped")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not what `drop --save` writes.
    #[error("line {number} of {path} is not a letter as `dead-letters drop --save` writes it")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        number: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// A file that letters are saved to.
pub struct Saving {
    path: PathBuf,
    file: File,
}

impl Saving {
    /// Makes the file.
    ///
    /// # Errors
    /// It exists, or cannot be made.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let create = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|source| FileError::Create { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Saves a letter for sure.
    ///
    /// # Errors
    /// It is not saved.
    pub fn save(&mut self, letter: &Letter) -> Result<(), FileError> {
        let mut write = || {
            let mut line = serde_json::to_vec(&Line::of(letter))?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        write().map_err(|source| FileError::Write { path: self.path.clone(), source })
    }
}

/// Reads the letters of a file, one after the other; empty lines are skipped.
///
/// # Errors
/// The file cannot be opened.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<Letter, FileError>>, FileError> {
    let path = path.to_owned();
    let file = File::open(&path).map_err(|source| FileError::Read { path: path.clone(), source })?;
    Ok(BufReader::new(file).lines().enumerate().filter_map(move |(index, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => {
            let letter = serde_json::from_str::<Line>(&line).and_then(Line::into_letter);
            let error = |source| FileError::Line { path: path.clone(), number: index + 1, source };
            Some(letter.map_err(error))
        }
        Err(source) => Some(Err(FileError::Read { path: path.clone(), source })),
    }))
}

impl Line {
    fn of(letter: &Letter) -> Self {
        let envelope = letter.envelope.as_ref().ok();
        let (body, body_base64) = match std::str::from_utf8(&letter.body) {
            Ok(body) => (Some(body.to_owned()), None),
            Err(_) => (None, Some(BASE64_STANDARD.encode(&letter.body))),
        };
        Self {
            message_id: envelope.map(|envelope| envelope.message_id),
            endpoint: letter.endpoint().to_owned(),
            received_at: letter.received_at(),
            arrived_at: envelope.and_then(|envelope| envelope.arrived_at).and_then(letter::moment),
            entry_index: letter.entry_index(),
            traceparent: envelope.map(|envelope| envelope.traceparent.clone()).unwrap_or_default(),
            routing_key: letter.routing_key.clone(),
            lane: letter.lane.clone(),
            reason: letter.reason.clone(),
            error: letter.error.clone(),
            body,
            body_base64,
        }
    }

    fn into_letter(self) -> serde_json::Result<Letter> {
        let envelope = self.envelope();
        let body = match (self.body, self.body_base64) {
            (Some(body), _) => body.into_bytes(),
            (None, Some(body)) => BASE64_STANDARD.decode(body).map_err(serde_json::Error::custom)?,
            (None, None) => return Err(serde_json::Error::custom("neither body nor body_base64")),
        };
        Ok(Letter {
            envelope,
            reason: self.reason,
            error: self.error,
            lane: self.lane,
            routing_key: self.routing_key,
            body,
        })
    }

    fn envelope(&self) -> Result<Envelope, EnvelopeError> {
        let microseconds = |moment: Option<OffsetDateTime>| {
            moment
                .and_then(|moment| i64::try_from(moment.unix_timestamp_nanos() / 1000).ok())
                .map(Microseconds)
        };
        Ok(Envelope {
            message_id: self.message_id.ok_or(EnvelopeError::MessageId)?,
            endpoint: self.endpoint.clone(),
            received_at: microseconds(self.received_at).ok_or(EnvelopeError::ReceivedAt)?,
            arrived_at: microseconds(self.arrived_at),
            first_entry_index: self.entry_index,
            attempt: 0,
            traceparent: self.traceparent.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: &[u8]) -> Letter {
        let mut envelope = Envelope::of_arrival("dailies", Microseconds(1_794_265_200_123_456), None);
        envelope.first_entry_index = 3;
        envelope.arrived_at = Some(Microseconds(1_794_265_300_000_000));
        Letter {
            envelope: Ok(envelope),
            reason: "malformed_entry".to_owned(),
            error: "an error".to_owned(),
            lane: "summaries".to_owned(),
            routing_key: "push.dailies".to_owned(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_saved_letter_is_read_back_as_it_was_whatever_its_bytes() {
        for body in [b"{\"dailies\": []}\n".as_slice(), b"", b"\xff\x00"] {
            let (letter, folder) = (letter(body), tempfile::tempdir().unwrap());
            let path = folder.path().join("letters");
            Saving::create(&path).unwrap().save(&letter).unwrap();
            let read: Vec<Letter> = read(&path).unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(read.len(), 1);
            assert_eq!((&read[0].envelope, &read[0].body), (&letter.envelope, &letter.body));
            assert_eq!(read[0].routing_key, letter.routing_key);
        }
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Saving::create(file.path()), Err(FileError::Create { .. })));
    }
}
