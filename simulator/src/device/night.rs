//! A night's sleep.

use fastrand::Rng;

use crate::chance::{between, happens, one_of};
use crate::plan::Plan;
use crate::rounding::rounded;
use crate::user::User;

/// Native distance of the samples of oxygen saturation and respiration, in seconds.
const SLEEP_INTERVAL: u32 = 60;

/// Native distance of the readings of heart-rate variability, in seconds.
const HRV_INTERVAL: u32 = 300;

/// The night that ends on the morning of a day.
#[derive(Debug)]
pub(crate) struct Night {
    /// Falling asleep, in Unix seconds.
    pub(crate) start: i64,
    /// In order, without gaps; empty when the device was not worn.
    pub(crate) stages: Vec<Stage>,
    /// Garmin's verdict of 0 to 100.
    pub(crate) score: u8,
    /// A nap of the day that follows.
    pub(crate) nap: Option<Nap>,
    /// How Garmin calls a night that the user has corrected or typed in.
    pub(crate) by_hand: Option<&'static str>,
    /// How much warmer the skin was than usual, in degrees Celsius; `None` while the device learns what is usual.
    pub(crate) skin_deviation: Option<f64>,
    sample_interval: u32,
    hrv_interval: u32,
    respiration: Vec<f64>,
    spo2: Vec<u8>,
    hrv: Vec<u8>,
    end: i64,
}

/// A stretch of one kind of sleep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    /// Garmin's key in `sleepLevelsMap`.
    pub(crate) name: &'static str,
    /// Unix seconds.
    pub(crate) start: i64,
    /// Unix seconds.
    pub(crate) end: i64,
}

/// A nap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nap {
    /// Unix seconds.
    pub(crate) start: i64,
    pub(crate) seconds: u32,
}

impl Nap {
    /// Unix seconds.
    pub(crate) fn end(&self) -> i64 {
        self.start + i64::from(self.seconds)
    }
}

impl Night {
    /// The night around the midnight `day_start`.
    pub(super) fn new(plan: &Plan, user: &User, rng: &mut Rng, day_start: i64, worn: bool) -> Self {
        let start = day_start + rng.i64(-120..60) * 60;
        let end = start + rng.i64(330..540) * 60;
        let sample_interval = plan.sample_interval(SLEEP_INTERVAL);
        let samples = if worn { (end - start) / i64::from(sample_interval) } else { 0 };
        let spo2_samples = if user.device.pulse_ox { samples } else { 0 };
        let hrv_interval = plan.sample_interval(HRV_INTERVAL);
        let hrv_samples = if worn && user.device.hrv { (end - start) / i64::from(hrv_interval) } else { 0 };
        Self {
            start,
            stages: if worn { stages(rng, start, end) } else { Vec::new() },
            score: rng.u8(35..=98),
            nap: (worn && happens(rng, 0.12)).then(|| Nap {
                start: day_start + rng.i64(13 * 60..17 * 60) * 60,
                seconds: rng.u32(15..80) * 60,
            }),
            by_hand: happens(rng, 0.04).then(|| one_of(rng, &["MANUAL", "AUTO_MANUAL", "DEVICE", "Device"])),
            skin_deviation: happens(rng, 0.9).then(|| rounded(between(rng, -4.99, 1.5), 3)),
            sample_interval,
            hrv_interval,
            respiration: (0..samples).map(|_| rounded(between(rng, 11.0, 17.0), 2)).collect(),
            spo2: (0..spo2_samples).map(|_| rng.u8(89..=99)).collect(),
            hrv: (0..hrv_samples).map(|_| rng.u8(24..=110)).collect(),
            end,
        }
    }

    /// Waking up, in Unix seconds.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Whether that moment lies between falling asleep and waking up.
    pub(crate) fn spans(&self, moment: i64) -> bool {
        (self.start..self.end).contains(&moment)
    }

    /// The stages as far as they are over at that moment, the last one cut there.
    pub(crate) fn stages_until(&self, moment: i64) -> impl Iterator<Item = Stage> {
        self.stages
            .iter()
            .filter(move |stage| stage.start < moment)
            .map(move |stage| Stage { end: stage.end.min(moment), ..*stage })
    }

    /// Breaths per minute until that moment, with their second of the night.
    pub(crate) fn respiration(&self, moment: i64) -> impl Iterator<Item = (u32, f64)> {
        (0..self.seconds_until(moment))
            .step_by(self.sample_interval as usize)
            .zip(self.respiration.iter().copied())
    }

    /// Oxygen saturation in per cent until that moment, with its second of the night.
    pub(crate) fn spo2(&self, moment: i64) -> impl Iterator<Item = (u32, u8)> {
        (0..self.seconds_until(moment)).step_by(self.sample_interval as usize).zip(self.spo2.iter().copied())
    }

    /// Heart-rate variability (RMSSD) in milliseconds until that moment, with the second of the night at which each
    /// stretch of it was over.
    pub(crate) fn hrv(&self, moment: i64) -> impl Iterator<Item = (u32, u8)> {
        let interval = self.hrv_interval;
        let count = self.seconds_until(moment) / interval;
        (1..=count).map(move |number| number * interval).zip(self.hrv.iter().copied())
    }

    /// How much of the night is over at that moment.
    pub(crate) fn seconds_until(&self, moment: i64) -> u32 {
        (moment.min(self.end) - self.start).max(0) as u32
    }
}

fn stages(rng: &mut Rng, start: i64, end: i64) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut begins = start;
    while begins < end {
        let name = one_of(rng, &["light", "light", "deep", "light", "rem", "awake", "unmeasurable"]);
        let minutes = match name {
            "awake" | "unmeasurable" => rng.i64(1..6),
            _ => rng.i64(8..50),
        };
        let ends = (begins + minutes * 60).min(end);
        stages.push(Stage { name, start: begins, end: ends });
        begins = ends;
    }
    stages
}
