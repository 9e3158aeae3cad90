//! Activity files as devices write them: real FIT files, made after the public FIT protocol.
//!
//! [`course`] makes the activity up, `writer` knows the binary form, and here stands which message holds what, by the
//! numbers of Garmin's profile. The same activity is always the same bytes.

pub mod course;
mod writer;

use course::{Course, Lap, Sample};
use writer::{Field, Kind, Value, Writer};

const FILE_ID: Kind = Kind { local: 0, global: 0 };
const DEVICE_INFO: Kind = Kind { local: 1, global: 23 };
const EVENT: Kind = Kind { local: 2, global: 21 };
const RECORD: Kind = Kind { local: 3, global: 20 };
const LAP: Kind = Kind { local: 4, global: 19 };
const SESSION: Kind = Kind { local: 5, global: 18 };
const ACTIVITY: Kind = Kind { local: 6, global: 34 };

/// Fields with the same number in every message.
const TIMESTAMP: u8 = 253;
const MESSAGE_INDEX: u8 = 254;

/// A Forerunner 945, by Garmin.
const GARMIN: Value = Value::Uint16(Some(1));
const FORERUNNER_945: Value = Value::Uint16(Some(3113));

/// Of `event`, what it is about, and of `event_type`, what happened to it.
const TIMER: Value = Value::Enum(0);
const OF_SESSION: Value = Value::Enum(8);
const OF_LAP: Value = Value::Enum(9);
const OF_ACTIVITY: Value = Value::Enum(26);
const START: Value = Value::Enum(0);
const STOP: Value = Value::Enum(1);
const STOP_ALL: Value = Value::Enum(4);

/// The FIT file of an activity that begins at `begins` (Unix seconds, from 1990 on) and takes `seconds`: one record a
/// second, a pause in the middle, laps, one session.
#[must_use]
pub fn activity(activity_id: u64, begins: i64, seconds: u32) -> Vec<u8> {
    encode(&Course::new(activity_id, begins, seconds))
}

/// The FIT file of a course.
#[must_use]
pub fn encode(course: &Course) -> Vec<u8> {
    let mut writer = Writer::default();
    file_head(course, &mut writer);
    recording(course, &mut writer);
    writer.message(SESSION, &session(course));
    writer.message(ACTIVITY, &activity_end(course));
    writer.finish()
}

fn file_head(course: &Course, writer: &mut Writer) {
    let begins = Value::moment(course.whole.begins);
    // 0 would mean that there is none.
    let serial_number = Value::Uint32z(course.activity_id as u32 | 1);
    const ACTIVITY_FILE: Value = Value::Enum(4);
    let file = [(0, ACTIVITY_FILE), (1, GARMIN), (2, FORERUNNER_945), (3, serial_number), (4, begins)];
    writer.message(FILE_ID, &file);
    const CREATOR: Value = Value::Uint8(Some(0));
    const SOFTWARE_12_30: Value = Value::Uint16(Some(1230));
    let device = [(TIMESTAMP, begins), (0, CREATOR), (2, GARMIN), (3, serial_number), (4, FORERUNNER_945)];
    writer.message(DEVICE_INFO, &[&device[..], &[(5, SOFTWARE_12_30)]].concat());
}

/// Records, with the events of the timer and the ends of laps where they happen.
fn recording(course: &Course, writer: &mut Writer) {
    let mut laps = course.laps.iter().enumerate().peekable();
    writer.message(EVENT, &timer(course.whole.begins, START));
    for sample in &course.samples {
        while let Some((index, lap)) = laps.next_if(|(_, lap)| lap.ends < sample.time) {
            writer.message(LAP, &lap_end(index, lap));
        }
        if !course.pause.is_empty() && sample.time == course.pause.end {
            writer.message(EVENT, &timer(course.pause.start, STOP));
            writer.message(EVENT, &timer(course.pause.end, START));
        }
        writer.message(RECORD, &record(course, sample));
    }
    laps.for_each(|(index, lap)| writer.message(LAP, &lap_end(index, lap)));
    writer.message(EVENT, &timer(course.whole.ends, STOP_ALL));
}

fn timer(time: i64, event_type: Value) -> [Field; 3] {
    [(TIMESTAMP, Value::moment(time)), (0, TIMER), (1, event_type)]
}

fn record(course: &Course, sample: &Sample) -> Vec<Field> {
    let (latitude, longitude) = sample.position.unzip();
    let (speed, altitude) = (sample.speed, sample.altitude);
    let mut fields = vec![
        (TIMESTAMP, Value::moment(sample.time)),
        (0, Value::Int32(latitude)),
        (1, Value::Int32(longitude)),
        (3, Value::Uint8(sample.heart_rate)),
        (4, Value::Uint8(sample.cadence)),
        (5, Value::Uint32(Some(sample.distance))),
        (13, Value::Int8(Some(sample.temperature))),
    ];
    if course.enhanced {
        fields.extend([(73, Value::Uint32(Some(speed.into()))), (78, Value::Uint32(Some(altitude.into())))]);
    } else {
        fields.extend([(6, Value::Uint16(Some(speed))), (2, Value::Uint16(Some(altitude)))]);
    }
    if course.has_power {
        fields.push((7, Value::Uint16(sample.power)));
    }
    fields
}

fn lap_end(index: usize, lap: &Lap) -> Vec<Field> {
    const TRIGGER_MANUAL: Value = Value::Enum(0);
    let mut fields = part(index, lap, OF_LAP);
    fields.extend([
        (15, Value::Uint8(lap.average_heart_rate)),
        (16, Value::Uint8(lap.max_heart_rate)),
        (24, TRIGGER_MANUAL),
    ]);
    fields
}

fn session(course: &Course) -> Vec<Field> {
    const ACTIVITY_END: Value = Value::Enum(0);
    let whole = &course.whole;
    let mut fields = part(0, whole, OF_SESSION);
    fields.extend([
        (5, Value::Enum(course.sport.sport)),
        (6, Value::Enum(course.sport.sub_sport)),
        (16, Value::Uint8(whole.average_heart_rate)),
        (17, Value::Uint8(whole.max_heart_rate)),
        (25, Value::Uint16(Some(0))),
        (26, Value::Uint16(u16::try_from(course.laps.len()).ok())),
        (28, ACTIVITY_END),
    ]);
    fields
}

/// What laps and sessions begin with.
fn part(index: usize, lap: &Lap, event: Value) -> Vec<Field> {
    let elapsed = u32::try_from(lap.ends - lap.begins).unwrap_or(0);
    let milliseconds = |seconds: u32| Value::Uint32(seconds.checked_mul(1000));
    vec![
        (MESSAGE_INDEX, Value::Uint16(u16::try_from(index).ok())),
        (TIMESTAMP, Value::moment(lap.ends)),
        (0, event),
        (1, STOP),
        (2, Value::moment(lap.begins)),
        (7, milliseconds(elapsed)),
        (8, milliseconds(lap.timer_seconds)),
        (9, Value::Uint32(Some(lap.distance))),
    ]
}

fn activity_end(course: &Course) -> Vec<Field> {
    const MANUAL: Value = Value::Enum(0);
    let ends = course.whole.ends;
    vec![
        (TIMESTAMP, Value::moment(ends)),
        (0, Value::Uint32(course.whole.timer_seconds.checked_mul(1000))),
        (1, Value::Uint16(Some(1))),
        (2, MANUAL),
        (3, OF_ACTIVITY),
        (4, STOP),
        (5, Value::moment(ends + i64::from(course.offset))),
    ]
}

#[cfg(test)]
mod tests;
