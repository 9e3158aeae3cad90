//! An axis from 0 to a round number above the greatest value.

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    step: f64,
    steps: u32,
}

impl Scale {
    /// The axis for values up to `greatest`: some five steps of 1, 2 or 5 times a power of ten.
    pub(super) fn up_to(greatest: f64) -> Self {
        let greatest = greatest.max(f64::MIN_POSITIVE);
        let wanted = greatest / 5.0;
        let power = 10f64.powf(wanted.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or(10.0 * power);
        Self { step, steps: (greatest / step).ceil().max(1.0) as u32 }
    }

    /// Where a value is, as a share of the axis.
    pub(super) fn share(self, value: f64) -> f64 {
        value / (self.step * f64::from(self.steps))
    }

    /// The values to name.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        // To the twelfth place, so that no tick is 0.30000000000000004.
        (0..=self.steps).map(move |number| (f64::from(number) * self.step * 1e12).round() / 1e12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_the_greatest_value() {
        let ticks = |greatest| Scale::up_to(greatest).ticks().collect::<Vec<f64>>();
        assert_eq!(ticks(1.3), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(ticks(0.9), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(ticks(41_000.0), [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0, 50_000.0]);
        assert_eq!(Scale::up_to(41_000.0).share(25_000.0), 0.5);
    }
}
