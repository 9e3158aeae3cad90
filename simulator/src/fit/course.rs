//! What a device records in an activity: one sample a second, in the steps of FIT's integers, so that a reader of the
//! file can be held to the last digit.

use crate::chance::{between, derived_seed, one_of};
use fastrand::Rng;
use std::f64::consts::TAU;
use std::ops::Range;

/// Seconds until satellites are found.
const SEARCH_SECONDS: u32 = 12;

/// The longest pause, in seconds; of a short activity, a tenth of it.
const LONGEST_PAUSE: u32 = 120;

/// The longest lap, in seconds; of a short activity, half of it.
const LONGEST_LAP: u32 = 300;

/// Meters to a degree of latitude.
const METERS_A_DEGREE: f64 = 111_195.0;

/// A sport, in FIT's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sport {
    /// 1 is running, 2 cycling.
    pub sport: u8,
    /// 0 is none in particular.
    pub sub_sport: u8,
    /// Meters per second, typically.
    speed: f64,
    /// Steps (of one foot) or rounds of the crank a minute, typically.
    cadence: f64,
}

const SPORTS: [Sport; 2] = [
    Sport { sport: 1, sub_sport: 0, speed: 2.9, cadence: 82.0 },
    Sport { sport: 2, sub_sport: 7, speed: 7.1, cadence: 86.0 },
];

/// What a device noted at one second.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Unix seconds.
    pub time: i64,
    /// Degrees north and east in semicircles, 2³¹ to 180°; unknown before satellites are found.
    pub position: Option<(i32, i32)>,
    /// Fifths of a meter above 500 m below the sea.
    pub altitude: u16,
    /// Beats a minute; unknown where the strap lost contact.
    pub heart_rate: Option<u8>,
    /// A minute, of whatever the sport counts.
    pub cadence: Option<u8>,
    /// Centimeters since the beginning.
    pub distance: u32,
    /// Millimeters a second.
    pub speed: u16,
    /// Watts, where the device measures them.
    pub power: Option<u16>,
    /// Degrees Celsius.
    pub temperature: i8,
}

/// A part of an activity.
#[derive(Debug, Clone, PartialEq)]
pub struct Lap {
    /// Unix seconds.
    pub begins: i64,
    /// Unix seconds, where the next begins.
    pub ends: i64,
    /// How long the timer ran, in seconds.
    pub timer_seconds: u32,
    /// Centimeters.
    pub distance: u32,
    /// Beats a minute on average, if any were counted.
    pub average_heart_rate: Option<u8>,
    /// The most beats a minute.
    pub max_heart_rate: Option<u8>,
}

/// An activity.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Garmin's id of it.
    pub activity_id: u64,
    /// Which sport.
    pub sport: Sport,
    /// Whether the device writes speed and altitude in four bytes each (`enhanced_speed`, `enhanced_altitude`) and
    /// not in two, as older ones do.
    pub enhanced: bool,
    /// Whether it measures power.
    pub has_power: bool,
    /// Seconds to add to UTC for the user's clock.
    pub offset: i32,
    /// Unix seconds between which the timer was stopped; empty if it never was.
    pub pause: Range<i64>,
    /// One a second, but in the pause.
    pub samples: Vec<Sample>,
    /// One behind the other, two at least.
    pub laps: Vec<Lap>,
    /// All of it.
    pub whole: Lap,
}

impl Course {
    /// The activity with that id: always the same one. Begins at `begins` (Unix seconds) and takes `seconds`.
    #[must_use]
    pub fn new(activity_id: u64, begins: i64, seconds: u32) -> Self {
        let mut rng = Rng::with_seed(derived_seed(activity_id, 0));
        let (sport, enhanced, has_power) = (one_of(&mut rng, &SPORTS), rng.bool(), rng.bool());
        let offset = one_of(&mut rng, &[-28_800, 0, 3600, 7200, 20_700]);
        let paused = LONGEST_PAUSE.min(seconds / 10);
        let paused = begins + i64::from(seconds / 2)..begins + i64::from(seconds / 2 + paused);
        let samples = Walk::new(&mut rng, sport, has_power).samples(begins, seconds, &paused, &mut rng);
        let lap = |range: Range<u32>| Lap::of(&samples, begins, range, &paused);
        let lap_seconds = LONGEST_LAP.min(seconds.div_ceil(2)).max(1);
        let starts = (0..seconds).step_by(lap_seconds as usize);
        let laps = starts.map(|start| lap(start..seconds.min(start + lap_seconds))).collect();
        let whole = lap(0..seconds);
        Self { activity_id, sport, enhanced, has_power, offset, pause: paused, samples, laps, whole }
    }
}

impl Lap {
    /// From and to a second since the activity began.
    fn of(samples: &[Sample], begins: i64, range: Range<u32>, pause: &Range<i64>) -> Self {
        let (start, end) = (begins + i64::from(range.start), begins + i64::from(range.end));
        let paused = (end.min(pause.end) - start.max(pause.start)).max(0);
        let distance = |until: i64| {
            let at = samples.partition_point(|sample| sample.time < until);
            samples.get(at).or(samples.last()).map_or(0, |sample| sample.distance)
        };
        let rates = || {
            let of_lap = samples.iter().filter(|sample| (start..end).contains(&sample.time));
            of_lap.filter_map(|sample| sample.heart_rate)
        };
        let (sum, count) = rates().fold((0, 0), |(sum, count), rate| (sum + u64::from(rate), count + 1));
        Self {
            begins: start,
            ends: end,
            timer_seconds: u32::try_from(end - start - paused).unwrap_or(0),
            distance: distance(end) - distance(start),
            average_heart_rate: (count > 0).then(|| (sum / count) as u8),
            max_heart_rate: rates().max(),
        }
    }
}

/// How somebody moves: figures that vary with the seconds around what is typical of them.
struct Walk {
    place: (f64, f64),
    altitude: f64,
    heart_rate: f64,
    sport: Sport,
    watts: Option<f64>,
    celsius: f64,
}

impl Walk {
    fn new(rng: &mut Rng, sport: Sport, has_power: bool) -> Self {
        Self {
            place: (between(rng, -40.0, 60.0), between(rng, -120.0, 140.0)),
            altitude: between(rng, -20.0, 1800.0),
            heart_rate: between(rng, 120.0, 160.0),
            sport,
            watts: has_power.then(|| between(rng, 120.0, 260.0)),
            celsius: between(rng, -8.0, 31.0),
        }
    }

    fn samples(&self, begins: i64, seconds: u32, pause: &Range<i64>, rng: &mut Rng) -> Vec<Sample> {
        let mut distance = 0;
        let mut samples = Vec::new();
        for second in 0..=seconds {
            let time = begins + i64::from(second);
            if pause.contains(&time) {
                continue;
            }
            let speed = ((self.sport.speed + wave(second, 47.0)) * 1000.0) as u16;
            samples.push(Sample { distance, ..self.sample(time, second, speed, rng) });
            distance += u32::from(speed) / 10;
        }
        samples
    }

    fn sample(&self, time: i64, second: u32, speed: u16, rng: &mut Rng) -> Sample {
        let (north, east) = (wave(second, 1200.0) * 900.0, wave(second + 300, 1200.0) * 700.0);
        let (latitude, longitude) =
            (self.place.0 + north / METERS_A_DEGREE, self.place.1 + east / METERS_A_DEGREE);
        let beats = self.heart_rate + 20.0 * wave(second, 610.0) + between(rng, -2.0, 2.0);
        let watts = |watts: f64| (watts + 60.0 * wave(second, 90.0) + between(rng, -9.0, 9.0)) as u16;
        Sample {
            time,
            position: (second >= SEARCH_SECONDS).then(|| (semicircles(latitude), semicircles(longitude))),
            altitude: ((self.altitude + 12.0 * wave(second, 800.0) + 500.0) * 5.0) as u16,
            heart_rate: (second % 97 != 5).then_some(beats as u8),
            cadence: (second % 61 != 7).then_some((self.sport.cadence + 4.0 * wave(second, 31.0)) as u8),
            distance: 0,
            speed,
            power: self.watts.map(watts),
            temperature: (self.celsius + wave(second, 2400.0)) as i8,
        }
    }
}

/// Between -1 and 1, once up and down in `period` seconds.
fn wave(second: u32, period: f64) -> f64 {
    (TAU * f64::from(second) / period).sin()
}

fn semicircles(degrees: f64) -> i32 {
    (degrees * (2_f64.powi(31) / 180.0)).round() as i32
}
