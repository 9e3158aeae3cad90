//! The menstrual cycle or the pregnancy that a user keeps track of.

use fastrand::Rng;

use crate::chance::{happens, one_of};

/// Days from the ovulation to the next period, whatever the cycle's length.
const LUTEAL_DAYS: i64 = 14;

const FERTILE_DAYS: i64 = 7;

/// Days of a pregnancy, counted from the last period.
const PREGNANCY_DAYS: i64 = 280;

/// What the user has told Garmin, and what Garmin derives from it.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    /// The day of the plan on which a period began; negative before the plan's first.
    began: i64,
    /// Days.
    pub(crate) length: i64,
    /// Days.
    pub(crate) period_length: i64,
    pub(crate) has_specified_length: bool,
    pub(crate) has_specified_period_length: bool,
    pub(crate) pregnancy: Option<Pregnancy>,
}

/// A pregnancy in place of a cycle.
#[derive(Debug, Clone)]
pub(crate) struct Pregnancy {
    pub(crate) title: &'static str,
    pub(crate) babies: &'static str,
    /// How many days later than computed it is due.
    pub(crate) days_late: i64,
    pub(crate) height_in_centimeters: i64,
    pub(crate) weight_in_grams: i64,
}

/// A part of a cycle or a pregnancy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// The number by which Garmin names it.
    pub(crate) number: i64,
    /// The first and the last day in the cycle; the cycle's first is 1.
    first: i64,
    last: i64,
}

impl Cycle {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let pregnancy = happens(rng, 0.2).then(|| Pregnancy {
            title: one_of(rng, &["Our first", "Zwillinge!", "Junior"]),
            babies: one_of(rng, &["SINGLE", "SINGLE", "TWINS"]),
            days_late: rng.i64(0..5),
            height_in_centimeters: rng.i64(155..185),
            weight_in_grams: rng.i64(520..900) * 100,
        });
        let length = if pregnancy.is_some() { PREGNANCY_DAYS } else { rng.i64(24..36) };
        Self {
            began: -rng.i64(0..length),
            length,
            period_length: rng.i64(3..8),
            has_specified_length: happens(rng, 0.5),
            has_specified_period_length: happens(rng, 0.5),
            pregnancy,
        }
    }

    /// The day of the plan on which the cycle began that is under way on that day.
    pub(crate) fn start(&self, day: u32) -> i64 {
        i64::from(day) - (self.day_in_cycle(day) - 1)
    }

    /// The cycle's first day is 1.
    pub(crate) fn day_in_cycle(&self, day: u32) -> i64 {
        (i64::from(day) - self.began) % self.length + 1
    }

    /// The phase that the day lies in.
    pub(crate) fn phase(&self, day: u32) -> Phase {
        let day_in_cycle = self.day_in_cycle(day);
        let ovulation = self.length - LUTEAL_DAYS;
        let ends = match self.pregnancy {
            Some(_) => [
                ("FIRST_TRIMESTER", 5, 91),
                ("SECOND_TRIMESTER", 6, 189),
                ("THIRD_TRIMESTER", 7, self.length),
            ]
            .to_vec(),
            None => vec![
                ("MENSTRUAL", 1, self.period_length),
                ("FOLLICULAR", 2, ovulation - 2),
                ("OVULATION", 3, ovulation + 1),
                ("LUTEAL", 4, self.length),
            ],
        };
        let mut phase = Phase { name: "", number: 0, first: 1, last: 0 };
        for (name, number, last) in ends {
            phase = Phase { name, number, first: phase.last + 1, last };
            if day_in_cycle <= last {
                break;
            }
        }
        phase
    }

    /// The first fertile day in the cycle and the number of fertile days; `None` in a pregnancy.
    pub(crate) fn fertile_window(&self) -> Option<(i64, i64)> {
        self.pregnancy.is_none().then_some((self.length - LUTEAL_DAYS - 5, FERTILE_DAYS))
    }
}

impl Phase {
    /// Days.
    pub(crate) fn length(&self) -> i64 {
        self.last - self.first + 1
    }

    /// Days from that day in the cycle to the next phase's first.
    pub(crate) fn days_left(&self, day_in_cycle: i64) -> i64 {
        self.last + 1 - day_in_cycle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_follow_one_another_through_the_whole_cycle() {
        let cycle = Cycle {
            began: -3,
            length: 28,
            period_length: 5,
            has_specified_length: true,
            has_specified_period_length: false,
            pregnancy: None,
        };
        assert_eq!((cycle.start(0), cycle.day_in_cycle(0), cycle.phase(0).name), (-3, 4, "MENSTRUAL"));
        assert_eq!(cycle.phase(1).days_left(5), 1);
        let names: Vec<_> = (0..28).map(|day| cycle.phase(day).name).collect();
        let mut in_order = names.clone();
        in_order.dedup();
        assert_eq!(in_order, ["MENSTRUAL", "FOLLICULAR", "OVULATION", "LUTEAL", "MENSTRUAL"]);
        assert_eq!((cycle.start(25), cycle.day_in_cycle(25)), (25, 1), "the next period");
    }
}
