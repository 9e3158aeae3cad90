//! Heart rate, stress and body battery, which follow what the wearer does.

use fastrand::Rng;

use super::{SLICE_SECONDS, State};
use crate::chance::happens;

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
    let length = states.len() as u32 * SLICE_SECONDS;
    (1..=length / interval).map(|number| next(state_before(states, number * interval))).collect()
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
    let length = states.len() as u32 * SLICE_SECONDS;
    (0..length)
        .step_by(interval as usize)
        .map(|second| {
            next(
                state_before(states, second + 1),
                state_before(states, second.saturating_sub(SLICE_SECONDS) + 1),
            )
        })
        .collect()
}

/// The state of the moment just before that second of the day.
fn state_before(states: &[State], second: u32) -> State {
    let slice = second.saturating_sub(1) / SLICE_SECONDS;
    states.get(slice as usize).copied().unwrap_or(State::OffWrist)
}
