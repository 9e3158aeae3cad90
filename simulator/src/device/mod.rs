//! What a device records in a day, before anything is sent.
//!
//! The whole day is drawn at once and a summary is cut from it at the moment of a synchronisation. So a later version of
//! a day continues the earlier one, as it does at Garmin, instead of being another day with the same name.

mod body;
mod movement;
mod night;
mod workout;

pub(crate) use body::StressSample;
pub(crate) use movement::{SLICE_SECONDS, Share, State};
pub(crate) use night::{Nap, Night, Stage};
pub(crate) use workout::{Rhythm, Workout};

use crate::chance::{happens, one_of};
use crate::plan::Plan;
use crate::user::{User, calendar_date};

/// Native distance of the samples of stress and body battery, in seconds.
const STRESS_INTERVAL: u32 = 180;

/// Native distance of the samples of oxygen saturation and breath, in seconds.
const BREATH_INTERVAL: u32 = 60;

/// One calendar day of one user.
#[derive(Debug)]
pub(crate) struct Record {
    /// The day's number in the plan.
    pub(crate) day: u32,
    pub(crate) calendar_date: String,
    /// Local midnight in Unix seconds.
    pub(crate) start: i64,
    /// What the user's clock showed, in seconds ahead of UTC.
    pub(crate) offset: i32,
    /// Seconds until the next midnight.
    pub(crate) length: u32,
    /// Whether the device was worn at all.
    pub(crate) worn: bool,
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
    oxygen: Vec<(u32, u8)>,
    respiration: Vec<(u32, f64)>,
    slices: Vec<Vec<Share>>,
}

impl Record {
    pub(crate) fn of_day(plan: &Plan, user: &User, day: u32) -> Self {
        let rng = &mut user.rng_of_day(day);
        let (start, length) = (user.start_of(day), user.length_of(day));
        let worn = !happens(rng, 0.05);
        let worn_at_night = worn && !happens(rng, 0.04);
        let night = Night::new(plan, user, rng, start, worn_at_night);
        let workout = (worn && happens(rng, 0.3)).then(|| Workout::new(rng, user));
        let states = movement::states(rng, start, length, worn, &night, workout.as_ref());
        let heart_rate_interval = plan.sample_interval(user.device.heart_rate_interval);
        let stress_interval = plan.sample_interval(STRESS_INTERVAL);
        let feedback = (worn && user.device.body_battery && happens(rng, 0.4))
            .then(|| (one_of(rng, &["VERY_LOW", "LOW", "MODERATE", "HIGH"]), rng.u32(28_800..64_800)));
        let breath_interval = plan.sample_interval(BREATH_INTERVAL);
        Self {
            day,
            calendar_date: calendar_date(day.into()),
            start,
            offset: user.offset_on(day),
            length,
            worn,
            heart_rates: body::heart_rates(rng, user.resting_heart_rate, &states, heart_rate_interval),
            stress: body::stress(rng, &states, stress_interval),
            oxygen: body::oxygen(rng, &states, breath_interval),
            respiration: body::respiration(rng, &states, breath_interval),
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
        self.moment(self.length)
    }

    /// That second of the day, in Unix seconds.
    pub(crate) fn moment(&self, second: u32) -> i64 {
        self.start + i64::from(second)
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

    /// Oxygen saturation in per cent in the first `covered` seconds, with its second of the day.
    pub(crate) fn oxygen(&self, covered: u32) -> impl Iterator<Item = (u32, u8)> {
        self.oxygen.iter().copied().take_while(move |(second, _)| *second < covered)
    }

    /// Breaths per minute in the seconds `from` to `to` of the day, with their second of the day.
    pub(crate) fn respiration(&self, from: u32, to: u32) -> impl Iterator<Item = (u32, f64)> {
        let before = self.respiration.partition_point(|(second, _)| *second < from);
        self.respiration[before..].iter().copied().take_while(move |(second, _)| *second < to)
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
