//! What must hold of whatever bytes Garmin, or somebody who knows the secret path, sends.
//!
//! The targets feed arbitrary bytes; here is what is asserted of what comes of them. `cargo xtask fuzz` builds
//! them with coverage instrumentation and runs them.

use std::sync::LazyLock;

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_worker::files::fit;
use apollo_worker::message::Message;
use apollo_worker::summaries::Registry;
use apollo_worker::summaries::notification::{self, Reading};
use serde_json::value::RawValue;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Bytes of a row for each byte of its entry. The dearest is a series of numbers, whose points need six bytes
/// (`"1":1,`) and become two numbers in arrays, of 8 and 12 bytes.
const BYTES_A_BYTE: usize = 4;

/// Bytes of a row whose columns are all null, with its version.
const BYTES_A_ROW: usize = 1024;

/// Messages that come of one notification at most, apart from pings: see `notification`'s own limit.
const MOST_DEAD_LETTERS: usize = 1000;

/// Reads a notification as the worker does.
///
/// # Panics
/// Something does not hold.
pub fn read_notification(body: &[u8]) {
    let message = Message {
        envelope: Envelope::of_arrival("dailies", Microseconds(1_794_265_200_000_000), None),
        routing_key: "push.dailies".to_owned(),
        body: body.to_vec(),
    };
    for raw_is_kept in [true, false] {
        let found = notification::read(&REGISTRY, &message, Reading { raw_is_kept, has_gaps: false });
        let bytes: usize = found.rows.iter().map(|(_, row)| row.encoded.len()).sum();
        let bound = BYTES_A_BYTE * body.len() + BYTES_A_ROW * found.rows.len();
        assert!(bytes <= bound, "{bytes} bytes in {} rows of {} bytes", found.rows.len(), body.len());
        let pings = found.outgoing.iter().filter(|it| it.address().1.starts_with("pull.")).count();
        let dead = found.outgoing.len() - pings;
        assert!(dead <= MOST_DEAD_LETTERS, "{dead} messages of one");
        let rejected: u64 = found.rejected.values().sum();
        assert!(dead > 0 || rejected == 0, "{rejected} entries came to no end");
        for (_, row) in &found.rows {
            assert!(!row.user_id.is_empty(), "a row without a user");
        }
    }
}

/// Divides a body as the receiver does, and compares the parts with the whole.
///
/// # Panics
/// Something is lost, doubled, altered or moved.
pub fn divide(body: &[u8], limit: usize) {
    let Some(parts) = apollo_receiver::divide(body.to_vec(), limit) else { return };
    let Ok(whole) = serde_json::from_slice::<Members<'_>>(body) else {
        panic!("the receiver takes what is no object");
    };
    let found: Vec<(String, String)> = parts.iter().flat_map(|part| items(part)).collect();
    let expected: Vec<(String, String)> = whole.items();
    assert!(found == expected, "{found:?} instead of {expected:?}");
    for part in &parts {
        assert!(part.len() <= limit || items(part).len() == 1, "a part of {} bytes", part.len());
    }
}

/// Reads a FIT file as the worker does: as it is, and with right checksums, behind which most of the parser is.
///
/// # Panics
/// Something does not hold.
pub fn read_fit(file: &[u8]) {
    let mended = with_right_checksums(file.to_vec());
    for file in [file, &mended] {
        let Ok(recording) = fit::read(file, fit::LIMITS) else { continue };
        let records = &recording.records;
        let lengths = [
            records.latitude.len(),
            records.longitude.len(),
            records.altitude.len(),
            records.heart_rate.len(),
            records.cadence.len(),
            records.power.len(),
            records.speed.len(),
            records.distance.len(),
            records.temperature.len(),
            records.extra.len(),
        ];
        assert!(lengths.iter().all(|length| *length == records.len()), "{lengths:?} of {}", records.len());
        let objects = recording.sessions.iter().chain(&recording.laps).chain(records.extra.iter().flatten());
        for object in objects {
            let is_object = serde_json::from_str::<serde_json::Map<_, _>>(object).is_ok();
            assert!(is_object && !object.contains("\\u0000"), "{object}");
        }
    }
}

/// One file, whatever length its header tells: with that of the bytes, and the checksum that fits them.
fn with_right_checksums(mut file: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 14;
    const CHECKSUM: usize = 2;
    let Some(messages) = file.len().checked_sub(HEADER + CHECKSUM) else { return file };
    file[0] = HEADER as u8;
    file[4..8].copy_from_slice(&(messages as u32).to_le_bytes());
    file[8..12].copy_from_slice(b".FIT");
    // No checksum of the header alone.
    file[12..HEADER].fill(0);
    let checksum = file[HEADER..HEADER + messages].iter().fold(0_u16, |checksum, byte| {
        (0..8).fold(checksum ^ u16::from(*byte), |sum, _| (sum >> 1) ^ (0xa001 * (sum & 1)))
    });
    file[HEADER + messages..].copy_from_slice(&checksum.to_le_bytes());
    file
}

fn items(part: &str) -> Vec<(String, String)> {
    serde_json::from_str::<Members<'_>>(part).map(|members| members.items()).unwrap_or_default()
}

/// A body's members, repeated ones too, with their keys as written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl Members<'_> {
    /// Entries by their key; a member that is no list, or an empty one, as it is.
    fn items(&self) -> Vec<(String, String)> {
        let items = self.0.iter().flat_map(|(key, value)| {
            let entries: Vec<&RawValue> = match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                Ok(entries) if !entries.is_empty() => entries,
                _ => vec![value],
            };
            entries.into_iter().map(move |entry| (key.get().to_owned(), entry.get().to_owned()))
        });
        items.collect()
    }
}

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
