//! FIT files, read into records, laps and sessions.
//!
//! By the library rustyfit. It reads a stream message by message in a buffer of fixed size, so that what a file can cost is
//! bounded here; fields keep the numbers of the file, with the names, scales and units of Garmin's profile; unknown
//! messages and fields, chained files and big-endian ones are read; and what is damaged is an error. Of the others,
//! fitparser panics on some damaged headers, writes to stderr, and refuses a whole file for one developer field without
//! a description; fit-rust checks no checksum, passes over data that it cannot place, and reads the first file of a chain
//! only. Two of rustyfit's habits are worked around: it derives fields from others with a loss in the last digit, so it is
//! told not to; and it reads a field as the type that the profile has, whatever type the file declares, so a field of
//! another type is not taken from it but named in [`Recording::unread`].
//!
//! All or nothing: of a file that is damaged anywhere nothing is shown, and its bytes are kept for a better parser.

mod records;
mod value;

pub use records::Records;

use records::Fields;
use rustyfit::profile::lookup::field_reference;
use rustyfit::profile::mesgdef::FieldDescription;
use rustyfit::profile::typedef::{FitBaseType, MesgNum};
use rustyfit::proto::{FieldDefinition, Message, MessageDefinition, Value};
use rustyfit::{Decoder, DecoderError, DecoderEvent, StreamingIterator as _};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use value::Meaning;

/// What a file may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the file. Those of a day's activity have a few million.
    pub bytes: usize,
    /// One a second is usual; this many are eleven days.
    pub records: usize,
    /// Of JSON: what has no column of its own.
    pub json_bytes: usize,
    /// To read it in.
    pub time: Duration,
}

/// What any file may cost.
pub const LIMITS: Limits =
    Limits { bytes: 64 << 20, records: 1_000_000, json_bytes: 64 << 20, time: Duration::from_secs(20) };

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Of bytes.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// Of records.
    #[error("it has more than {0} records")]
    TooManyRecords(usize),
    /// Of what goes to JSON.
    #[error("what it holds beside its columns takes more than {0} bytes")]
    TooMuchElse(usize),
    /// Of work.
    #[error("reading it takes longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The header promises more.
    #[error("it ends before its end")]
    CutShort,
    /// At the beginning, or where another file of a chain could begin.
    #[error("there is no FIT file where one should begin")]
    NotFit,
    /// A byte is not as it was written.
    #[error("a checksum is wrong, so it is damaged")]
    Checksum,
    /// A message of a shape that was never defined.
    #[error("a message has not been defined before, so it is damaged")]
    Undefined,
    /// The parser panicked.
    #[error("reading it failed by a defect of the parser")]
    Defect,
}

/// What a FIT file holds.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Recording {
    /// Seconds to add to UTC for the clock of the device, if it says so.
    pub utc_offset_in_seconds: Option<i32>,
    /// What was noted from moment to moment.
    pub records: Records,
    /// The fields of each session, as the text of a JSON object.
    pub sessions: Vec<String>,
    /// The fields of each lap.
    pub laps: Vec<String>,
    /// Fields, as `message.field`, that the file declares in a way that the parser does not read rightly.
    pub unread: BTreeSet<String>,
}

/// Reads a file.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(content: &[u8], limits: Limits) -> Result<Recording, Unreadable> {
    if content.len() > limits.bytes {
        return Err(Unreadable::TooLarge(limits.bytes));
    }
    let deadline = Instant::now() + limits.time;
    let mut decoder = Decoder::builder().expand_components(false).build();
    let mut stream = decoder.stream(content);
    let mut reader = Reader::default();
    while let Some(event) = stream.next() {
        match event.map_err(unreadable)? {
            DecoderEvent::FileHeader(_) => reader.begin_file(),
            DecoderEvent::MessageDefinition(definition) => reader.define(definition),
            DecoderEvent::Message(message) => reader.read(message),
            DecoderEvent::Crc(_) => {}
        }
        reader.check(limits)?;
        if Instant::now() > deadline {
            return Err(Unreadable::TooSlow(limits.time));
        }
    }
    Ok(reader.recording)
}

fn unreadable(error: DecoderError<Infallible>) -> Unreadable {
    match error {
        DecoderError::UnexpectedEof => Unreadable::CutShort,
        DecoderError::NotFITFile => Unreadable::NotFit,
        DecoderError::ChecksumMismatch { .. } => Unreadable::Checksum,
        DecoderError::MissingMessageDefinition { .. } => Unreadable::Undefined,
        DecoderError::Io { err } => match err {},
    }
}

/// Numbers of fields in Garmin's profile.
const TIMESTAMP: u8 = 253;
const LOCAL_TIMESTAMP_OF_ACTIVITY: u8 = 5;

/// No clock is further from UTC, in seconds.
const FURTHEST_CLOCK: i64 = 14 * 3600;

#[derive(Default)]
struct Reader {
    /// What the messages of each local number hold: the types of the fields that are read rightly, as declared.
    shapes: [BTreeMap<u8, FitBaseType>; 16],
    developer_fields: BTreeMap<(u8, u8), DeveloperField>,
    json_bytes: usize,
    recording: Recording,
}

/// What a message has told about a developer's field.
struct DeveloperField {
    name: String,
    base_type: FitBaseType,
    meaning: Meaning,
}

impl Reader {
    fn begin_file(&mut self) {
        self.shapes = Default::default();
        self.developer_fields.clear();
    }

    fn define(&mut self, definition: &MessageDefinition) {
        let kept = [MesgNum::RECORD, MesgNum::SESSION, MesgNum::LAP, MesgNum::ACTIVITY];
        if !kept.contains(&definition.mesg_num) {
            return;
        }
        let message = definition.mesg_num;
        let (right, wrong): (Vec<&FieldDefinition>, Vec<&FieldDefinition>) =
            definition.field_definitions.iter().partition(|field| is_read_rightly(message, field));
        let shape = right.iter().map(|field| (field.num, field.base_type)).collect();
        self.shapes[usize::from(definition.header & 0x0f)] = shape;
        let unread = &mut self.recording.unread;
        unread.extend(wrong.iter().map(|field| format!("{message}.{}", name(message, field.num))));
        let described = |index, number| self.developer_fields.contains_key(&(index, number));
        let developers = definition.developer_field_definitions.iter();
        let undescribed = developers.filter(|field| !described(field.developer_data_index, field.num));
        unread.extend(
            undescribed.map(|field| {
                format!("{message}.developer_field_{}_{}", field.developer_data_index, field.num)
            }),
        );
    }

    fn read(&mut self, message: &Message) {
        let mut fields = match message.num {
            MesgNum::FIELD_DESCRIPTION => return self.describe(message),
            MesgNum::ACTIVITY => return self.read_offset(message),
            MesgNum::RECORD | MesgNum::SESSION | MesgNum::LAP => self.fields(message),
            _ => return,
        };
        if message.num == MesgNum::RECORD {
            let time = timestamp(message, TIMESTAMP);
            fields.remove("timestamp");
            self.json_bytes += self.recording.records.push(time, fields);
            return;
        }
        let json = Json::from(fields).to_string();
        self.json_bytes += json.len();
        match message.num {
            MesgNum::SESSION => self.recording.sessions.push(json),
            _ => self.recording.laps.push(json),
        }
    }

    fn describe(&mut self, message: &Message) {
        const NO_SCALE: u8 = u8::MAX;
        const NO_OFFSET: i8 = i8::MAX;
        let told = FieldDescription::from(message);
        let key = (told.developer_data_index, told.field_definition_number);
        let name = told.field_name.concat().replace('\0', "");
        let name = if name.is_empty() { format!("developer_field_{}_{}", key.0, key.1) } else { name };
        let scale = if matches!(told.scale, 0 | NO_SCALE) { 1.0 } else { told.scale.into() };
        let offset = if told.offset == NO_OFFSET { 0.0 } else { told.offset.into() };
        let field = DeveloperField {
            name,
            base_type: told.fit_base_type_id,
            meaning: Meaning::number(scale, offset),
        };
        self.developer_fields.insert(key, field);
    }

    /// An activity tells its end by both clocks.
    fn read_offset(&mut self, message: &Message) {
        let (utc, local) = (timestamp(message, TIMESTAMP), timestamp(message, LOCAL_TIMESTAMP_OF_ACTIVITY));
        let Some((utc, local)) = utc.zip(local) else { return };
        let offset = (local - utc).whole_seconds();
        if offset.abs() <= FURTHEST_CLOCK {
            self.recording.utc_offset_in_seconds = i32::try_from(offset).ok();
        }
    }

    /// A message's fields as JSON by their names; those of developers in an object of their own.
    fn fields(&self, message: &Message) -> Fields {
        let shape = &self.shapes[local_number(message)];
        let mut fields = Fields::new();
        for field in &message.fields {
            let Some(base_type) = shape.get(&field.num) else { continue };
            let reference = field_reference(message.num, field.num);
            let meaning = reference.map_or(Meaning::number(1.0, 0.0), |field| Meaning::of(&field));
            let json = value::to_json(&field.value, *base_type, meaning);
            fields.extend(json.map(|json| (name(message.num, field.num), json)));
        }
        let of_developers: Fields = message
            .developer_fields
            .iter()
            .filter_map(|field| {
                let told = self.developer_fields.get(&(field.developer_data_index, field.num))?;
                Some((told.name.clone(), value::to_json(&field.value, told.base_type, told.meaning)?))
            })
            .collect();
        if !of_developers.is_empty() {
            fields.insert("developer_fields".to_owned(), of_developers.into());
        }
        fields
    }

    fn check(&self, limits: Limits) -> Result<(), Unreadable> {
        if self.recording.records.len() > limits.records {
            return Err(Unreadable::TooManyRecords(limits.records));
        }
        if self.json_bytes > limits.json_bytes {
            return Err(Unreadable::TooMuchElse(limits.json_bytes));
        }
        Ok(())
    }
}

/// The name of a field in the profile; of one that it does not know, `unknown_` and its number.
fn name(message: MesgNum, number: u8) -> String {
    field_reference(message, number)
        .map_or_else(|| format!("unknown_{number}"), |field| field.name().to_owned())
}

/// Whether the library reads a field as it is declared: whole numbers of its type, and, where the profile knows the
/// field, of the form that it has there, and not several where it has one.
fn is_read_rightly(message: MesgNum, declared: &FieldDefinition) -> bool {
    let size = declared.base_type.size();
    let is_whole = size > 0 && declared.size > 0 && declared.size.is_multiple_of(size);
    is_whole
        && field_reference(message, declared.num).is_none_or(|known| {
            let may_be_longer = known.array() || known.base_type() == FitBaseType::STRING;
            form(declared.base_type) == form(known.base_type()) && (may_be_longer || declared.size == size)
        })
}

/// Types of one form differ only in which value means that it is missing.
fn form(base_type: FitBaseType) -> FitBaseType {
    match base_type {
        FitBaseType::ENUM | FitBaseType::BYTE | FitBaseType::UINT8Z => FitBaseType::UINT8,
        FitBaseType::UINT16Z => FitBaseType::UINT16,
        FitBaseType::UINT32Z => FitBaseType::UINT32,
        FitBaseType::UINT64Z => FitBaseType::UINT64,
        other => other,
    }
}

/// The number that connects a message with its definition, which its first byte holds.
fn local_number(message: &Message) -> usize {
    const COMPRESSED_TIMESTAMP: u8 = 0x80;
    usize::from(match message.header & COMPRESSED_TIMESTAMP {
        0 => message.header & 0x0f,
        _ => message.header >> 5 & 0x03,
    })
}

fn timestamp(message: &Message, number: u8) -> Option<OffsetDateTime> {
    let field = message.fields.iter().find(|field| field.num == number)?;
    match field.value {
        Value::Uint32(u32::MAX) => None,
        Value::Uint32(seconds) => Some(value::moment(seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
