//! What a device records in a day, before anything is sent.
//!
//! The whole day is drawn at once and a summary is cut from it at the moment of a synchronisation. So a later version of
//! a day continues the earlier one, as it does at Garmin, instead of being another day with the same name.

mod body;
mod movement;
mod night;

pub(crate) use body::StressSample;
pub(crate) use movement::{SLICE_SECONDS, Share, State};
pub(crate) use night::{Nap, Night, Stage};

use crate::chance::{happens, one_of};
use crate::plan::Plan;
use crate::user::{User, calendar_date};

/// Native distance of the samples of stress and body battery, in seconds.
const STRESS_INTERVAL: u32 = 180;

/// One calendar day of one user.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) calendar_date: String,
    /// Local midnight in Unix seconds.
    pub(crate) start: i64,
    /// What the user's clock showed, in seconds ahead of UTC.
    pub(crate) offset: i32,
    /// Seconds until the next midnight.
    pub(crate) length: u32,
    /// The night before this day's morning.
    pub(crate) night: Night,
    pub(crate) workout: Option<Workout>,
    /// Level of the last hint that the device gave, and its second of the day.
    pub(crate) feedback: Option<(&'static str, u32)>,
    /// Steps that a second device reports after the day is over.
    pub(crate) late_steps: Option<u32>,
    pub(crate) heart_rate_interval: u32,
    pub(crate) stress_interval: u32,
    heart_rates: Vec<u8>,
    stress: Vec<StressSample>,
    slices: Vec<Vec<Share>>,
}

/// A workout within the day.
#[derive(Debug)]
pub(crate) struct Workout {
    pub(crate) activity_id: u64,
    pub(crate) name: &'static str,
    /// Second of the day at which it begins.
    pub(crate) begins: u32,
    pub(crate) seconds: u32,
}

impl Record {
    pub(crate) fn of_day(plan: &Plan, user: &User, day: u32) -> Self {
        let rng = &mut user.rng_of_day(day);
        let (start, length) = (user.start_of(day), user.length_of(day));
        let worn = !happens(rng, 0.05);
        let worn_at_night = worn && !happens(rng, 0.04);
        let night = Night::new(plan, user, rng, start, worn_at_night);
        let workout = (worn && happens(rng, 0.3)).then(|| Workout::new(rng));
        let states = movement::states(rng, start, length, worn, &night, workout.as_ref());
        let heart_rate_interval = plan.sample_interval(user.device.heart_rate_interval);
        let stress_interval = plan.sample_interval(STRESS_INTERVAL);
        let feedback = (worn && user.device.body_battery && happens(rng, 0.4))
            .then(|| (one_of(rng, &["VERY_LOW", "LOW", "MODERATE", "HIGH"]), rng.u32(28_800..64_800)));
        Self {
            calendar_date: calendar_date(day),
            start,
            offset: user.offset_on(day),
            length,
            heart_rates: body::heart_rates(rng, user.resting_heart_rate, &states, heart_rate_interval),
            stress: body::stress(rng, &states, stress_interval),
            slices: states.iter().map(|state| movement::slice(rng, user, *state)).collect(),
            night,
            workout,
            feedback,
            late_steps: (worn && happens(rng, 0.08)).then(|| rng.u32(40..900)),
            heart_rate_interval,
            stress_interval,
        }
    }

    /// The moment at which the day is over, in Unix seconds.
    pub(crate) fn end(&self) -> i64 {
        self.start + i64::from(self.length)
    }

    /// How much of the day is over at that moment, in seconds.
    pub(crate) fn covered_at(&self, moment: i64) -> u32 {
        (moment - self.start).clamp(0, self.length.into()) as u32
    }

    /// Heart rates of the first `covered` seconds: second of the day, beats per minute. None on a day without wear.
    pub(crate) fn heart_rates(&self, covered: u32) -> impl Iterator<Item = (u32, u8)> {
        let interval = self.heart_rate_interval;
        let times = (1..=covered / interval).map(move |number| number * interval);
        times.zip(self.heart_rates.iter().copied()).filter(|(_, rate)| *rate > 0)
    }

    /// Samples of stress and body battery in the first `covered` seconds, with their second of the day.
    pub(crate) fn stress(&self, covered: u32) -> impl Iterator<Item = (u32, StressSample)> {
        (0..covered).step_by(self.stress_interval as usize).zip(self.stress.iter().copied())
    }

    /// Slice number `number` as far as it lies within the first `covered` seconds of the day: its duration and what was
    /// done in it.
    pub(crate) fn slice(&self, number: u32, covered: u32) -> (u32, Vec<Share>) {
        let duration = covered.saturating_sub(number * SLICE_SECONDS).min(SLICE_SECONDS);
        let shares = self.slices.get(number as usize).map_or(&[][..], Vec::as_slice);
        (duration, shares.iter().filter_map(|share| share.of_first(duration)).collect())
    }

    /// Everything done in the first `covered` seconds of the day.
    pub(crate) fn shares(&self, covered: u32) -> impl Iterator<Item = Share> {
        (0..covered.div_ceil(SLICE_SECONDS)).flat_map(move |number| self.slice(number, covered).1)
    }
}

impl Workout {
    fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            activity_id: rng.u64(20_000_000_000..30_000_000_000),
            name: one_of(rng, &["Hamburg Running", "Köln Laufen", "Morning Run", "走る"]),
            begins: rng.u32(30..80) * SLICE_SECONDS,
            seconds: rng.u32(2..6) * SLICE_SECONDS,
        }
    }
}
