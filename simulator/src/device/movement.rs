//! Movement: what the wearer did in each quarter of an hour.

use fastrand::Rng;

use super::{Night, Workout};
use crate::chance::{between, happens};
use crate::rounding::rounded;
use crate::user::User;

/// Garmin cuts the day into quarters of an hour.
pub(crate) const SLICE_SECONDS: u32 = 900;

/// What a quarter of an hour was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    OffWrist,
    Asleep,
    Still,
    Moving,
    Exercising,
}

/// The time spent in one activity type within a slice.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    /// Garmin's name of the activity type.
    pub(crate) activity: &'static str,
    /// The number by which an epoch's summary id names the type.
    pub(crate) code: u8,
    pub(crate) intensity: &'static str,
    pub(crate) seconds: u32,
    pub(crate) steps: u32,
    pub(crate) pushes: u32,
    pub(crate) meters: f64,
    pub(crate) kilocalories: u32,
    pub(crate) met: f64,
    pub(crate) mean_motion: f64,
    pub(crate) max_motion: f64,
}

impl Share {
    /// This share of a slice of which only the first `duration` seconds are known; `None` if nothing of it is.
    pub(crate) fn of_first(&self, duration: u32) -> Option<Self> {
        let part = |whole: u32| whole * duration / SLICE_SECONDS;
        let mut share = self.clone();
        share.seconds = part(self.seconds);
        share.steps = part(self.steps);
        share.pushes = part(self.pushes);
        share.kilocalories = part(self.kilocalories);
        share.meters = rounded(self.meters * f64::from(duration) / f64::from(SLICE_SECONDS), 2);
        (share.seconds > 0).then_some(share)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.intensity != "SEDENTARY"
    }

    pub(crate) fn is_vigorous(&self) -> bool {
        self.intensity == "HIGHLY_ACTIVE"
    }
}

/// The state of each slice of the day.
pub(super) fn states(
    rng: &mut Rng,
    start: i64,
    length: u32,
    worn: bool,
    night: &Night,
    workout: Option<&Workout>,
) -> Vec<State> {
    let liveliest = between(rng, 0.2, 0.6);
    let mut state_at = |second: u32| {
        if !worn {
            return State::OffWrist;
        }
        if night.spans(start + i64::from(second)) {
            return State::Asleep;
        }
        if workout.is_some_and(|workout| (workout.begins..workout.begins + workout.seconds).contains(&second))
        {
            return State::Exercising;
        }
        let awake = (6 * 3_600..22 * 3_600).contains(&second);
        if awake && happens(rng, liveliest) { State::Moving } else { State::Still }
    };
    (0..length / SLICE_SECONDS).map(|number| state_at(number * SLICE_SECONDS)).collect()
}

/// What was done in a slice of that state; the seconds add up to the slice.
pub(super) fn slice(rng: &mut Rng, user: &User, state: State) -> Vec<Share> {
    let walked = match state {
        State::OffWrist => return vec![share(rng, user, "GENERIC", SLICE_SECONDS)],
        State::Asleep if happens(rng, 0.2) => return vec![share(rng, user, "SLEEP", SLICE_SECONDS)],
        State::Asleep => 0,
        State::Still if happens(rng, 0.7) => 0,
        State::Still => rng.u32(20..120),
        State::Moving => rng.u32(200..840),
        State::Exercising if user.wheelchair => {
            return vec![share(rng, user, "WHEELCHAIR_PUSH", SLICE_SECONDS)];
        }
        State::Exercising => return vec![share(rng, user, "RUNNING", SLICE_SECONDS)],
    };
    let generic = if state == State::Moving && happens(rng, 0.2) { rng.u32(15..60) } else { 0 };
    let walking = if user.wheelchair { "WHEELCHAIR_PUSH" } else { "WALKING" };
    let mut shares = vec![share(rng, user, "SEDENTARY", SLICE_SECONDS - walked - generic)];
    if walked > 0 {
        shares.push(share(rng, user, walking, walked));
    }
    if generic > 0 {
        shares.push(share(rng, user, "GENERIC", generic));
    }
    shares
}

fn share(rng: &mut Rng, user: &User, activity: &'static str, seconds: u32) -> Share {
    let minutes = f64::from(seconds) / 60.0 * user.liveliness;
    // Type number, intensity, steps and pushes a minute, kcal a minute, MET, motion.
    let (code, intensity, steps, pushes, kilocalories, met, motion) = match activity {
        "WALKING" => (6, "ACTIVE", 96.0, 0.0, 3.9, between(rng, 2.0, 4.5), 4.0),
        "RUNNING" => (1, "HIGHLY_ACTIVE", 164.0, 0.0, 11.5, between(rng, 7.0, 12.0), 6.0),
        "WHEELCHAIR_PUSH" => (10, "ACTIVE", 0.0, 38.0, 4.4, between(rng, 2.5, 5.5), 5.0),
        "SLEEP" => (7, "SEDENTARY", 0.0, 0.0, 0.0, 1.0, 0.0),
        "GENERIC" => (0, "SEDENTARY", 0.0, 0.0, 0.0, 1.0, 0.0),
        _ => (8, "SEDENTARY", 0.0, 0.0, 0.0, 1.0, 1.0),
    };
    let meters_a_step = if activity == "RUNNING" { 1.08 } else { 0.74 };
    let meters_a_push = 1.07;
    let mean_motion = if motion > 0.0 { rounded(motion + between(rng, -0.9, 0.9), 2) } else { 0.0 };
    Share {
        activity,
        code,
        intensity,
        seconds,
        steps: (steps * minutes) as u32,
        pushes: (pushes * minutes) as u32,
        meters: rounded((steps * meters_a_step + pushes * meters_a_push) * minutes, 2),
        kilocalories: (kilocalories * minutes) as u32,
        met: rounded(met, 4),
        mean_motion,
        max_motion: if motion > 0.0 { f64::from(rng.u8(3..=7)).max(mean_motion.ceil()) } else { 0.0 },
    }
}
