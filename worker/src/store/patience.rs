//! Waiting for the database: work is tried until it can be done.

use super::error::StoreError;
use super::{DATABASE, database_backoff};
use crate::metrics::Metrics;
use apollo_shared::admin::Readiness;
use apollo_shared::envelope::Envelope;
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::Lane;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a message is held while the database is away, before it goes back to its queue.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// How a message of a lane waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// The lane.
    pub lane: Lane,
    /// Where attempts that failed are counted.
    pub metrics: &'a Metrics,
    /// Where the state of the database is told.
    pub readiness: &'a Readiness,
    /// Ends the waiting.
    pub stop: &'a CancellationToken,
}

impl Patience<'_> {
    /// Does the `work` of a message as soon as the database can take it. `None` if it stayed away, or `stop` came first.
    ///
    /// # Errors
    /// [`StoreError::Data`]: the database refuses what the work brings.
    pub async fn when_possible<T, Work>(
        &self,
        message: &Envelope,
        work: impl Fn() -> Work,
    ) -> Option<Result<T, StoreError>>
    where
        Work: Future<Output = Result<T, StoreError>>,
    {
        let give_up = Instant::now() + LONGEST_HOLD;
        let mut backoff = database_backoff();
        loop {
            match work().await {
                Ok(done) => {
                    self.readiness.ready(DATABASE);
                    return Some(Ok(done));
                }
                Err(error @ StoreError::Data(_)) => return Some(Err(error)),
                Err(error @ (StoreError::Unavailable(_) | StoreError::TimedOut(_))) => {
                    let reason = with_causes(&error);
                    let (message_id, trace_id) = message.for_logs();
                    tracing::warn!(%message_id, trace_id, "{message} waits: {reason}");
                    self.metrics.retried(self.lane, 1);
                    self.readiness.not_ready(DATABASE, reason);
                }
            }
            if Instant::now() > give_up || !backoff.pause(self.stop).await {
                return None;
            }
        }
    }
}
