//! Activities in the two text formats, TCX and GPX: only as much of them as tells the formats apart.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fit::course::{Course, Sample};

/// Seconds between two points.
const INTERVAL: usize = 30;

/// Of a circle's degrees.
const DEGREES_A_SEMICIRCLE: f64 = 180.0 / 2_147_483_648.0;

pub(super) fn tcx(course: &Course) -> String {
    let mut points = String::new();
    for Point { time, latitude, longitude, meters } in points_of(course) {
        // Writing into a string does not fail.
        let _ = write!(
            points,
            "\n<Trackpoint><Time>{time}</Time><Position><LatitudeDegrees>{latitude:.7}</LatitudeDegrees>\
             <LongitudeDegrees>{longitude:.7}</LongitudeDegrees></Position>\
             <AltitudeMeters>{meters:.1}</AltitudeMeters></Trackpoint>"
        );
    }
    let begins = rfc3339(course.whole.begins);
    let (seconds, meters) = (course.whole.timer_seconds, f64::from(course.whole.distance) / 100.0);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <TrainingCenterDatabase xmlns=\"http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2\">\n\
         <Activities><Activity Sport=\"Other\"><Id>{begins}</Id>\n\
         <Lap StartTime=\"{begins}\"><TotalTimeSeconds>{seconds}</TotalTimeSeconds>\
         <DistanceMeters>{meters:.2}</DistanceMeters><Calories>0</Calories>\
         <Intensity>Active</Intensity><TriggerMethod>Manual</TriggerMethod>\n\
         <Track>{points}\n</Track></Lap></Activity></Activities>\n</TrainingCenterDatabase>\n"
    )
}

pub(super) fn gpx(course: &Course) -> String {
    let mut points = String::new();
    for Point { time, latitude, longitude, meters } in points_of(course) {
        let _ = write!(
            points,
            "\n<trkpt lat=\"{latitude:.7}\" lon=\"{longitude:.7}\"><ele>{meters:.1}</ele><time>{time}</time></trkpt>"
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <gpx version=\"1.1\" creator=\"Simulated Garmin\" xmlns=\"http://www.topografix.com/GPX/1/1\">\n\
         <trk><name>{}</name><trkseg>{points}\n</trkseg></trk>\n</gpx>\n",
        course.activity_id
    )
}

/// Where the user was at some moment.
struct Point {
    time: String,
    latitude: f64,
    longitude: f64,
    /// Above the sea.
    meters: f64,
}

fn points_of(course: &Course) -> impl Iterator<Item = Point> {
    course.samples.iter().step_by(INTERVAL).filter_map(point)
}

/// Nothing while satellites are searched for.
fn point(sample: &Sample) -> Option<Point> {
    let (latitude, longitude) = sample.position?;
    Some(Point {
        time: rfc3339(sample.time),
        latitude: f64::from(latitude) * DEGREES_A_SEMICIRCLE,
        longitude: f64::from(longitude) * DEGREES_A_SEMICIRCLE,
        meters: f64::from(sample.altitude) / 5.0 - 500.0,
    })
}

fn rfc3339(moment: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(moment).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).unwrap_or_default()
}
