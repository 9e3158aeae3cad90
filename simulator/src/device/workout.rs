//! A workout: the sport, and the figures that all of Garmin's entries about it agree on.

use fastrand::Rng;

use super::SLICE_SECONDS;
use crate::chance::{between, happens, one_of};
use crate::rounding::rounded;
use crate::user::User;

/// A kind of workout.
#[derive(Debug)]
pub(crate) struct Sport {
    /// Garmin's name.
    pub(crate) activity_type: &'static str,
    /// What else Garmin or a user may take it for.
    pub(crate) other_type: &'static str,
    name: &'static str,
    /// Typical; 0 where no distance is measured.
    meters_per_second: f64,
    pub(crate) outdoors: bool,
    pub(crate) rhythm: Rhythm,
}

/// What a device counts in a sport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rhythm {
    None,
    Steps,
    Pedals,
    Strokes,
    Pushes,
}

impl Rhythm {
    /// A minute, typically.
    fn cadence(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Steps => 164.0,
            Self::Pedals => 82.0,
            Self::Strokes => 27.0,
            Self::Pushes => 52.0,
        }
    }
}

static RUNNING: Sport = sport("RUNNING", "TRAIL_RUNNING", "Hamburg Running", 2.9, true, Rhythm::Steps);
static CYCLING: Sport = sport("CYCLING", "ROAD_BIKING", "Evening ride", 7.1, true, Rhythm::Pedals);
static LAP_SWIMMING: Sport = sport("LAP_SWIMMING", "SWIMMING", "Köln Schwimmen", 0.8, false, Rhythm::Strokes);
static MULTI_SPORT: Sport = sport("MULTI_SPORT", "OTHER", "Multisport", 4.2, true, Rhythm::None);

static SPORTS: [&Sport; 9] = [
    &RUNNING,
    &sport("TRAIL_RUNNING", "HIKING", "走る", 2.5, true, Rhythm::Steps),
    &sport("TREADMILL_RUNNING", "INDOOR_RUNNING", "Treadmill", 2.6, false, Rhythm::Steps),
    &sport("HIKING", "WALKING", "Wanderung", 1.2, true, Rhythm::Steps),
    &CYCLING,
    &sport("INDOOR_CYCLING", "VIRTUAL_RIDE", "Spinning", 6.5, false, Rhythm::Pedals),
    &LAP_SWIMMING,
    &sport("STRENGTH_TRAINING", "HIIT", "Gym", 0.0, false, Rhythm::None),
    &MULTI_SPORT,
];

static PUSHING: Sport =
    sport("WHEELCHAIR_PUSH_RUN", "WHEELCHAIR_PUSH_WALK", "Park", 2.4, true, Rhythm::Pushes);

const fn sport(
    activity_type: &'static str,
    other_type: &'static str,
    name: &'static str,
    meters_per_second: f64,
    outdoors: bool,
    rhythm: Rhythm,
) -> Sport {
    Sport { activity_type, other_type, name, meters_per_second, outdoors, rhythm }
}

/// A workout within the day.
#[derive(Debug, Clone)]
pub(crate) struct Workout {
    pub(crate) activity_id: u64,
    /// The activity that this one is a leg of.
    pub(crate) parent: Option<u64>,
    pub(crate) sport: &'static Sport,
    pub(crate) name: &'static str,
    /// What the user wrote about it.
    pub(crate) description: Option<&'static str>,
    /// Second of the day at which it begins.
    pub(crate) begins: u32,
    pub(crate) seconds: u32,
    /// Beats per minute on average.
    pub(crate) heart_rate: u8,
    /// On average; 0 where no distance is measured.
    pub(crate) meters_per_second: f64,
    /// Of whatever the sport's [`Rhythm`] is, a minute on average.
    pub(crate) cadence: f64,
    /// Watts on average, where the device measures power.
    pub(crate) watts: Option<f64>,
    /// Degrees north and east where it begins.
    pub(crate) place: (f64, f64),
    /// Meters up, and meters down.
    pub(crate) climb: (f64, f64),
}

impl Workout {
    pub(super) fn new(rng: &mut Rng, user: &User) -> Self {
        let sport = if user.wheelchair { &PUSHING } else { one_of(rng, &SPORTS) };
        let activity_id = rng.u64(20_000_000_000..30_000_000_000);
        let (begins, seconds) = (rng.u32(30..80) * SLICE_SECONDS, rng.u32(2..6) * SLICE_SECONDS);
        Self::of_sport(rng, sport, activity_id, begins, seconds)
    }

    fn of_sport(rng: &mut Rng, sport: &'static Sport, activity_id: u64, begins: u32, seconds: u32) -> Self {
        let with_power = matches!(sport.rhythm, Rhythm::Pedals | Rhythm::Steps) && happens(rng, 0.4);
        Self {
            activity_id,
            parent: None,
            sport,
            name: sport.name,
            description: happens(rng, 0.2).then(|| one_of(rng, &["lunch loop", "with Zoë", "zu schnell 🥵"])),
            begins,
            seconds,
            heart_rate: rng.u8(105..165),
            meters_per_second: rounded(sport.meters_per_second * between(rng, 0.8, 1.2), 3),
            cadence: rounded(sport.rhythm.cadence() * between(rng, 0.9, 1.1), 6),
            watts: with_power.then(|| between(rng, 120.0, 260.0).round()),
            place: (rounded(between(rng, -40.0, 60.0), 4), rounded(between(rng, -120.0, 140.0), 4)),
            climb: (f64::from(rng.u8(2..90)), f64::from(rng.u8(2..90))),
        }
    }

    /// The parts of a multisport activity, in order; none of any other.
    pub(crate) fn legs(&self, rng: &mut Rng) -> Vec<Self> {
        if !self.is_parent() {
            return Vec::new();
        }
        let swim = self.seconds / 3;
        let mut leg = |number: u32, sport, begins, seconds| Self {
            parent: Some(self.activity_id),
            name: self.name,
            ..Self::of_sport(rng, sport, self.activity_id + u64::from(number), begins, seconds)
        };
        vec![
            leg(1, &LAP_SWIMMING, self.begins, swim),
            leg(2, &CYCLING, self.begins + swim, self.seconds - swim),
        ]
    }

    /// Whether it consists of others.
    pub(crate) fn is_parent(&self) -> bool {
        self.sport.activity_type == MULTI_SPORT.activity_type
    }

    pub(crate) fn meters(&self) -> f64 {
        rounded(self.meters_per_second * f64::from(self.seconds), 2)
    }

    /// How often the sport's [`Rhythm`] was counted in all.
    pub(crate) fn count(&self) -> u32 {
        (self.cadence * f64::from(self.seconds) / 60.0) as u32
    }
}
