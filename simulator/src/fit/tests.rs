//! The files are read back with a library, field by field: as they were written, without what it would derive.

use super::course::{Course, Lap};
use super::*;
use rustyfit::Decoder;
use rustyfit::profile::{mesgdef, typedef};
use rustyfit::proto::{FIT, Message};

const BEGINS: i64 = 1_793_000_000;

fn read(mut file: &[u8]) -> FIT {
    let mut decoder = Decoder::builder().expand_components(false).build();
    let fit = decoder.decode(&mut file).expect("a well-formed FIT file").expect("not an empty one");
    assert!(file.is_empty(), "{} bytes behind the checksum", file.len());
    fit
}

fn of(fit: &FIT, number: typedef::MesgNum) -> impl Iterator<Item = &Message> {
    fit.messages.iter().filter(move |message| message.num == number)
}

fn unix(time: typedef::DateTime) -> i64 {
    time.unix_timestamp().expect("a moment")
}

#[test]
fn every_record_says_what_the_device_noted() {
    // Between them: both sports, power and none, two bytes and four, all clocks.
    for activity_id in 20_000_000_000..20_000_000_020 {
        let course = Course::new(activity_id, BEGINS, 700);
        let fit = read(&encode(&course));
        let records: Vec<mesgdef::Record> =
            of(&fit, typedef::MesgNum::RECORD).map(mesgdef::Record::from).collect();
        assert_eq!(records.len(), course.samples.len());
        assert_eq!(records.len(), 701 - 70, "one a second, but in the pause");
        for (record, sample) in records.iter().zip(&course.samples) {
            assert_eq!(unix(record.timestamp), sample.time);
            let (latitude, longitude) = sample.position.unwrap_or((i32::MAX, i32::MAX));
            assert_eq!((record.position_lat, record.position_long), (latitude, longitude));
            assert_eq!(record.heart_rate, sample.heart_rate.unwrap_or(u8::MAX));
            assert_eq!(record.cadence, sample.cadence.unwrap_or(u8::MAX));
            assert_eq!(record.power, sample.power.unwrap_or(u16::MAX));
            assert_eq!(record.distance, sample.distance);
            assert_eq!(record.temperature, sample.temperature);
            let (speed, altitude) = match course.enhanced {
                true => (record.enhanced_speed, record.enhanced_altitude),
                false => (record.speed.into(), record.altitude.into()),
            };
            assert_eq!((speed, altitude), (sample.speed.into(), sample.altitude.into()));
        }
    }
}

#[test]
fn what_is_missing_and_what_is_not_are_both_there() {
    let courses: Vec<Course> = (0..20).map(|id| Course::new(id, BEGINS, 700)).collect();
    let samples = || courses.iter().flat_map(|course| &course.samples);
    for has in [true, false] {
        assert!(samples().any(|sample| sample.position.is_some() == has));
        assert!(samples().any(|sample| sample.heart_rate.is_some() == has));
        assert!(samples().any(|sample| sample.cadence.is_some() == has));
        assert!(samples().any(|sample| sample.power.is_some() == has));
        assert!(courses.iter().any(|course| course.enhanced == has));
        assert!(courses.iter().any(|course| (course.sport.sport == 1) == has));
    }
}

#[test]
fn laps_session_and_activity_add_up() {
    let course = Course::new(20_000_000_001, BEGINS, 1000);
    let fit = read(&encode(&course));
    let laps: Vec<mesgdef::Lap> = of(&fit, typedef::MesgNum::LAP).map(mesgdef::Lap::from).collect();
    assert_eq!(laps.len(), 4, "of five minutes each, but the last");
    for (index, (lap, expected)) in laps.iter().zip(&course.laps).enumerate() {
        let Lap { begins, ends, timer_seconds, distance, average_heart_rate, max_heart_rate } = expected;
        assert_eq!(usize::from(lap.message_index.0), index);
        assert_eq!((unix(lap.start_time), unix(lap.timestamp)), (*begins, *ends));
        assert_eq!(i64::from(lap.total_elapsed_time), (ends - begins) * 1000);
        assert_eq!((lap.total_timer_time, lap.total_distance), (timer_seconds * 1000, *distance));
        assert_eq!(
            (Some(lap.avg_heart_rate), Some(lap.max_heart_rate)),
            (*average_heart_rate, *max_heart_rate)
        );
    }
    let sessions: Vec<mesgdef::Session> =
        of(&fit, typedef::MesgNum::SESSION).map(mesgdef::Session::from).collect();
    let [session] = &sessions[..] else { panic!("one session: {sessions:?}") };
    assert_eq!(session.sport.0, course.sport.sport);
    assert_eq!(unix(session.start_time), BEGINS);
    assert_eq!((session.num_laps, session.total_elapsed_time), (4, 1_000_000));
    assert_eq!(session.total_timer_time, 900_000, "without the pause");
    assert_eq!(session.total_timer_time, laps.iter().map(|lap| lap.total_timer_time).sum::<u32>());
    assert_eq!(session.total_distance, laps.iter().map(|lap| lap.total_distance).sum::<u32>());
    let activity = of(&fit, typedef::MesgNum::ACTIVITY).map(mesgdef::Activity::from).next().expect("one");
    assert_eq!(unix(activity.timestamp), BEGINS + 1000);
    let local = i64::from(activity.local_timestamp.0) + writer::EPOCH;
    assert_eq!(local, BEGINS + 1000 + i64::from(course.offset));
}

#[test]
fn the_timer_stops_for_the_pause() {
    let course = Course::new(7, BEGINS, 1000);
    let fit = read(&encode(&course));
    let events = of(&fit, typedef::MesgNum::EVENT).map(mesgdef::Event::from);
    let events: Vec<(i64, u8)> =
        events.map(|event| (unix(event.timestamp) - BEGINS, event.event_type.0)).collect();
    assert_eq!(events, [(0, 0), (500, 1), (600, 0), (1000, 4)]);
    let recorded_in_pause = course.samples.iter().any(|sample| course.pause.contains(&sample.time));
    assert!(!recorded_in_pause);
}

#[test]
fn the_file_names_its_device() {
    let fit = read(&activity(20_000_000_003, BEGINS, 60));
    let file = of(&fit, typedef::MesgNum::FILE_ID).map(mesgdef::FileId::from).next().expect("one");
    assert_eq!((file.r#type, file.manufacturer), (typedef::File::ACTIVITY, typedef::Manufacturer::GARMIN));
    assert_eq!(unix(file.time_created), BEGINS);
    let device = of(&fit, typedef::MesgNum::DEVICE_INFO).map(mesgdef::DeviceInfo::from).next().expect("one");
    assert_eq!((device.serial_number, device.software_version), (file.serial_number, 1230));
}

#[test]
fn the_shortest_activities_are_files_too() {
    for seconds in [0, 1, 2, 9] {
        let fit = read(&activity(1, BEGINS, seconds));
        assert_eq!(of(&fit, typedef::MesgNum::RECORD).count(), seconds as usize + 1);
        assert_eq!(of(&fit, typedef::MesgNum::LAP).count(), seconds.min(2) as usize);
    }
}

#[test]
fn an_activity_is_always_the_same_bytes() {
    assert_eq!(activity(5, BEGINS, 300), activity(5, BEGINS, 300));
    assert_ne!(activity(5, BEGINS, 300), activity(6, BEGINS, 300));
}
