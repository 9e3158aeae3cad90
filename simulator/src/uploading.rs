//! Telling the simulated Garmin of a notification before it is sent, so that the addresses in it lead somewhere.
//!
//! Garmin keeps the entries and answers with the notification to send in place of the plan's: in push mode the same with
//! its own addresses of activity files, in ping mode nothing but addresses. Each time is an upload with addresses of its
//! own, also where the plan repeats an old notification: that is Garmin's resender. What Garmin repeats because an answer
//! got lost is the very same ping, though, and must change nothing however late it comes; so a few pings are sent twice.

use std::collections::BTreeMap;

use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::chance::derived_seed;
pub use crate::garmin::Mode;
use crate::plan::Notification;
use crate::summaries::activity_files;

/// One ping in so many is repeated.
const REPEATED: u64 = 32;

/// A simulated Garmin that is told of notifications before they are sent.
#[derive(Debug, Clone)]
pub struct Uploading {
    /// Its address for plain HTTP.
    pub garmin: Url,
    /// What it makes of a notification.
    pub mode: Mode,
}

/// Why the simulated Garmin has not made a notification to send.
#[derive(Debug, thiserror::Error)]
pub enum UploadingError {
    /// Its address.
    #[error("the simulated Garmin's URL must begin with http://")]
    Url,
    /// The way to it.
    #[error("the simulated Garmin cannot be reached")]
    Connection(#[source] reqwest::Error),
    /// Its answer.
    #[error("the simulated Garmin does not take a notification ({status}): {answer}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said.
        answer: String,
    },
    /// Its notification.
    #[error("the simulated Garmin has answered with something that is no notification")]
    NotANotification(#[source] serde_json::Error),
}

/// What is to be sent in a notification's place.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) body: Vec<u8>,
    /// How many of its entries say where their data can be fetched.
    pub(crate) pings: u64,
}

/// As much of an entry as tells a ping from data.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "callbackURL")]
    callback_url: Option<IgnoredAny>,
}

impl Uploading {
    pub(crate) fn check(&self) -> Result<(), UploadingError> {
        if self.garmin.scheme() == "http" { Ok(()) } else { Err(UploadingError::Url) }
    }

    /// Whether this notification is uploaded. In push mode only those are that would name addresses of nobody's.
    pub(crate) fn takes(&self, notification: &Notification) -> bool {
        self.mode == Mode::Ping || notification.summaries.contains_key(activity_files::KEY)
    }

    /// Whether Garmin sends the household's ping with that place a second time.
    pub(crate) fn repeats(&self, household: usize, place: usize) -> bool {
        let chance = derived_seed(household as u64, place as u64);
        self.mode == Mode::Ping && chance.is_multiple_of(REPEATED)
    }

    /// What Garmin makes of a notification's body.
    pub(crate) async fn upload(&self, client: &Client, body: Vec<u8>) -> Result<Uploaded, UploadingError> {
        let mut url = self.garmin.clone();
        url.set_path("/simulator/uploads");
        url.set_query(Some(match self.mode {
            Mode::Push => "mode=push",
            Mode::Ping => "mode=ping",
        }));
        let response = client.post(url).body(body).send().await.map_err(UploadingError::Connection)?;
        let status = response.status();
        let answer = response.bytes().await.map_err(UploadingError::Connection)?;
        if status != StatusCode::OK {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(UploadingError::Refused { status, answer });
        }
        Ok(Uploaded { pings: pings(&answer)?, body: answer.into() })
    }
}

fn pings(body: &[u8]) -> Result<u64, UploadingError> {
    let lists: BTreeMap<String, Vec<Entry>> =
        serde_json::from_slice(body).map_err(UploadingError::NotANotification)?;
    let pings = lists.values().flatten().filter(|entry| entry.callback_url.is_some());
    Ok(pings.count() as u64)
}

#[cfg(test)]
mod tests;
