//! A push notification's body becomes the notification that Garmin sends: the same, or a ping that says where the data
//! can be fetched. Values are not touched on the way: numbers arrive as they were written.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use url::{Url, form_urlencoded};

use super::data_type::{ACTIVITY_FILES, DataType};
use super::json_object::JsonObject;
use super::server::API;
use super::state::State;

/// Much faster than the network, and a tenth of the size.
const COMPRESSION_LEVEL: i32 = 1;

/// How a notification tells of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With the data in it.
    #[default]
    Push,
    /// With the address of the data.
    Ping,
}

/// What is no upload; nothing is kept of it.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The body.
    #[error("the upload is no JSON object of lists")]
    NotANotification(#[source] serde_json::Error),
    /// A top-level key.
    #[error("Garmin has no data of the type {0:?}")]
    UnknownKey(String),
    /// An entry.
    #[error("an entry of {key} is no object with a userId")]
    NoUser {
        /// Its top-level key.
        key: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An entry of `activityFiles`.
    #[error("an entry of activityFiles has no callbackURL with the number of an activity")]
    NoFile,
    /// Memory, for all that is known.
    #[error("the entries cannot be kept")]
    Compression(#[source] io::Error),
    /// Memory, for all that is known.
    #[error("the notification cannot be written")]
    Notification(#[source] serde_json::Error),
}

/// What is done with one key's list of a body, as far as it needs no state.
enum Work<'a> {
    PassOn(Vec<&'a RawValue>),
    Keep(&'static DataType, Vec<UserEntries>),
    GiveUrls(Vec<FileEntry>),
}

/// One user's entries under one key.
struct UserEntries {
    user: Owner,
    /// JSON values with commas between them, compressed.
    compressed: Vec<u8>,
}

/// Whose an entry is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    user_id: String,
    user_access_token: Option<String>,
}

/// An entry of `activityFiles`.
struct FileEntry {
    user_id: String,
    id: u64,
    file_type: String,
    fields: JsonObject<Box<RawValue>>,
}

/// One key's list in the notification.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    AsItCame(Vec<&'a RawValue>),
    Pings(Vec<Ping>),
    Files(Vec<JsonObject<Box<RawValue>>>),
}

/// An entry that tells where its user's data is (garmin-health-api.md 2.2).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ping {
    user_id: String,
    #[serde(flatten)]
    of_oauth1: Option<Oauth1Fields>,
    #[serde(rename = "callbackURL")]
    callback_url: String,
}

/// What only pings about users of OAuth 1.0a have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Oauth1Fields {
    user_access_token: String,
    upload_start_time_in_seconds: i64,
    upload_end_time_in_seconds: i64,
}

/// A push notification's body, of which nothing was kept yet.
pub(super) struct Received<'a>(Vec<(String, Work<'a>)>);

impl<'a> Received<'a> {
    /// Reads it, and compresses what is to be kept. This is most of the work, and needs no state.
    pub(super) fn read(body: &'a [u8], mode: Mode) -> Result<Self, UploadError> {
        let JsonObject(lists) = serde_json::from_slice::<JsonObject<Vec<&RawValue>>>(body)
            .map_err(UploadError::NotANotification)?;
        let works = lists.into_iter().map(|(key, entries)| {
            let data_type = DataType::of_key(&key).ok_or_else(|| UploadError::UnknownKey(key.clone()))?;
            let work = match mode {
                _ if data_type.key == ACTIVITY_FILES => {
                    Work::GiveUrls(entries.into_iter().map(FileEntry::read).collect::<Result<_, _>>()?)
                }
                Mode::Push => Work::PassOn(entries),
                Mode::Ping => Work::Keep(data_type, by_user(data_type.key, &entries)?),
            };
            Ok((key, work))
        });
        Ok(Self(works.collect::<Result<_, UploadError>>()?))
    }

    /// Keeps what is to be kept; the body of the notification that tells of it.
    pub(super) fn keep(self, state: &mut State) -> Result<Vec<u8>, UploadError> {
        let told = self.0.into_iter().map(|(key, work)| {
            let told = match work {
                Work::PassOn(entries) => Told::AsItCame(entries),
                Work::Keep(data_type, users) => Told::Pings(
                    users.into_iter().map(|entries| state.keep_upload(data_type, entries)).collect(),
                ),
                Work::GiveUrls(files) => {
                    let files = files.into_iter().map(|file| state.give_file_url(file));
                    Told::Files(files.collect::<Result<_, _>>().map_err(UploadError::Notification)?)
                }
            };
            Ok((key, told))
        });
        let notification = JsonObject(told.collect::<Result<Vec<_>, UploadError>>()?);
        serde_json::to_vec(&notification).map_err(UploadError::Notification)
    }
}

impl State {
    fn keep_upload(&mut self, data_type: &DataType, entries: UserEntries) -> Ping {
        let UserEntries { user: Owner { user_id, user_access_token }, compressed } = entries;
        let token = user_access_token.is_none().then(|| self.download_token());
        let range = self.uploads.keep(&user_id, data_type.pull_path, token.clone(), compressed);
        let (start, end) = (range.0.to_string(), range.1.to_string());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("uploadStartTimeInSeconds", &start)
            .append_pair("uploadEndTimeInSeconds", &end)
            .extend_pairs(token.map(|token| ("token", token)))
            .finish();
        Ping {
            callback_url: format!("{}{API}/{}?{query}", self.callback_origin, data_type.pull_path),
            user_id,
            of_oauth1: user_access_token.map(|user_access_token| Oauth1Fields {
                user_access_token,
                upload_start_time_in_seconds: range.0,
                upload_end_time_in_seconds: range.1,
            }),
        }
    }

    fn give_file_url(&mut self, file: FileEntry) -> Result<JsonObject<Box<RawValue>>, serde_json::Error> {
        let FileEntry { user_id, id, file_type, mut fields } = file;
        let token = self.download_token();
        let url = format!("{}{API}/activityFile?id={id}&token={token}", self.callback_origin);
        self.files.offer(token, user_id, id, file_type);
        if let Some(callback_url) = fields.get_mut("callbackURL") {
            *callback_url = to_raw_value(&url)?;
        }
        Ok(fields)
    }
}

impl FileEntry {
    fn read(entry: &RawValue) -> Result<Self, UploadError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Known {
            user_id: String,
            #[serde(rename = "callbackURL", default)]
            callback_url: String,
            #[serde(default)]
            file_type: String,
        }
        let no_user = |source| UploadError::NoUser { key: ACTIVITY_FILES, source };
        let known: Known = serde_json::from_str(entry.get()).map_err(no_user)?;
        let fields = serde_json::from_str(entry.get()).map_err(no_user)?;
        let id = activity_id(&known.callback_url).ok_or(UploadError::NoFile)?;
        Ok(Self { user_id: known.user_id, id, file_type: known.file_type, fields })
    }
}

/// The `id` of `…/activityFile?id=N&token=T`.
fn activity_id(callback_url: &str) -> Option<u64> {
    let url = Url::parse(callback_url).ok()?;
    url.query_pairs().find(|(name, _)| name == "id")?.1.parse().ok()
}

/// The entries of each user, users in the order of their first entries.
fn by_user(key: &'static str, entries: &[&RawValue]) -> Result<Vec<UserEntries>, UploadError> {
    let mut users: Vec<(Owner, Vec<&str>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let owner: Owner =
            serde_json::from_str(entry.get()).map_err(|source| UploadError::NoUser { key, source })?;
        let place = *places.entry(owner.user_id.clone()).or_insert(users.len());
        if place == users.len() {
            users.push((owner, Vec::new()));
        }
        users[place].1.push(entry.get());
    }
    let compress = |(user, entries): (Owner, Vec<&str>)| {
        let compressed = zstd::encode_all(entries.join(",").as_bytes(), COMPRESSION_LEVEL)
            .map_err(UploadError::Compression)?;
        Ok(UserEntries { user, compressed })
    };
    users.into_iter().map(compress).collect()
}
