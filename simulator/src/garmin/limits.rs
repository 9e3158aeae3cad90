//! How much an app may ask for in a minute (garmin-health-api.md 7), counted exactly: over the last 60 seconds, and not by
//! the clock's minutes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::refusal::Refusal;

const WINDOW: Duration = Duration::from_secs(60);

/// How much an app may ask for in any 60 seconds. What is refused for that reason does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls for data: pulls, activity files and backfill requests.
    pub requests_per_minute: u32,
    /// Days of history, each begun one as a whole.
    pub backfill_days_per_minute: u32,
}

/// Knows what was asked for lately.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    requests: Window,
    backfill_days: Window,
}

impl Limiter {
    pub(super) fn new(limits: Option<Limits>) -> Self {
        Self {
            requests: Window::new(limits.map(|limits| limits.requests_per_minute)),
            backfill_days: Window::new(limits.map(|limits| limits.backfill_days_per_minute)),
        }
    }

    /// One more call for data.
    pub(super) fn request(&mut self) -> Result<(), Refusal> {
        self.requests.spend(1, Instant::now()).map_err(Refusal::TooMuch)
    }

    /// So many more days of history.
    pub(super) fn backfill(&mut self, days: u32) -> Result<(), Refusal> {
        self.backfill_days.spend(days, Instant::now()).map_err(Refusal::TooMuch)
    }
}

/// What was spent in the last 60 seconds, the oldest first.
#[derive(Debug, Default)]
struct Window {
    limit: Option<u32>,
    spent: VecDeque<(Instant, u32)>,
    total: u32,
}

impl Window {
    fn new(limit: Option<u32>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Spends this, or says how long it takes until there is room. What is more than the limit never finds any.
    fn spend(&mut self, amount: u32, now: Instant) -> Result<(), Duration> {
        let Some(limit) = self.limit else { return Ok(()) };
        while let Some((_, over)) = self.spent.pop_front_if(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.total -= over;
        }
        let mut total = self.total.saturating_add(amount);
        if total <= limit {
            self.total = total;
            self.spent.push_back((now, amount));
            return Ok(());
        }
        let mut wait = WINDOW;
        for (at, spent) in &self.spent {
            total -= spent;
            wait = WINDOW - now.duration_since(*at);
            if total <= limit {
                break;
            }
        }
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sixty_seconds_count_and_the_wait_is_until_there_is_room() {
        let mut window = Window::new(Some(100));
        let begin = Instant::now();
        let mut spend = |amount, seconds| window.spend(amount, begin + Duration::from_secs(seconds));
        assert_eq!(spend(60, 0), Ok(()));
        assert_eq!(spend(40, 30), Ok(()));
        assert_eq!(spend(1, 59), Err(Duration::from_secs(1)));
        assert_eq!(spend(61, 59), Err(Duration::from_secs(31)));
        // The first 60 are over; what was refused has not counted.
        assert_eq!(spend(60, 60), Ok(()));
        assert_eq!(spend(1, 89), Err(Duration::from_secs(1)));
        assert_eq!(spend(40, 90), Ok(()));
    }

    #[test]
    fn more_than_the_limit_never_finds_room() {
        let mut window = Window::new(Some(10));
        assert_eq!(window.spend(11, Instant::now()), Err(WINDOW));
        assert_eq!(Window::new(None).spend(u32::MAX, Instant::now()), Ok(()));
    }
}
