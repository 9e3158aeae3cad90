//! Works ranges off, one at a time: claim, grant, request, record.
//!
//! A worker that dies in between leaves a claim that ends by itself. The range is then asked for again, and if Garmin had
//! accepted it already it says so (409), which is as good.

use super::{BackfillKind, State};
use crate::account::AccountError;
use crate::account::tokens::Tokens;
use crate::garmin::{BackfillAnswer, GarminClient, GarminError};
use crate::pace::{Grant, Outcome, Pace};
use crate::store::ask;
use crate::store::backfill::{self as store, Due, End, Scope, overview};
use crate::store::database_backoff;
use crate::store::error::StoreError;
use apollo_shared::telemetry::with_causes;
use sqlx::{Connection as _, PgConnection, PgPool};
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often a worker with nothing to do looks for ranges.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often ranges are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// A worker that has to wait for the limits looks again after this time at the latest, as they may have changed.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The pauses after attempts in vain: each four times the one before, up to an hour; a day in all.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
const ATTEMPTS: i32 = 28;

/// Works off what is due.
#[derive(Debug)]
pub struct Runner {
    /// The database.
    pub pool: PgPool,
    /// What lets us ask.
    pub tokens: Arc<Tokens>,
    /// How fast.
    pub pace: Arc<Pace>,
}

/// What there was to do.
enum Step {
    /// A range was asked for.
    Asked,
    /// Nothing is due.
    Idle,
    /// The limits are reached.
    Wait(Duration),
}

impl Runner {
    /// Works ranges off until `stop`; what is being asked for then is brought to its end. Without a consumer there is no
    /// Garmin to be asked, and nothing is done.
    pub async fn run(&self, stop: &CancellationToken) {
        if self.tokens.garmin.is_none() {
            return stop.cancelled().await;
        }
        let mut backoff = database_backoff();
        let mut counted_at = None;
        while !stop.is_cancelled() {
            if counted_at.is_none_or(|at: Instant| at.elapsed() > COUNT_EVERY) {
                self.count().await;
                counted_at = Some(Instant::now());
            }
            let pause = match self.step().await {
                Ok(Step::Asked) => {
                    backoff.reset();
                    continue;
                }
                Ok(Step::Idle) => LOOK_EVERY,
                Ok(Step::Wait(wait)) => wait.min(LONGEST_WAIT),
                Err(error) => {
                    tracing::warn!("history cannot be asked for: {}", with_causes(&error));
                    backoff.pause(stop).await;
                    continue;
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Tells how many ranges there are in each state.
    async fn count(&self) {
        match ask(&self.pool, overview::states).await {
            Ok(counts) => State::ALL.into_iter().for_each(|state| {
                let ranges = counts.get(state.name()).copied().unwrap_or(0);
                self.tokens.metrics.backfill_ranges(state, ranges);
            }),
            Err(error) => tracing::warn!("ranges of history are not counted: {}", with_causes(&error)),
        }
    }

    async fn step(&self) -> Result<Step, StoreError> {
        let Some(due) = ask(&self.pool, store::claim).await? else { return Ok(Step::Idle) };
        let Some(kind) = BackfillKind::of_key(&due.summary_type) else {
            self.end(&due, State::Failed, None, Some("this version of Apollo does not know the type"))
                .await?;
            return Ok(Step::Asked);
        };
        match self.ask(&due, kind).await {
            Ok(answer) => self.answered(&due, answer).await?,
            // Given back while it waits: a crash then leaves no claim.
            Err(AccountError::Paused(wait)) => {
                ask(&self.pool, async |connection| store::release(connection, due.id).await).await?;
                return Ok(Step::Wait(wait));
            }
            Err(error) => self.failed(&due, error).await?,
        }
        Ok(Step::Asked)
    }

    /// Each request is granted by itself, also the one with a renewed token.
    async fn ask(&self, due: &Due, kind: &'static BackfillKind) -> Result<BackfillAnswer, AccountError> {
        let range = due.range();
        let asking = |garmin: Arc<GarminClient>, token| async move {
            if let Grant::Wait(wait) = self.pace.backfill(range.days()).await? {
                return Err(AccountError::Paused(wait));
            }
            let answered = garmin.backfill(kind, range, &token).await;
            self.pace.note(Outcome::of(&answered)).await;
            Ok(answered?)
        };
        self.tokens.call(&due.user_id, asking).await
    }

    async fn answered(&self, due: &Due, answer: BackfillAnswer) -> Result<(), StoreError> {
        let of_user = Scope { user_id: Some(&due.user_id), summary_type: None };
        let of_type = Scope { user_id: None, summary_type: Some(&due.summary_type) };
        match answer {
            BackfillAnswer::Requested => self.end(due, State::Requested, Some(202), None).await,
            BackfillAnswer::DoneBefore => self.end(due, State::DoneBefore, Some(409), None).await,
            BackfillAnswer::NotEnabled => {
                let error = "Garmin's portal is not set to send this type";
                self.end_all(of_type, State::NotEnabled, Some(400), error).await
            }
            BackfillAnswer::NoHistory => {
                let error = "the participant does not permit historical data";
                self.end_all(of_user, State::NotPermitted, Some(403), error).await
            }
            BackfillAnswer::TypeNotPermitted => {
                let of_both = Scope { summary_type: of_type.summary_type, ..of_user };
                let error = "the participant does not permit this type";
                self.end_all(of_both, State::NotPermitted, Some(412), error).await
            }
            BackfillAnswer::BeforeMinimum(minimum) => self.minimum(due, minimum).await,
            BackfillAnswer::TooLong if due.range().days().get() > 1 => {
                tracing::info!("{} days of {} are too long: halved", due.range().days(), due.summary_type);
                Ok(ask(&self.pool, async |connection| store::halve(connection, due).await).await?)
            }
            BackfillAnswer::TooLong => {
                let error = "Garmin finds even a day too long";
                self.end(due, State::Failed, Some(400), Some(error)).await
            }
            BackfillAnswer::Rejected { status, message } => {
                tracing::warn!("Garmin refuses range {} of {} with {status}", due.id, due.summary_type);
                self.end(due, State::Failed, Some(status), Some(&message)).await
            }
        }
    }

    async fn failed(&self, due: &Due, error: AccountError) -> Result<(), StoreError> {
        let status = match &error {
            AccountError::NeedsConsent => {
                let of_user = Scope { user_id: Some(&due.user_id), summary_type: None };
                return self.end_all(of_user, State::NoConsent, Some(401), &error.to_string()).await;
            }
            AccountError::Garmin(GarminError::RateLimited { .. }) => Some(429),
            _ => None,
        };
        match error {
            AccountError::Store(error) => Err(error),
            error => self.later(due, status, &with_causes(&error)).await,
        }
    }

    /// Garmin takes nothing that begins before `minimum`. It may move on while we ask, so it is rounded up to an hour.
    async fn minimum(&self, due: &Due, minimum: OffsetDateTime) -> Result<(), StoreError> {
        let hour = time::Duration::HOUR;
        let minimum = (minimum + hour - time::Duration::NANOSECOND).truncate_to_hour();
        if minimum <= due.range().starts_at {
            let error = format!("Garmin finds it too early, but names {minimum} as the earliest start");
            return self.end(due, State::Failed, Some(400), Some(&error)).await;
        }
        tracing::info!("Garmin has no {} of a user before {minimum}", due.summary_type);
        let learn = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            store::learn_minimum(&mut transaction, due, minimum).await?;
            transaction.commit().await
        };
        Ok(ask(&self.pool, learn).await?)
    }

    async fn later(&self, due: &Due, status: Option<u16>, error: &str) -> Result<(), StoreError> {
        if due.attempts + 1 >= ATTEMPTS {
            return self.end(due, State::Failed, status, Some(error)).await;
        }
        let pause = pause(due.attempts);
        tracing::warn!(
            "range {} of {} is asked for again in {} s: {error}",
            due.id,
            due.summary_type,
            pause.as_secs()
        );
        let put_off =
            async |connection: &mut _| store::put_off(connection, due.id, pause, status, error).await;
        Ok(ask(&self.pool, put_off).await?)
    }

    async fn end(
        &self,
        due: &Due,
        state: State,
        status: Option<u16>,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let end = End { state, status, error };
        Ok(ask(&self.pool, async |connection| store::settle(connection, due.id, &end).await).await?)
    }

    /// What was said of one range goes for all that wait in the scope.
    async fn end_all(
        &self,
        scope: Scope<'_>,
        state: State,
        status: Option<u16>,
        error: &str,
    ) -> Result<(), StoreError> {
        let end = End { state, status, error: Some(error) };
        let settle = async |connection: &mut _| store::settle_all(connection, scope, &end).await;
        let settled = ask(&self.pool, settle).await?;
        tracing::warn!("{settled} ranges of history will not be asked for: {error}");
        Ok(())
    }
}

/// The pause after so many attempts in vain, from 0.
fn pause(attempts: i32) -> Duration {
    let factor = 4_u32.saturating_pow(attempts.unsigned_abs());
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garmin_is_asked_for_a_day() {
        let pauses: Vec<Duration> = (0..ATTEMPTS - 1).map(pause).collect();
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE);
        let hours = pauses.iter().sum::<Duration>().as_secs() / 3600;
        assert!((22..=26).contains(&hours), "{hours}");
    }
}
