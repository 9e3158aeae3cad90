//! What `cargo xtask instructions` counts the instructions of: each piece of work does one thing to one input that is
//! always the same.
//!
//! Without an argument it lists the pieces, with one it does that piece once, inside of [`measured`]. The inputs are
//! the sample bodies of the tests, with as many entries and points as Garmin sends.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;

use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_worker::message::Message;
use apollo_worker::summaries::Registry;
use apollo_worker::summaries::batch::{Row, reduce};
use apollo_worker::summaries::notification::{self, Notification, Reading};
use serde_json::value::RawValue;

/// A heart rate every 15 s of a day.
const DAY: Series = Series { name: "timeOffsetHeartRateSamples", points: 5760, interval: 15 };

/// Blood oxygen every minute of a night.
const NIGHT: Series = Series { name: "timeOffsetSleepSpo2", points: 480, interval: 60 };

/// Times that the samples of an activity are repeated: to ten minutes, one a second.
const ACTIVITY: usize = 150;

/// Parts of the mix: every type as it comes, pings and data of OAuth 1.0a among them.
const MIX: [&str; 8] = [
    include_str!("../../tests/samples/mixed.json"),
    include_str!("../../tests/samples/mixed.ping.json"),
    include_str!("../../tests/samples/activities.json"),
    include_str!("../../tests/samples/dailies.oauth1.json"),
    include_str!("../../tests/samples/healthSnapshot.json"),
    include_str!("../../tests/samples/mct.json"),
    include_str!("../../tests/samples/stressDetails.json"),
    include_str!("../../tests/samples/skinTemp.json"),
];

/// A piece of work.
struct Piece {
    name: &'static str,
    bodies: fn() -> Vec<String>,
    work: fn(&Registry, &[Message]),
}

const PIECES: [Piece; 6] = [
    Piece { name: "parse epochs", bodies: || vec![epochs(0)], work: parse },
    Piece { name: "parse dailies", bodies: dailies, work: parse },
    Piece { name: "parse sleeps", bodies: sleeps, work: parse },
    Piece { name: "parse activityDetails", bodies: activity_details, work: parse },
    Piece { name: "parse the mix", bodies: || MIX.map(compact).to_vec(), work: parse },
    // Twenty notifications, each of them twice.
    Piece { name: "merge epochs", bodies: || (0..40).map(|copy| epochs(copy % 20)).collect(), work: merge },
];

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for piece in &PIECES {
            let bodies = (piece.bodies)();
            let entries: usize = bodies.iter().map(|body| entries_of(body)).sum();
            let bytes: usize = bodies.iter().map(String::len).sum();
            println!("{}\t{entries}\t{bytes}", piece.name);
        }
        return ExitCode::SUCCESS;
    };
    let Some(piece) = PIECES.iter().find(|piece| piece.name == name) else { return ExitCode::FAILURE };
    let messages: Vec<Message> = (1..).zip((piece.bodies)()).map(|(id, body)| message(id, body)).collect();
    (piece.work)(&Registry::new(), &messages);
    ExitCode::SUCCESS
}

/// Does `work`; the only place where instructions are counted.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn parse(registry: &Registry, messages: &[Message]) {
    measured(&mut || messages.iter().for_each(|message| drop(black_box(read(registry, message)))));
}

fn merge(registry: &Registry, messages: &[Message]) {
    let read: Vec<Notification> = messages.iter().map(|message| read(registry, message)).collect();
    let rows: Vec<&Row> = read.iter().flat_map(|read| &read.rows).map(|(_, row)| row).collect();
    measured(&mut || drop(black_box(reduce(rows.iter().copied()))));
}

fn read(registry: &Registry, message: &Message) -> Notification {
    notification::read(registry, message, Reading { raw_is_kept: true, has_gaps: false })
}

fn message(id: u64, body: String) -> Message {
    let envelope = Envelope {
        message_id: uuid::Uuid::from_u64_pair(id, 0),
        ..Envelope::of_arrival("dailies", Microseconds(1_794_265_200_000_000), None)
    };
    Message { envelope, routing_key: "push.dailies".to_owned(), body: body.into_bytes() }
}

/// A hundred epochs.
fn epochs(copy: u32) -> String {
    repeated("epochs", include_str!("../../tests/samples/epochs.json"), copy * 100..(copy + 1) * 100)
}

fn dailies() -> Vec<String> {
    vec![DAY.stretch(&repeated("dailies", include_str!("../../tests/samples/dailies.json"), 0..10))]
}

fn sleeps() -> Vec<String> {
    vec![NIGHT.stretch(&repeated("sleeps", include_str!("../../tests/samples/sleeps.json"), 0..10))]
}

fn activity_details() -> Vec<String> {
    let body = compact(include_str!("../../tests/samples/activityDetails.json"));
    let (head, rest) = body.split_once("\"samples\":[").unwrap_or_default();
    let (samples, tail) = rest.split_once(']').unwrap_or_default();
    vec![format!("{head}\"samples\":[{}]{tail}", vec![samples; ACTIVITY].join(","))]
}

/// The entries of a sample body over and over, each at another time.
fn repeated(key: &str, sample: &str, copies: std::ops::Range<u32>) -> String {
    let sample = compact(sample);
    let of_keys: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_str(&sample).unwrap_or_default();
    let entries = copies.zip(of_keys.values().flatten().cycle()).map(|(copy, entry)| {
        let (head, rest) = entry.get().split_once("\"startTimeInSeconds\":").unwrap_or_default();
        let (_, tail) = rest.split_once(',').unwrap_or_default();
        format!("{head}\"startTimeInSeconds\":{},{tail}", 1_790_000_000 + copy * 900)
    });
    format!("{{\"{key}\":[{}]}}", entries.collect::<Vec<_>>().join(","))
}

/// As Garmin sends it, without spaces.
fn compact(sample: &str) -> String {
    sample.lines().map(str::trim).collect::<String>().replace("\": ", "\":")
}

fn entries_of(body: &str) -> usize {
    let of_keys: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_str(body).unwrap_or_default();
    of_keys.values().map(Vec::len).sum()
}

/// A series in full.
struct Series {
    name: &'static str,
    points: u32,
    interval: u32,
}

impl Series {
    /// Puts all points where `body` has the series.
    fn stretch(&self, body: &str) -> String {
        let name = format!("\"{}\":{{", self.name);
        let points =
            (0..self.points).map(|point| format!("\"{}\":{}", point * self.interval, 47 + point * 7 % 90));
        let points = points.collect::<Vec<_>>().join(",");
        let mut parts = body.split(&name);
        let head = parts.next().unwrap_or_default().to_owned();
        parts.fold(head, |body, part| {
            let rest = part.find('}').map_or("", |end| &part[end..]);
            format!("{body}{name}{points}{rest}")
        })
    }
}
