//! What devices have uploaded: kept, so that who was told of it can fetch it.
//!
//! Each upload of a user has a range of upload times of its own, later than all before: "the last received counts" means
//! the same as when the data is pushed. The times are a virtual clock's, which starts a day ago and moves a second an
//! upload, so that none is in the future however fast uploads come.

use std::collections::HashMap;
use std::io;

use super::history::DAY;
use super::state::unix_now;

/// Everything that was uploaded, by user.
#[derive(Debug)]
pub(super) struct Uploads {
    users: HashMap<String, Vec<Upload>>,
    /// Before the first upload, in Unix seconds.
    clock_start: i64,
}

/// What one notification tells of one user under one key.
#[derive(Debug)]
struct Upload {
    pull_path: &'static str,
    /// Unix seconds.
    end: i64,
    /// Part of the callback URL, but in the days of OAuth 1.0a.
    token: Option<String>,
    expired: bool,
    /// JSON values with commas between them, compressed.
    entries: Vec<u8>,
}

/// A range of upload times in Unix seconds: after the first, up to and including the second.
pub(super) type UploadRange = (i64, i64);

impl Upload {
    fn range(&self) -> UploadRange {
        (self.end - 1, self.end)
    }
}

impl Uploads {
    pub(super) fn new() -> Self {
        Self { users: HashMap::new(), clock_start: unix_now() - DAY }
    }

    /// Whether the user was sent a callback URL with this path, range and token (or, in the days of OAuth 1.0a, none).
    pub(super) fn is_callback(
        &self,
        user_id: &str,
        pull_path: &str,
        range: UploadRange,
        token: Option<&str>,
    ) -> bool {
        self.of(user_id).any(|upload| {
            !upload.expired
                && upload.pull_path == pull_path
                && upload.range() == range
                && upload.token.as_deref() == token
        })
    }

    /// The user's entries of that type with such upload times, in their order: a JSON array.
    pub(super) fn entries(
        &self,
        user_id: &str,
        pull_path: &str,
        (start, end): UploadRange,
    ) -> io::Result<Vec<u8>> {
        let within =
            |upload: &&Upload| upload.pull_path == pull_path && start < upload.end && upload.end <= end;
        let mut array = b"[".to_vec();
        for upload in self.of(user_id).filter(within) {
            if array.len() > 1 {
                array.push(b',');
            }
            zstd::stream::copy_decode(upload.entries.as_slice(), &mut array)?;
        }
        array.push(b']');
        Ok(array)
    }

    /// The callback URLs so far are good for nothing any more.
    pub(super) fn expire(&mut self) {
        self.users.values_mut().flatten().for_each(|upload| upload.expired = true);
    }

    fn of(&self, user_id: &str) -> impl Iterator<Item = &Upload> {
        self.users.get(user_id).into_iter().flatten()
    }

    /// Gives the upload a range of its own.
    pub(super) fn keep(
        &mut self,
        user_id: &str,
        pull_path: &'static str,
        token: Option<String>,
        entries: Vec<u8>,
    ) -> UploadRange {
        let of_user = self.users.entry(user_id.to_owned()).or_default();
        let end = of_user.last().map_or(self.clock_start, |last| last.end) + 1;
        let upload = Upload { pull_path, end, token, expired: false, entries };
        let range = upload.range();
        of_user.push(upload);
        range
    }
}
