//! How fast Garmin is asked for data: limits and pauses that all workers share, kept in PostgreSQL so that they hold
//! across workers and restarts.
//!
//! Garmin counts per application and minute, and answers 429 to what is too much; then nothing comes through for a
//! while, for no participant. So a worker asks here first, and is granted as much as the last minute has room for. The
//! minute slides: what was granted counts until it is certainly over a minute old by Garmin's count too.

use crate::account::AccountError;
use crate::garmin::GarminError;
use crate::store::ask;
use crate::store::error::StoreError;
use crate::store::pace::{self as store, Spent, Standing};
use apollo_shared::telemetry::with_causes;
use sqlx::{Connection as _, PgConnection, PgPool};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// For how long a grant counts, in seconds: the minute, the rest of the second in which it was given, and two more, as
/// some requests reach Garmin later than others.
const COUNTED: i64 = 60 + 1 + 2;

/// The pause after a 429 that names none, and the longest that Garmin may ask for.
const USUAL_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long a request waits for its turn, before its message goes back to its queue: a sliding minute passes by then, a
/// longer pause of Garmin's does not.
const LONGEST_WAIT: Duration = Duration::from_secs(70);

/// What Garmin allows in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests for data, of all kinds together.
    pub requests_per_minute: NonZeroU32,
    /// Days of history (garmin-health-api.md 7).
    pub backfill_days_per_minute: NonZeroU32,
}

/// What a worker may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// So many requests, or days; to be made use of at once.
    Granted(NonZeroU32),
    /// Nothing; asking again is of use after this time.
    Wait(Duration),
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Garmin has answered; with a refusal too.
    Success,
    /// 429, with Garmin's `Retry-After` if it gave one.
    RateLimited(Option<Duration>),
    /// 5xx, no answer, or none in time.
    Failed,
}

impl Outcome {
    /// What an answer means for all who ask.
    #[must_use]
    pub fn of<T>(answered: &Result<T, GarminError>) -> Self {
        match answered {
            Err(GarminError::RateLimited { retry_after, .. }) => Self::RateLimited(*retry_after),
            Err(GarminError::Unavailable { retry_after: Some(pause), .. }) => Self::RateLimited(Some(*pause)),
            Err(GarminError::Unavailable { retry_after: None, .. }) => Self::Failed,
            Ok(_) | Err(_) => Self::Success,
        }
    }
}

/// The limiter, as one worker sees it.
#[derive(Debug)]
pub struct Pace {
    pool: PgPool,
    limits: Limits,
    /// Whether the count of failures may be above 0, so that a success has to put it back.
    failing: AtomicBool,
}

impl Pace {
    /// The limiter that all workers of this database share.
    #[must_use]
    pub fn new(pool: PgPool, limits: Limits) -> Self {
        Self { pool, limits, failing: AtomicBool::new(false) }
    }

    /// What is allowed in a minute.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Grants up to `wanted` requests at once, and at least one; or says how long to wait.
    ///
    /// # Errors
    /// The database cannot be asked; then nothing is granted.
    pub async fn requests(&self, wanted: NonZeroU32) -> Result<Grant, StoreError> {
        self.grant(|window| window.requests(wanted), |granted| (granted, 0)).await
    }

    /// Grants one request for `days` of history; or says how long to wait. More days than a minute allows are granted
    /// alone, to a minute that is empty.
    ///
    /// # Errors
    /// The database cannot be asked; then nothing is granted.
    pub async fn backfill(&self, days: NonZeroU32) -> Result<Grant, StoreError> {
        self.grant(|window| window.backfill(days), |granted| (1, granted)).await
    }

    /// Notes what became of a request: if Garmin has enough of us, or is in trouble, all workers pause.
    ///
    /// # Errors
    /// The database cannot be told.
    pub async fn answered(&self, outcome: Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Success if !self.failing.swap(false, Ordering::Relaxed) => {}
            Outcome::Success => ask(&self.pool, store::succeeded).await?,
            Outcome::RateLimited(pause) => {
                let pause = pause.unwrap_or(USUAL_PAUSE).min(LONGEST_PAUSE);
                tracing::warn!("Garmin's rate limit is reached: no requests for {} s", pause.as_secs());
                ask(&self.pool, async |connection| store::pause(connection, pause).await).await?;
            }
            Outcome::Failed => {
                self.failing.store(true, Ordering::Relaxed);
                ask(&self.pool, store::failed).await?;
            }
        }
        Ok(())
    }

    /// Waits until a request is granted.
    ///
    /// # Errors
    /// [`AccountError::Paused`] if that would take longer than `LONGEST_WAIT`, or `stop` came first.
    pub async fn wait(&self, stop: &CancellationToken) -> Result<(), AccountError> {
        loop {
            match self.requests(NonZeroU32::MIN).await? {
                Grant::Granted(_) => return Ok(()),
                Grant::Wait(wait) if wait > LONGEST_WAIT => return Err(AccountError::Paused(wait)),
                Grant::Wait(wait) => {
                    if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                        return Err(AccountError::Paused(wait));
                    }
                }
            }
        }
    }

    /// As [`Pace::answered`], where there is something more important to do than to fail: what Garmin gave must not be lost.
    pub async fn note(&self, outcome: Outcome) {
        if let Err(error) = self.answered(outcome).await {
            tracing::warn!("other workers do not learn how Garmin answered: {}", with_causes(&error));
        }
    }

    async fn grant(
        &self,
        decide: impl FnOnce(&Window<'_>) -> Grant,
        costs: impl FnOnce(u32) -> (u32, u32),
    ) -> Result<Grant, StoreError> {
        ask(&self.pool, async |connection| self.grant_over(connection, decide, costs).await).await
    }

    async fn grant_over(
        &self,
        connection: &mut PgConnection,
        decide: impl FnOnce(&Window<'_>) -> Grant,
        costs: impl FnOnce(u32) -> (u32, u32),
    ) -> Result<Grant, StoreError> {
        let mut transaction = connection.begin().await?;
        let standing = store::standing(&mut transaction).await?;
        if standing.failures > 0 {
            self.failing.store(true, Ordering::Relaxed);
        }
        if let Some(pause) = pause_left(&standing) {
            return Ok(Grant::Wait(pause));
        }
        let grant = decide(&Window { limits: self.limits, now: standing.now, spent: &standing.spent });
        if let Grant::Granted(granted) = grant {
            let (requests, backfill_days) = costs(granted.get());
            let spent = Spent {
                second: standing.now.unix_timestamp(),
                requests: requests.into(),
                backfill_days: backfill_days.into(),
            };
            store::spend(&mut transaction, &spent, COUNTED).await?;
            transaction.commit().await?;
        }
        Ok(grant)
    }
}

/// How much of the pause is left.
fn pause_left(standing: &Standing) -> Option<Duration> {
    let left = standing.pause_until? - standing.now;
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

/// The last minute, and the decision about the next request.
struct Window<'a> {
    limits: Limits,
    now: OffsetDateTime,
    /// The oldest first.
    spent: &'a [Spent],
}

/// What a window holds.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    requests: i64,
    backfill_days: i64,
}

impl Window<'_> {
    fn requests(&self, wanted: NonZeroU32) -> Grant {
        let limit = i64::from(self.limits.requests_per_minute.get());
        let used = match self.fitting(|used| used.requests < limit) {
            Ok(used) => used,
            Err(wait) => return Grant::Wait(wait),
        };
        let room = u32::try_from(limit - used.requests).ok().and_then(NonZeroU32::new);
        Grant::Granted(room.map_or(wanted, |room| room.min(wanted)))
    }

    fn backfill(&self, days: NonZeroU32) -> Grant {
        let Limits { requests_per_minute, backfill_days_per_minute } = self.limits;
        let fits = |used: Used| {
            let days_after = used.backfill_days + i64::from(days.get());
            used.requests < i64::from(requests_per_minute.get())
                && (used.backfill_days == 0 || days_after <= i64::from(backfill_days_per_minute.get()))
        };
        match self.fitting(fits) {
            Ok(_) => Grant::Granted(days),
            Err(wait) => Grant::Wait(wait),
        }
    }

    /// What the window holds, if more fits into it; else the time until enough of it has grown old.
    fn fitting(&self, fits: impl Fn(Used) -> bool) -> Result<Used, Duration> {
        let now = self.now.unix_timestamp();
        // What lies far ahead was spent before the clock was put back.
        let counted = || self.spent.iter().filter(|spent| (now - spent.second).abs() < COUNTED);
        let mut used = counted().fold(Used::default(), |used, spent| Used {
            requests: used.requests + spent.requests,
            backfill_days: used.backfill_days + spent.backfill_days,
        });
        if fits(used) {
            return Ok(used);
        }
        let mut free_at = now + 1;
        for spent in counted() {
            used.requests -= spent.requests;
            used.backfill_days -= spent.backfill_days;
            free_at = spent.second + COUNTED;
            if fits(used) {
                break;
            }
        }
        let seconds = Duration::from_secs(u64::try_from(free_at - now).unwrap_or(1));
        Err(seconds.saturating_sub(Duration::from_nanos(self.now.nanosecond().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::Duration as Span;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-21 12:00:00 UTC);

    fn some(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn limits(requests: u32, backfill_days: u32) -> Limits {
        Limits { requests_per_minute: some(requests), backfill_days_per_minute: some(backfill_days) }
    }

    fn spent(seconds_ago: i64, requests: i64, backfill_days: i64) -> Spent {
        Spent { second: START.unix_timestamp() - seconds_ago, requests, backfill_days }
    }

    fn window<'a>(limits: Limits, spent: &'a [Spent]) -> Window<'a> {
        Window { limits, now: START + Span::milliseconds(250), spent }
    }

    #[test]
    fn as_much_is_granted_as_there_is_room_for() {
        let window = |spent: &[Spent]| window(limits(10, 100), spent).requests(some(8));
        assert_eq!(window(&[]), Grant::Granted(some(8)));
        assert_eq!(window(&[spent(62, 1, 0), spent(5, 3, 0)]), Grant::Granted(some(6)));
        assert_eq!(window(&[spent(63, 9, 0), spent(5, 3, 0)]), Grant::Granted(some(7)));
    }

    #[test]
    fn a_wait_ends_when_enough_has_grown_old() {
        let full = [spent(50, 4, 40), spent(40, 5, 40), spent(3, 1, 10)];
        let window = window(limits(10, 100), &full);
        assert_eq!(window.requests(some(8)), Grant::Wait(Duration::from_millis(12_750)));
        assert_eq!(window.backfill(some(10)), Grant::Wait(Duration::from_millis(12_750)));
        assert_eq!(window.backfill(some(60)), Grant::Wait(Duration::from_millis(22_750)));
        assert_eq!(window.backfill(some(90)), Grant::Wait(Duration::from_millis(22_750)));
        assert_eq!(window.backfill(some(91)), Grant::Wait(Duration::from_millis(59_750)));
    }

    #[test]
    fn more_days_than_a_minute_allows_are_granted_to_an_empty_one() {
        let granted = |spent: &[Spent]| window(limits(10, 30), spent).backfill(some(90));
        assert_eq!(granted(&[]), Grant::Granted(some(90)));
        assert_eq!(granted(&[spent(1, 3, 0)]), Grant::Granted(some(90)), "requests for data are no days");
        assert_eq!(granted(&[spent(63, 1, 90)]), Grant::Granted(some(90)));
        assert_eq!(granted(&[spent(62, 1, 1)]), Grant::Wait(Duration::from_millis(750)));
    }

    proptest! {
        /// Whoever asks whenever: no minute holds more than is allowed, and who waits as told is granted something.
        #[test]
        fn no_minute_holds_more_than_the_limit(
            asked in proptest::collection::vec((0_i64..8_000, any::<bool>(), 1_u32..50), 1..150),
            requests in 1_u32..60,
            days in 50_u32..200,
        ) {
            let limits = limits(requests, days);
            let mut now = START;
            let mut granted: Vec<(OffsetDateTime, i64, i64)> = vec![];
            for (milliseconds, is_backfill, wanted) in asked {
                now += Span::milliseconds(milliseconds);
                let decide = |now: OffsetDateTime, granted: &[(OffsetDateTime, i64, i64)]| {
                    let spent: Vec<Spent> = granted
                        .iter()
                        .map(|&(at, requests, backfill_days)| Spent {
                            second: at.unix_timestamp(), requests, backfill_days
                        })
                        .collect();
                    let window = Window { limits, now, spent: &spent };
                    if is_backfill { window.backfill(some(wanted)) } else { window.requests(some(wanted)) }
                };
                let mut grant = decide(now, &granted);
                if let Grant::Wait(wait) = grant {
                    prop_assert!(!wait.is_zero() && wait <= Duration::from_secs(COUNTED.unsigned_abs()));
                    now += wait;
                    grant = decide(now, &granted);
                }
                let Grant::Granted(number) = grant else { panic!("waited in vain: {grant:?}") };
                let number = i64::from(number.get());
                granted.push(if is_backfill { (now, 1, number) } else { (now, number, 0) });
                let minute = granted.iter().filter(|(at, ..)| now - *at <= Span::seconds(60));
                let (requests_used, days_used) =
                    minute.fold((0, 0), |sum, (_, requests, days)| (sum.0 + requests, sum.1 + days));
                prop_assert!(requests_used <= i64::from(requests) && days_used <= i64::from(days));
            }
        }
    }
}
