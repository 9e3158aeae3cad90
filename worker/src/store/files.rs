//! Activity files: `garmin_wellness.activity_file_content`.

use super::error::StoreError;
use super::raw::instant;
use super::withdrawals::{self, Hindrance, Present};
use crate::files::{FileId, FileVersion, Media, PARSER_VERSION, Reading};
use apollo_shared::envelope::Microseconds;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgExecutor, Postgres};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use time::OffsetDateTime;

/// The table, in the schema `garmin_wellness`.
pub(crate) const TABLE: &str = "activity_file_content";

/// A file to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewFile<'a> {
    pub(crate) id: &'a FileId,
    pub(crate) version: FileVersion,
    pub(crate) content: &'a [u8],
    pub(crate) sha256: [u8; 32],
    pub(crate) reading: &'a Reading,
}

/// What came of an attempt to store a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is stored.
    Written,
    /// A version at least as new is stored.
    Stale,
    /// Its user has withdrawn.
    Withdrawn,
}

/// What tells one file from another.
const KEY: [&str; 3] = ["user_id", "summary_id", "file_type"];

/// The bytes, and the version of the ping.
const OF_FILE: [&str; 6] = ["content", "sha256", "size_in_bytes", "received_at", "message_id", "entry_index"];

/// What a parser has said, each with what its parameter is cast to.
const OF_READING: [(&str, &str); 19] = [
    ("media", ""),
    ("state", ""),
    ("error", ""),
    ("parser_version", ""),
    ("utc_offset_in_seconds", ""),
    ("record_times", ""),
    ("record_latitudes", ""),
    ("record_longitudes", ""),
    ("record_altitudes", ""),
    ("record_heart_rates", ""),
    ("record_cadences", ""),
    ("record_powers", ""),
    ("record_speeds", ""),
    ("record_distances", ""),
    ("record_temperatures", ""),
    ("record_extras", "::text[]::jsonb[]"),
    ("sessions", "::text::jsonb"),
    ("laps", "::text::jsonb"),
    ("unread", ""),
];

/// Stores a file unless a newer one is stored.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let casts = KEY.iter().chain(&OF_FILE).map(|_| "").chain(OF_READING.map(|(_, cast)| cast));
    let values: Vec<String> =
        casts.enumerate().map(|(place, cast)| format!("${}{cast}", place + 1)).collect();
    let of_reading = OF_READING.map(|(column, _)| column);
    let columns: Vec<&str> = KEY.iter().chain(&OF_FILE).chain(&of_reading).copied().collect();
    let set: Vec<String> =
        columns[KEY.len()..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO garmin_wellness.{TABLE} AS stored ({}, fetched_at) VALUES ({}, now())
         ON CONFLICT (user_id, summary_id, file_type) DO UPDATE SET {}, fetched_at = excluded.fetched_at
         WHERE (excluded.received_at, excluded.message_id, excluded.entry_index)
             > (stored.received_at, stored.message_id, stored.entry_index)",
        columns.join(", "),
        values.join(", "),
        set.join(", "),
    )
});

/// Puts a new reading in the place of an older one, unless the file is another one meanwhile.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let set = OF_READING.iter().enumerate().map(|(place, (column, cast))| {
        // Behind the key and the digest.
        format!("{column} = ${}{cast}", place + KEY.len() + 2)
    });
    format!(
        "UPDATE garmin_wellness.{TABLE} SET {}
         WHERE user_id = $1 AND summary_id = $2 AND file_type = $3 AND sha256 = $4",
        set.collect::<Vec<_>>().join(", ")
    )
});

/// Stores a file in one transaction with a look at whether its user has withdrawn.
///
/// # Errors
/// Nothing is stored then; see [`StoreError`].
pub(crate) async fn store(connection: &mut PgConnection, file: &NewFile<'_>) -> Result<Stored, StoreError> {
    let user_ids = BTreeSet::from([file.id.user_id.clone()]);
    // The ping may be older than the end of a consent; the file comes now.
    let present = [Present { received_at: Microseconds::now(), user_ids: &user_ids }];
    let of_rows = BTreeSet::from([file.id.user_id.as_str()]);
    let mut transaction = loop {
        let mut transaction = connection.begin().await?;
        match withdrawals::hindrance(&mut transaction, &present, &of_rows).await? {
            None => break transaction,
            Some(Hindrance::Withdrawn(_)) => return Ok(Stored::Withdrawn),
            Some(Hindrance::Unknown(user_ids)) => {
                transaction.rollback().await?;
                withdrawals::put_on_record(connection, user_ids).await?;
            }
        }
    };
    let FileVersion { received_at, message_id, entry_index } = file.version;
    let insert = bind_key(sqlx::query(AssertSqlSafe(INSERT.as_str())), file.id)
        .bind(file.content)
        .bind(file.sha256)
        .bind(i64::try_from(file.content.len()).unwrap_or(i64::MAX))
        .bind(instant(received_at))
        .bind(message_id)
        .bind(i32::try_from(entry_index).unwrap_or(i32::MAX));
    let written = bind_reading(insert, file.reading).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(if written.rows_affected() == 0 { Stored::Stale } else { Stored::Written })
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

fn bind_key<'q>(statement: Statement<'q>, id: &'q FileId) -> Statement<'q> {
    statement.bind(&id.user_id).bind(&id.summary_id).bind(&id.file_type)
}

/// In the order of [`OF_READING`].
fn bind_reading<'q>(statement: Statement<'q>, reading: &'q Reading) -> Statement<'q> {
    let recording = reading.recording.as_ref().and_then(|recording| recording.as_ref().ok());
    let error = reading.recording.as_ref().and_then(|recording| recording.as_ref().err());
    let records = recording.map(|recording| &recording.records);
    let list = |objects: &Vec<String>| format!("[{}]", objects.join(","));
    let unread = recording.map(|recording| recording.unread.iter().collect::<Vec<_>>());
    statement
        .bind(reading.media.name())
        .bind(reading.state())
        .bind(error.map(ToString::to_string))
        .bind(PARSER_VERSION)
        .bind(recording.and_then(|recording| recording.utc_offset_in_seconds))
        .bind(records.map(|records| &records.time))
        .bind(records.and_then(|records| any(&records.latitude)))
        .bind(records.and_then(|records| any(&records.longitude)))
        .bind(records.and_then(|records| any(&records.altitude)))
        .bind(records.and_then(|records| any(&records.heart_rate)))
        .bind(records.and_then(|records| any(&records.cadence)))
        .bind(records.and_then(|records| any(&records.power)))
        .bind(records.and_then(|records| any(&records.speed)))
        .bind(records.and_then(|records| any(&records.distance)))
        .bind(records.and_then(|records| any(&records.temperature)))
        .bind(records.and_then(|records| any(&records.extra)))
        .bind(recording.map(|recording| list(&recording.sessions)))
        .bind(recording.map(|recording| list(&recording.laps)))
        .bind(unread.filter(|unread| !unread.is_empty()))
}

/// A figure that no record has is no array of nulls.
fn any<T>(figures: &Vec<Option<T>>) -> Option<&Vec<Option<T>>> {
    figures.iter().any(Option::is_some).then_some(figures)
}

/// How many files of a kind there are.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct FileCount {
    /// What Garmin says that they are.
    pub(crate) file_type: String,
    /// What they are; nothing where they have been announced only.
    pub(crate) media: Option<String>,
    /// As [`Reading::state`].
    pub(crate) state: Option<String>,
    /// How many.
    pub(crate) files: i64,
    /// Their length in all.
    pub(crate) bytes: i64,
}

/// Counts files, those that were announced and not fetched too.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn counts(connection: &mut PgConnection) -> sqlx::Result<Vec<FileCount>> {
    sqlx::query_as(
        "SELECT file_type, media, state, count(*) AS files,
                coalesce(sum(size_in_bytes), 0)::bigint AS bytes
         FROM garmin_wellness.activity_file
         FULL JOIN garmin_wellness.activity_file_content USING (user_id, summary_id, file_type)
         GROUP BY file_type, media, state ORDER BY file_type, media, state",
    )
    .fetch_all(connection)
    .await
}

/// A file that cannot be read.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct UnreadableFile {
    pub(crate) subject_id: Option<String>,
    pub(crate) user_id: String,
    pub(crate) summary_id: String,
    pub(crate) file_type: String,
    pub(crate) size_in_bytes: i64,
    pub(crate) error: String,
}

/// The files that cannot be read, the newest first.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn unreadable(connection: &mut PgConnection) -> sqlx::Result<Vec<UnreadableFile>> {
    sqlx::query_as(
        "SELECT subject_id, user_id, summary_id, file_type, size_in_bytes, error
         FROM garmin_wellness.activity_file_content LEFT JOIN garmin_oauth.subject USING (user_id)
         WHERE state = 'unreadable' ORDER BY received_at DESC, user_id, summary_id, file_type",
    )
    .fetch_all(connection)
    .await
}

/// Files that a newer parser, or another attempt, may read.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn to_be_read(connection: &mut PgConnection) -> sqlx::Result<Vec<FileId>> {
    let keys: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT user_id, summary_id, file_type FROM garmin_wellness.activity_file_content
         WHERE state = 'unreadable' OR parser_version < $1 ORDER BY user_id, summary_id, file_type",
    )
    .bind(PARSER_VERSION)
    .fetch_all(connection)
    .await?;
    let id = |(user_id, summary_id, file_type)| FileId { user_id, summary_id, file_type };
    Ok(keys.into_iter().map(id).collect())
}

/// The bytes of a file and their digest when they came; nothing if it is gone.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn content(
    executor: impl PgExecutor<'_>,
    id: &FileId,
) -> sqlx::Result<Option<(Vec<u8>, Vec<u8>)>> {
    sqlx::query_as(
        "SELECT content, sha256 FROM garmin_wellness.activity_file_content
         WHERE user_id = $1 AND summary_id = $2 AND file_type = $3",
    )
    .bind(&id.user_id)
    .bind(&id.summary_id)
    .bind(&id.file_type)
    .fetch_optional(executor)
    .await
}

/// Puts a new reading of a file with that digest in the place of the older one.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn update(
    executor: impl PgExecutor<'_>,
    id: &FileId,
    sha256: &[u8],
    reading: &Reading,
) -> sqlx::Result<()> {
    let update = bind_key(sqlx::query(AssertSqlSafe(UPDATE.as_str())), id).bind(sha256);
    bind_reading(update, reading).execute(executor).await?;
    Ok(())
}

/// Which files are asked for; an empty list is no condition.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Of these subjects.
    pub(crate) subjects: Vec<String>,
    /// Of these kinds, by content.
    pub(crate) media: Vec<Media>,
    /// Of activities that began at this moment or later.
    pub(crate) from: Option<OffsetDateTime>,
    /// Of activities that began before this moment.
    pub(crate) to: Option<OffsetDateTime>,
}

/// A stored file, without its bytes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct FileEntry {
    pub(crate) subject_id: Option<String>,
    pub(crate) user_id: String,
    pub(crate) summary_id: String,
    pub(crate) file_type: String,
    pub(crate) activity_id: Option<i64>,
    pub(crate) start_time: Option<OffsetDateTime>,
    pub(crate) media: String,
    pub(crate) size_in_bytes: i64,
    pub(crate) sha256: Vec<u8>,
}

impl FileEntry {
    /// Its identity.
    pub(crate) fn id(&self) -> FileId {
        let Self { user_id, summary_id, file_type, .. } = self.clone();
        FileId { user_id, summary_id, file_type }
    }
}

/// The files that are asked for, by subject and user, in the order in which activities began; where that is not known,
/// when the file was announced counts.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn select(
    connection: &mut PgConnection,
    selection: &Selection,
) -> sqlx::Result<Vec<FileEntry>> {
    let media: Vec<&str> = selection.media.iter().map(|media| media.name()).collect();
    sqlx::query_as(
        "SELECT subject_id, user_id, summary_id, file_type, file.activity_id,
                coalesce(file.start_time, record_times[1]) AS start_time, media, size_in_bytes, sha256
         FROM garmin_wellness.activity_file_content AS content
         LEFT JOIN garmin_wellness.activity_file AS file USING (user_id, summary_id, file_type)
         LEFT JOIN garmin_oauth.subject USING (user_id)
         WHERE ($1 = '{}' OR subject_id = ANY ($1)) AND ($2 = '{}' OR media = ANY ($2))
           AND coalesce(file.start_time, record_times[1], content.received_at) >= coalesce($3, '-infinity')
           AND coalesce(file.start_time, record_times[1], content.received_at) < coalesce($4, 'infinity')
         ORDER BY subject_id, user_id, coalesce(file.start_time, record_times[1], content.received_at),
                  summary_id, file_type",
    )
    .bind(&selection.subjects)
    .bind(media)
    .bind(selection.from)
    .bind(selection.to)
    .fetch_all(connection)
    .await
}
