//! Activity files: kept as they came, and read where they are FIT files.
//!
//! Garmin lets a file be fetched once and for a day, so its bytes are stored whatever they are, and whatever a parser
//! says of them; a better parser can look at them again (`apollo-worker files parse`). A file is known by the same
//! identity as the row of the ping that announced it, and of several versions the one of the latest ping counts.

pub mod fit;
pub mod folder;
mod media;

pub use media::Media;

use crate::metrics::Metrics;
use crate::store::ask;
use crate::store::error::StoreError;
use crate::store::files::{self, NewFile, Stored};
use crate::summaries::Registry;
use crate::summaries::entry::{self, Rejection};
use crate::summaries::value::Value;
use apollo_shared::envelope::Microseconds;
use fit::{Recording, Unreadable};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

/// Counts up whenever the same bytes give another result.
pub const PARSER_VERSION: i32 = 1;

/// The top-level key of pings for files.
pub(crate) const KEY: &str = "activityFiles";

/// Which file: the identity of a row of `activity_file`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// Garmin's id of the user.
    pub user_id: String,
    /// The activity's id with `-file` behind; of older deliveries without.
    pub summary_id: String,
    /// What Garmin says that it is; may be empty.
    pub file_type: String,
}

impl FileId {
    /// The identity that the summaries lane gives a ping.
    ///
    /// # Errors
    /// The entry would be a dead letter there.
    pub fn of_entry(registry: &Registry, entry: &RawValue) -> Result<Self, Rejection> {
        let position = registry.position(KEY).ok_or(Rejection::NoIdentity(KEY))?;
        let table = &registry.tables()[position];
        let values = entry::read(table, KEY, entry::open(entry)?)?.values;
        let text = |place: usize| match table.identity.get(place).and_then(|column| values.get(*column)) {
            Some(Value::Text(text)) => Ok(text.clone().into_owned()),
            _ => Err(Rejection::NoIdentity(KEY)),
        };
        Ok(Self { user_id: text(0)?, summary_id: text(1)?, file_type: text(2)? })
    }
}

/// The version of a file: that of its ping. Ordered as rows of summaries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileVersion {
    /// When the ping was received.
    pub received_at: Microseconds,
    /// The notification that it came in.
    pub message_id: Uuid,
    /// Its place in that notification.
    pub entry_index: u32,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub media: Media,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, and so is what is in it.
    Parsed,
    /// It is stored; it is no FIT file.
    Kept,
    /// It is stored; what is in it could not be read.
    Unreadable,
    /// A newer version is stored already, or this one.
    Stale,
    /// The user has withdrawn: nothing is stored.
    Withdrawn,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Parsed, Self::Kept, Self::Unreadable, Self::Stale, Self::Withdrawn];

    /// As metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Kept => "kept",
            Self::Unreadable => "unreadable",
            Self::Stale => "stale",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What a parser has to say of a file.
#[derive(Debug)]
pub struct Reading {
    /// What it is.
    pub media: Media,
    /// What is in it, if it is a FIT file.
    pub recording: Option<Result<Recording, Unreadable>>,
}

impl Reading {
    /// As the database names its state.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.recording {
            Some(Ok(_)) => "parsed",
            Some(Err(_)) => "unreadable",
            None => "not_fit",
        }
    }

    fn outcome(&self) -> Outcome {
        match self.recording {
            Some(Ok(_)) => Outcome::Parsed,
            Some(Err(_)) => Outcome::Unreadable,
            None => Outcome::Kept,
        }
    }
}

/// Stores a file, and what is in it, unless a version at least as new is stored or its user has withdrawn. Counts it.
///
/// # Errors
/// Nothing is stored then.
pub async fn keep(
    pool: &PgPool,
    metrics: &Metrics,
    id: &FileId,
    version: FileVersion,
    content: &Arc<Vec<u8>>,
) -> Result<Kept, StoreError> {
    let reading = read(Arc::clone(content)).await.map_err(sqlx::Error::Io)?;
    let sha256 = digest(content);
    let file = NewFile { id, version, content, sha256, reading: &reading };
    let store =
        async |file: &NewFile<'_>| ask(pool, async |connection| files::store(connection, file).await).await;
    let (stored, reading) = match store(&file).await {
        // Whatever it is that PostgreSQL does not take, the bytes are kept.
        Err(StoreError::Data(error)) if matches!(reading.recording, Some(Ok(_))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a file is kept without what is in it");
            let reading = Reading { recording: Some(Err(Unreadable::Defect)), ..reading };
            (store(&NewFile { reading: &reading, ..file }).await?, reading)
        }
        stored => (stored?, reading),
    };
    let outcome = match stored {
        Stored::Written => reading.outcome(),
        Stored::Stale => Outcome::Stale,
        Stored::Withdrawn => Outcome::Withdrawn,
    };
    let kept = Kept { media: reading.media, outcome };
    metrics.activity_file(kept);
    Ok(kept)
}

/// SHA-256.
#[must_use]
pub fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// Looks into a file, on a thread of its own: a defect of the parser harms that file only, and what reading may cost
/// is bounded.
///
/// # Errors
/// The program is being torn down.
pub async fn read(content: Arc<Vec<u8>>) -> io::Result<Reading> {
    let media = Media::of(&content);
    if media != Media::Fit {
        return Ok(Reading { media, recording: None });
    }
    let read = tokio::task::spawn_blocking(move || fit::read(&content, fit::LIMITS)).await;
    let recording = match read {
        Ok(recording) => recording,
        Err(error) if error.is_panic() => Err(Unreadable::Defect),
        Err(error) => return Err(io::Error::other(error)),
    };
    Ok(Reading { media, recording: Some(recording) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(entry: &str) -> Result<FileId, Rejection> {
        let entry: &RawValue = serde_json::from_str(entry).expect("JSON");
        FileId::of_entry(&Registry::new(), entry)
    }

    #[test]
    fn a_file_has_the_identity_of_its_ping() {
        let url = "https://apis.garmin.com/wellness-api/rest/activityFile?id=77&token=t";
        let known = |summary_id: &str, file_type: &str| FileId {
            user_id: "u".to_owned(),
            summary_id: summary_id.to_owned(),
            file_type: file_type.to_owned(),
        };
        let entry =
            format!(r#"{{"userId": "u", "summaryId": "5-file", "fileType": "FIT", "callbackURL": "{url}"}}"#);
        assert_eq!(id(&entry), Ok(known("5-file", "FIT")));
        let older = format!(r#"{{"userId": "u", "callbackURL": "{url}"}}"#);
        assert_eq!(id(&older), Ok(known("77", "")));
        assert!(id(r#"{"userId": "u", "fileType": "FIT"}"#).is_err());
        assert!(id(r#"{"summaryId": "5-file", "fileType": "FIT"}"#).is_err());
    }

    #[test]
    fn the_latest_ping_counts() {
        let version = |received_at, message_id, entry_index| FileVersion {
            received_at: Microseconds(received_at),
            message_id: Uuid::from_u128(message_id),
            entry_index,
        };
        assert!(version(2, 1, 1) > version(1, 2, 2));
        assert!(version(1, 2, 1) > version(1, 1, 2));
        assert!(version(1, 1, 2) > version(1, 1, 1));
    }
}
