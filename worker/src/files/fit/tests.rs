//! Files of the simulator's are in the end-to-end tests; here are small ones, and what is damaged.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Of type uint8, uint16 and so on, as the protocol numbers them.
const UINT8: u8 = 0x02;
const UINT16: u8 = 0x84;
const SINT32: u8 = 0x85;
const UINT32: u8 = 0x86;
const STRING: u8 = 0x07;

/// A definition of local message 0: fields as number, size, type.
fn definition(message: u8, fields: &[[u8; 3]], of_developers: &[[u8; 3]]) -> Vec<u8> {
    let head = if of_developers.is_empty() { 0x40 } else { 0x60 };
    let mut bytes = vec![head, 0, 0, message, 0, fields.len() as u8];
    bytes.extend(fields.concat());
    if !of_developers.is_empty() {
        bytes.push(of_developers.len() as u8);
        bytes.extend(of_developers.concat());
    }
    bytes
}

/// A whole file around messages; header without a checksum of its own.
fn file(messages: &[u8]) -> Vec<u8> {
    let mut file = vec![14, 0x20, 0, 0];
    file.extend((messages.len() as u32).to_le_bytes());
    file.extend(b".FIT\0\0");
    file.extend(messages);
    let crc = messages.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ (0xa001 * (crc & 1)))
    });
    file.extend(crc.to_le_bytes());
    file
}

const RECORD: u8 = 20;

/// Two records: one with an unknown field, and one with nothing but its time.
fn small() -> Vec<u8> {
    let fields = [[253, 4, UINT32], [0, 4, SINT32], [3, 1, UINT8], [7, 2, UINT16], [200, 2, UINT16]];
    let mut messages = definition(RECORD, &fields, &[]);
    messages.push(0);
    messages.extend(1_000_000_000_u32.to_le_bytes());
    messages.extend((1_i32 << 29).to_le_bytes());
    messages.extend([141, 250, 0, 7, 0]);
    messages.push(0);
    messages.extend(1_000_000_001_u32.to_le_bytes());
    messages.extend(i32::MAX.to_le_bytes());
    messages.extend([255, 255, 255, 255, 255]);
    file(&messages)
}

fn parsed(file: &[u8]) -> Recording {
    read(file, LIMITS).unwrap()
}

#[test]
fn figures_have_their_units_and_what_is_missing_is_none() {
    let records = parsed(&small()).records;
    let seconds: Vec<i64> = records.time.iter().flatten().map(|time| time.unix_timestamp()).collect();
    assert_eq!(seconds, [1_631_065_600, 1_631_065_601]);
    assert_eq!(records.latitude, [Some(45.0), None]);
    assert_eq!((records.heart_rate, records.power), (vec![Some(141), None], vec![Some(250), None]));
    assert_eq!(records.extra, [Some("{\"unknown_200\":7}".to_owned()), None]);
    assert_eq!(records.speed, [None, None]);
}

#[test]
fn files_of_a_chain_are_read_one_after_the_other() {
    let chain = [small(), small()].concat();
    assert_eq!(parsed(&chain).records.len(), 4);
}

#[test]
fn a_field_of_another_type_than_the_profiles_is_named_and_not_guessed() {
    // heart_rate in four bytes, power as two numbers, half a number, none, and the time as it should be.
    let fields = [[253, 4, UINT32], [3, 4, UINT32], [7, 4, UINT16], [200, 1, UINT16], [201, 0, UINT16]];
    let mut messages = definition(RECORD, &fields, &[]);
    messages.push(0);
    messages.extend([1; 13]);
    let recording = parsed(&file(&messages));
    let unread = ["record.heart_rate", "record.power", "record.unknown_200", "record.unknown_201"];
    assert_eq!(recording.unread, unread.map(str::to_owned).into());
    assert_eq!((recording.records.heart_rate, recording.records.extra), (vec![None], vec![None]));
    assert!(recording.records.time[0].is_some());
}

#[test]
fn developers_name_fields_of_their_own() {
    const FIELD_DESCRIPTION: u8 = 206;
    let fields = [[0, 1, UINT8], [1, 1, UINT8], [2, 1, UINT8], [3, 6, STRING]];
    let mut messages = definition(FIELD_DESCRIPTION, &fields, &[]);
    messages.extend([0, 0, 9, UINT8]);
    messages.extend(b"doub\0\0");
    messages.extend(definition(RECORD, &[[3, 1, UINT8]], &[[9, 1, 0], [8, 1, 0]]));
    messages.extend([0, 141, 77, 78]);
    let recording = parsed(&file(&messages));
    let extra: Json = serde_json::from_str(recording.records.extra[0].as_deref().unwrap()).unwrap();
    assert_eq!(extra, json!({"developer_fields": {"doub": 77}}));
    assert_eq!(recording.unread, ["record.developer_field_0_8".to_owned()].into());
}

#[test]
fn a_file_that_costs_too_much_is_given_up() {
    let file = small();
    assert_eq!(read(&file, Limits { bytes: 10, ..LIMITS }), Err(Unreadable::TooLarge(10)));
    assert_eq!(read(&file, Limits { records: 1, ..LIMITS }), Err(Unreadable::TooManyRecords(1)));
    assert_eq!(read(&file, Limits { json_bytes: 3, ..LIMITS }), Err(Unreadable::TooMuchElse(3)));
    let instantly = Limits { time: Duration::ZERO, ..LIMITS };
    assert_eq!(read(&file, instantly), Err(Unreadable::TooSlow(Duration::ZERO)));
}

#[test]
fn what_is_damaged_says_how() {
    let file = small();
    let at = |place: usize, byte: u8| {
        let mut file = file.clone();
        file[place] = byte;
        read(&file, LIMITS)
    };
    assert_eq!(at(file.len() - 1, 0x5a), Err(Unreadable::Checksum));
    assert_eq!(at(14, 0), Err(Unreadable::Undefined), "data instead of the first definition");
    assert_eq!(at(0, 13), Err(Unreadable::NotFit));
    assert_eq!(read(&[file.as_slice(), b"padding"].concat(), LIMITS), Err(Unreadable::NotFit));
    for length in 1..file.len() {
        assert!(read(&file[..length], LIMITS).is_err(), "the first {length} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        flips in prop::collection::vec((0_usize..200, any::<u8>()), 0..20),
        cut in 0_usize..200,
    ) {
        let mut file = small();
        for (place, byte) in flips {
            let place = place % file.len();
            file[place] ^= byte;
        }
        file.truncate(file.len().max(cut) - cut.min(file.len()));
        let _ = read(&file, LIMITS);
    }
}
