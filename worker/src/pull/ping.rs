//! A ping: an entry of a notification that says where to fetch what it announces (garmin-health-api.md 2.2).

use super::callback_url::{CallbackHost, CallbackUrl};
use crate::files::{self, FileId};
use crate::garmin::Call;
use crate::message::{Message, Outgoing, Reason};
use crate::summaries::{Registry, body};
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::Microseconds;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One ping.
#[derive(Debug)]
pub(super) struct Ping {
    /// What it announces.
    pub(super) endpoint: &'static Endpoint,
    /// For whom.
    pub(super) user_id: String,
    /// Where it is.
    pub(super) url: CallbackUrl,
    /// What the URL is known again by.
    pub(super) digest: [u8; 32],
    /// The file that is announced, if it is one.
    pub(super) file: Option<FileId>,
}

/// What is read of an entry here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "callbackURL")]
    callback_url: String,
}

impl Ping {
    /// Reads the only entry of a message's body.
    ///
    /// # Errors
    /// The dead letter that the message becomes if it is no ping, or one that is not followed.
    pub(super) fn read(
        registry: &Registry,
        message: &Message,
        hosts: &[CallbackHost],
    ) -> Result<Self, Box<Outgoing>> {
        let malformed = |error: &str| Box::new(message.dead(Reason::MalformedEntry, error));
        let (endpoint, entry) = body::only_entry(&message.body)
            .ok_or_else(|| malformed("not one entry under a key of Garmin's"))?;
        let user_id = body::user_of(entry).ok_or_else(|| malformed("userId is missing"))?.into_owned();
        let callback_url = read_url(entry).ok_or_else(|| malformed("callbackURL is not a text"))?;
        let url = CallbackUrl::read(&callback_url, hosts)
            .map_err(|error| Box::new(message.dead(Reason::CallbackRefused, &error.to_string())))?;
        let digest = url.digest(&user_id);
        let is_of_file = endpoint.key == files::KEY;
        let file = is_of_file.then(|| FileId::of_entry(registry, entry)).transpose();
        let file = file.map_err(|rejection| malformed(&rejection.to_string()))?;
        Ok(Self { endpoint, user_id, url, digest, file })
    }

    /// What Garmin is asked for.
    pub(super) fn call(&self) -> Call {
        if self.file.is_some() { Call::ActivityFile } else { Call::Pull }
    }

    /// The moment that orders versions: the end of the upload range that the URL names. It is the same for every
    /// repetition of the ping, in whatever order they come (design.md, law 3). Nothing can have been uploaded after the ping
    /// came.
    pub(super) fn uploaded_at(&self, arrived: Microseconds) -> Microseconds {
        self.url.upload_end().map_or(arrived, |end| end.min(arrived))
    }
}

fn read_url(entry: &RawValue) -> Option<String> {
    serde_json::from_str::<Entry>(entry.get()).ok().map(|entry| entry.callback_url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Destination;
    use apollo_shared::envelope::Envelope;

    fn message(body: &str) -> Message {
        let envelope = Envelope::of_arrival("dailies", Microseconds(1_000), None);
        Message { envelope, routing_key: "pull.dailies".to_owned(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_version_is_never_later_than_the_ping() {
        let hosts = ["a".parse().unwrap()];
        let body = r#"{"dailies": [{"userId": "u", "callbackURL": "https://a/?uploadEndTimeInSeconds=7"}]}"#;
        let ping = Ping::read(&Registry::new(), &message(body), &hosts).unwrap();
        assert_eq!((ping.user_id.as_str(), ping.endpoint.key, ping.file.is_some()), ("u", "dailies", false));
        assert_eq!(ping.uploaded_at(Microseconds(9_000_000)), Microseconds(7_000_000));
        assert_eq!(ping.uploaded_at(Microseconds(6_000_000)), Microseconds(6_000_000));
    }

    #[test]
    fn what_is_no_ping_of_garmins_is_a_dead_letter_that_says_why() {
        for (body, reason) in [
            ("[]", Reason::MalformedEntry),
            (r#"{"odd": [{"userId": "u", "callbackURL": "https://a/"}]}"#, Reason::MalformedEntry),
            (r#"{"dailies": []}"#, Reason::MalformedEntry),
            (r#"{"dailies": [{"callbackURL": "https://a/"}]}"#, Reason::MalformedEntry),
            (r#"{"dailies": [{"userId": "u", "callbackURL": 5}]}"#, Reason::MalformedEntry),
            (
                r#"{"dailies": [{"userId": "u", "callbackURL": "https://b/?token=s3cret"}]}"#,
                Reason::CallbackRefused,
            ),
        ] {
            let dead = Ping::read(&Registry::new(), &message(body), &["a".parse().unwrap()]).unwrap_err();
            let Destination::Dead { reason: why, error } = &dead.destination else { panic!("{dead:?}") };
            assert_eq!(*why, reason, "{body}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
