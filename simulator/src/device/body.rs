//! Heart rate, stress, body battery, oxygen and breath, which follow what the wearer does.

use fastrand::Rng;

use super::{SLICE_SECONDS, State};
use crate::chance::{between, happens};
use crate::rounding::rounded;

/// Awake, oxygen saturation is measured no more often than this, in seconds.
const AWAKE_OXYGEN_INTERVAL: u32 = 900;

/// Stress and body battery at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StressSample {
    /// 1 to 100; 0 now and then; -1 off the wrist, -2 too much motion, -4 recovering from exercise.
    pub(crate) level: i8,
    /// 0 to 100; `None` off the wrist.
    pub(crate) body_battery: Option<u8>,
}

/// Beats per minute at the end of each interval; 0 where the device was not worn.
pub(super) fn heart_rates(rng: &mut Rng, resting: u8, states: &[State], interval: u32) -> Vec<u8> {
    let resting = f64::from(resting);
    let mut rate = resting + 8.0;
    let mut next = |state: State| {
        let level = match state {
            State::OffWrist => return 0,
            State::Asleep => resting + 2.0,
            State::Still => resting + 14.0,
            State::Moving => resting + 34.0,
            State::Exercising => resting + 92.0,
        };
        rate += (level - rate) * 0.3 + f64::from(rng.i8(-4..=4));
        rate.clamp(resting - 4.0, 199.0) as u8
    };
    (1..=length_of(states) / interval).map(|number| next(state_before(states, number * interval))).collect()
}

/// Stress and body battery at the beginning of each interval.
pub(super) fn stress(rng: &mut Rng, states: &[State], interval: u32) -> Vec<StressSample> {
    let minutes = f64::from(interval) / 60.0;
    let mut battery = f64::from(rng.u8(20..60));
    let mut next = |state: State, before: State| {
        let (level, change) = match state {
            State::OffWrist => (-1, 0.0),
            State::Asleep => (rng.i8(3..26), 0.14),
            State::Still if before == State::Exercising => (-4, -0.03),
            State::Still => (rng.i8(12..70), -0.03),
            State::Moving => (if happens(rng, 0.5) { -2 } else { rng.i8(20..98) }, -0.07),
            State::Exercising => (-2, -0.25),
        };
        battery = (battery + change * minutes).clamp(5.0, 100.0);
        let level = if level > 0 && happens(rng, 0.004) { 0 } else { level };
        StressSample { level, body_battery: (state != State::OffWrist).then_some(battery as u8) }
    };
    (0..length_of(states))
        .step_by(interval as usize)
        .map(|second| {
            next(
                state_before(states, second + 1),
                state_before(states, second.saturating_sub(SLICE_SECONDS) + 1),
            )
        })
        .collect()
}

/// Oxygen saturation in per cent and the second of the day at which it was measured: closely while asleep, else rarely
/// and only at rest.
pub(super) fn oxygen(rng: &mut Rng, states: &[State], interval: u32) -> Vec<(u32, u8)> {
    let mut measure = |second: u32| {
        let measured = match state_before(states, second + 1) {
            State::Asleep => true,
            State::Still => second.is_multiple_of(AWAKE_OXYGEN_INTERVAL) && happens(rng, 0.6),
            State::OffWrist | State::Moving | State::Exercising => false,
        };
        measured.then(|| (second, rng.u8(88..=100)))
    };
    (0..length_of(states)).step_by(interval as usize).filter_map(&mut measure).collect()
}

/// Breaths per minute and the second of the day at which they were counted, which fails more often the more the wearer
/// moves.
pub(super) fn respiration(rng: &mut Rng, states: &[State], interval: u32) -> Vec<(u32, f64)> {
    let mut count = |second: u32| {
        let (breaths, success) = match state_before(states, second + 1) {
            State::OffWrist => return None,
            State::Asleep => (13.0, 0.98),
            State::Still => (14.5, 0.8),
            State::Moving => (16.5, 0.4),
            State::Exercising => (24.0, 0.05),
        };
        happens(rng, success).then(|| (second, rounded(breaths + between(rng, -2.5, 2.5), 2)))
    };
    (0..length_of(states)).step_by(interval as usize).filter_map(&mut count).collect()
}

fn length_of(states: &[State]) -> u32 {
    states.len() as u32 * SLICE_SECONDS
}

/// The state of the moment just before that second of the day.
fn state_before(states: &[State], second: u32) -> State {
    let slice = second.saturating_sub(1) / SLICE_SECONDS;
    states.get(slice as usize).copied().unwrap_or(State::OffWrist)
}
