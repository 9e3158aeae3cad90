//! Bytes in flight: a body may only be read once there is room for it (design.md, law 7).
//!
//! What counts is memory, not bodies: each byte of a body is counted [`COPIES`] times, for the body itself and
//! for the copy that the AMQP client makes of what it sends. The room is taken before the body is read, and
//! given back when the broker has confirmed it or the publish has failed for good.

use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often a body is in memory at once: as it was read, and as it is sent.
pub(crate) const COPIES: usize = 2;

/// How long a request may wait for room. Together with the wait for the broker's confirm it has to stay below
/// the 30 s that Garmin waits for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory for bodies.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    in_flight: IntGauge,
}

/// No room became free in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    /// Room for `bytes`; `in_flight` shows how much of it is taken.
    pub(crate) fn new(bytes: usize, in_flight: IntGauge) -> Self {
        Self { room: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))), in_flight }
    }

    /// Room for a body of `length` bytes, waited for in turn.
    pub(crate) async fn reserve(&self, length: usize) -> Result<Reservation, Full> {
        let permit = self.permit(length).await?;
        self.in_flight.add(signed(permit.num_permits()));
        Ok(Reservation { budget: self.clone(), permit })
    }

    async fn permit(&self, length: usize) -> Result<OwnedSemaphorePermit, Full> {
        let bytes = u32::try_from(COPIES.saturating_mul(length)).map_err(|_| Full)?;
        let permit = self.room.clone().acquire_many_owned(bytes);
        match tokio::time::timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }
}

/// Room that is taken; it is given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Takes room for `length` more bytes of the body.
    pub(crate) async fn grow(&mut self, length: usize) -> Result<(), Full> {
        let more = self.budget.permit(length).await?;
        self.budget.in_flight.add(signed(more.num_permits()));
        self.permit.merge(more);
        Ok(())
    }

    /// Gives back what a body of `length` bytes does not need.
    pub(crate) fn shrink_to(&mut self, length: usize) {
        let surplus = self.permit.num_permits().saturating_sub(COPIES.saturating_mul(length));
        drop(self.permit.split(surplus));
        self.budget.in_flight.sub(signed(surplus));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.in_flight.sub(signed(self.permit.num_permits()));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(bytes: usize) -> (Budget, IntGauge) {
        let gauge = IntGauge::new("in_flight", "bytes").unwrap();
        (Budget::new(bytes, gauge.clone()), gauge)
    }

    #[tokio::test]
    async fn every_copy_counts_until_the_reservation_ends() {
        let (budget, gauge) = budget(100);
        let mut reservation = budget.reserve(10).await.unwrap();
        assert_eq!(gauge.get(), 20);
        reservation.grow(30).await.unwrap();
        assert_eq!(gauge.get(), 80);
        reservation.shrink_to(25);
        assert_eq!((gauge.get(), budget.room.available_permits()), (50, 50));
        drop(reservation);
        assert_eq!((gauge.get(), budget.room.available_permits()), (0, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_room_but_not_for_ever() {
        let (budget, gauge) = budget(100);
        let first = budget.reserve(40).await.unwrap();
        assert_eq!(budget.reserve(40).await.unwrap_err(), Full);
        assert_eq!(gauge.get(), 80);

        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(40).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn more_than_could_ever_be_counted_is_refused_at_once() {
        assert_eq!(budget(100).0.reserve(usize::MAX).await.unwrap_err(), Full);
    }
}
