//! Ranges of time of recording.

use std::num::NonZeroU32;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// From one moment up to another that does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub starts_at: OffsetDateTime,
    /// The first moment behind it; later than the start.
    pub ends_at: OffsetDateTime,
}

impl Range {
    /// All of time, as far as anybody may have recorded something.
    pub const EVER: Self =
        Self { starts_at: OffsetDateTime::UNIX_EPOCH, ends_at: datetime!(9999-12-31 0:00 UTC) };

    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.ends_at - self.starts_at
    }

    /// How many days Garmin counts it as: those that have begun.
    #[must_use]
    pub fn days(&self) -> NonZeroU32 {
        let begun = (self.length().whole_seconds() + 86_399) / 86_400;
        u32::try_from(begun).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }

    /// Its parts, the newest first, none longer than `longest`.
    pub fn cut(self, longest: Duration) -> impl Iterator<Item = Self> {
        let mut ends_at = self.ends_at;
        std::iter::from_fn(move || {
            let part = Self { starts_at: self.starts_at.max(ends_at - longest), ends_at };
            ends_at = part.starts_at;
            (part.starts_at < part.ends_at).then_some(part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: OffsetDateTime = datetime!(2026-08-01 0:00 UTC);

    fn range(length: Duration) -> Range {
        Range { starts_at: START, ends_at: START + length }
    }

    #[test]
    fn a_day_counts_as_soon_as_it_has_begun() {
        let days = |length| range(length).days().get();
        assert_eq!(days(Duration::SECOND), 1);
        assert_eq!(days(Duration::DAY), 1);
        assert_eq!(days(Duration::DAY + Duration::SECOND), 2);
        assert_eq!(days(Duration::days(90)), 90);
    }

    proptest! {
        #[test]
        fn parts_cover_the_range_exactly_and_none_is_too_long(seconds in 1_i64..90_000_000, days in 1_i64..91) {
            let whole = range(Duration::seconds(seconds));
            let longest = Duration::days(days);
            let mut end = whole.ends_at;
            for part in whole.cut(longest) {
                prop_assert_eq!(part.ends_at, end);
                prop_assert!(part.length() > Duration::ZERO && part.length() <= longest);
                end = part.starts_at;
            }
            prop_assert_eq!(end, whole.starts_at);
            prop_assert_eq!(
                whole.cut(longest).count() as i64,
                (seconds + days * 86_400 - 1) / (days * 86_400),
                "no more requests than it takes"
            );
        }
    }
}
