//! What Garmin gave for a ping, as ordinary notifications: so there is one way into the tables.

use crate::message::Outgoing;
use crate::summaries::body;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::{Envelope, Microseconds};
use serde_json::value::RawValue;

/// Bytes of a notification's body beyond which its next entry begins another one, as the receiver splits what it takes.
const PART_BYTES: usize = 384 * 1024;

/// Where entries come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The type that they are of.
    pub(super) endpoint: &'static Endpoint,
    /// Whose they are.
    pub(super) user_id: &'a str,
    /// What their URL is known by.
    pub(super) digest: [u8; 32],
    /// When they were uploaded to Garmin: what orders their versions.
    pub(super) uploaded_at: Microseconds,
    /// When they came to Apollo.
    pub(super) arrived_at: Microseconds,
}

/// The notifications.
#[derive(Debug)]
pub(super) struct Pulled {
    /// To be published.
    pub(super) notifications: Vec<Outgoing>,
    /// How many entries they hold.
    pub(super) entries: u32,
}

/// Makes notifications of the array that Garmin answers a pull with. The same answer makes the same notifications.
/// `None` if it is no array.
pub(super) fn notifications(answer: &[u8], source: &Source<'_>, traceparent: Option<&str>) -> Option<Pulled> {
    let entries: Vec<&RawValue> = serde_json::from_slice(answer).ok()?;
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut bodies = Vec::new();
    let mut body = String::new();
    for entry in entries {
        let entry = with_user(entry, source.user_id);
        if !body.is_empty() && body.len() + entry.len() > PART_BYTES {
            bodies.push(std::mem::take(&mut body));
        }
        if !body.is_empty() {
            body.push(',');
        }
        body.push_str(&entry);
    }
    if !body.is_empty() {
        bodies.push(body);
    }
    let key = source.endpoint.key;
    let notifications = (0..).zip(bodies).map(|(part, entries)| {
        let body = format!("{{\"{key}\":[{entries}]}}").into_bytes();
        Outgoing::notification(envelope(source, part, traceparent), source.endpoint.routing_key(), body)
    });
    Some(Pulled { notifications: notifications.collect(), entries: count })
}

/// The entry, with its user where it does not say whose it is.
fn with_user(entry: &RawValue, user_id: &str) -> String {
    let text = entry.get();
    match text.strip_prefix('{') {
        Some(members) if body::user_of(entry).is_none() => {
            let comma = if members.trim_start().starts_with('}') { "" } else { "," };
            format!("{{\"userId\":{}{comma}{members}", serde_json::Value::from(user_id))
        }
        _ => text.to_owned(),
    }
}

/// The id is made of the moment and the URL, and is greater for a later part (design.md, law 3 and section 5).
fn envelope(source: &Source<'_>, part: u16, traceparent: Option<&str>) -> Envelope {
    let milliseconds = u64::try_from(source.uploaded_at.0 / 1000).unwrap_or(0);
    let mut rest = [0; 10];
    rest[..8].copy_from_slice(&source.digest[..8]);
    rest[8..].copy_from_slice(&part.to_be_bytes());
    let message_id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid();
    let of_arrival = Envelope::of_arrival(source.endpoint.key, source.uploaded_at, traceparent);
    Envelope { message_id, arrived_at: Some(source.arrived_at), ..of_arrival }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn source(user_id: &str) -> Source<'_> {
        Source {
            endpoint: Endpoint::of_key("allDayRespiration").unwrap(),
            user_id,
            digest: [7; 32],
            uploaded_at: Microseconds(1_794_265_200_000_000),
            arrived_at: Microseconds(1_794_265_209_000_000),
        }
    }

    fn entries(pulled: &Pulled) -> Vec<Value> {
        let bodies = pulled.notifications.iter().map(|it| serde_json::from_slice::<Value>(&it.body).unwrap());
        bodies.flat_map(|body| body["allDayRespiration"].as_array().unwrap().clone()).collect()
    }

    #[test]
    fn numbers_stay_as_garmin_writes_them_and_the_user_is_told() {
        let answer = br#"[{"userId": "v", "n": 144.0}, {"n": 1e2}, {}, 5]"#;
        let pulled = notifications(answer, &source("u\""), None).unwrap();
        let expected = r#"{"allDayRespiration":[{"userId": "v", "n": 144.0},{"userId":"u\"","n": 1e2},{"userId":"u\""},5]}"#;
        assert_eq!(String::from_utf8(pulled.notifications[0].body.clone()).unwrap(), expected);
        assert_eq!((pulled.entries, pulled.notifications.len()), (4, 1));
        let (exchange, routing_key) = pulled.notifications[0].address();
        assert_eq!((exchange.as_ref(), routing_key), ("apollo", "push.allDayRespiration"));
        let envelope = &pulled.notifications[0].envelope;
        assert_eq!(envelope.received_at, Microseconds(1_794_265_200_000_000));
        assert_eq!(envelope.arrived(), Microseconds(1_794_265_209_000_000));
    }

    #[test]
    fn nothing_makes_no_notification_and_an_object_is_no_answer() {
        assert_eq!(notifications(b" [] ", &source("u"), None).unwrap().notifications.len(), 0);
        assert!(notifications(br#"{"dailies": []}"#, &source("u"), None).is_none());
        assert!(notifications(b"[1, 2", &source("u"), None).is_none());
    }

    proptest! {
        // Each case is megabytes long.
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn large_answers_are_cut_between_entries_into_parts_with_growing_ids(
            sizes in prop::collection::vec(1_usize..PART_BYTES * 2 / 3, 0..24),
        ) {
            let all: Vec<Value> = sizes.iter().map(|size| json!({"userId": "u", "x": "y".repeat(*size)})).collect();
            let pulled = notifications(json!(all).to_string().as_bytes(), &source("u"), None).unwrap();
            prop_assert_eq!(&entries(&pulled), &all);
            let ids: Vec<Uuid> = pulled.notifications.iter().map(|it| it.envelope.message_id).collect();
            prop_assert!(ids.windows(2).all(|ids| ids[0] < ids[1]));
            let longest = pulled.notifications.iter().map(|it| it.body.len()).max();
            prop_assert!(longest.is_none_or(|longest| longest < PART_BYTES + 100));
            let again = notifications(json!(all).to_string().as_bytes(), &source("u"), None).unwrap();
            prop_assert_eq!(ids, again.notifications.iter().map(|it| it.envelope.message_id).collect::<Vec<_>>());
        }
    }
}
