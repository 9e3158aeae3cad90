//! Bytes in flight: a body may only be read once there is room for it (design.md, law 7).
//!
//! What counts is memory, not bodies: each byte of a body is counted [`COPIES`] times, for the body itself and
//! for the copy that the AMQP client makes of what it sends. The room is taken before the body is read, and
//! given back when the broker has confirmed it or the publish has failed for good.
//!
//! Far less than all of it is enough to keep a broker busy, and connections that wait with unread bodies cost little. So
//! bodies take turns for a moment, which keeps memory flat under any number of connections; while the broker
//! stalls they use the rest.

use crate::publish::SLOW;
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How often a body is in memory at once: as it was read, and as it is sent.
pub(crate) const COPIES: usize = 2;

/// Bodies up to so many bytes take turns for so many bytes of memory: a few times what is published at once. Small ones
/// do not wait behind larger ones.
const TURNS: [(usize, usize); 2] = [(64 * 1024, 6 * 1024 * 1024), (512 * 1024, 32 * 1024 * 1024)];

/// How long a body waits for its turn: as long as the broker may take before it counts as away, and the spool takes
/// its place.
const TURN: Duration = SLOW;

/// How long a request may wait for room. Together with the waits for its turn and for the broker's confirm it has to stay
/// below the 30 s that Garmin waits for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory for bodies.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    /// By size, as [`TURNS`].
    turns: [Arc<Semaphore>; TURNS.len()],
    in_flight: IntGauge,
}

/// No room became free in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    /// Room for `bytes`; `in_flight` shows how much of it is taken.
    pub(crate) fn new(bytes: usize, in_flight: IntGauge) -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { room: semaphore(bytes), turns: TURNS.map(|(_, bytes)| semaphore(bytes)), in_flight }
    }

    /// Room for a body of `length` bytes, waited for in turn.
    pub(crate) async fn reserve(&self, length: usize) -> Result<Reservation, Full> {
        let turn = self.turn(length).await;
        let permit = self.permit(length).await?;
        self.in_flight.add(signed(permit.num_permits()));
        Ok(Reservation { budget: self.clone(), permit, _turn: turn })
    }

    /// None if the body is too large to take turns, or if its turn does not come.
    async fn turn(&self, length: usize) -> Option<OwnedSemaphorePermit> {
        let turns = TURNS.iter().position(|(largest, _)| length <= *largest).map(|size| &self.turns[size])?;
        let bytes = u32::try_from(COPIES * length).ok()?;
        timeout(TURN, turns.clone().acquire_many_owned(bytes)).await.ok()?.ok()
    }

    async fn permit(&self, length: usize) -> Result<OwnedSemaphorePermit, Full> {
        let bytes = u32::try_from(COPIES.saturating_mul(length)).map_err(|_| Full)?;
        let permit = self.room.clone().acquire_many_owned(bytes);
        match timeout(PATIENCE, permit).await {
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
    _turn: Option<OwnedSemaphorePermit>,
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
    use futures_util::FutureExt as _;
    use tokio::time::Instant;

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

    #[tokio::test(start_paused = true)]
    async fn small_bodies_take_turns_until_the_broker_counts_as_away() {
        let (budget, _) = budget(1 << 30);
        let (largest, at_a_time) = TURNS[0];
        let mut taken = Vec::new();
        for _ in 0..at_a_time / COPIES / largest {
            taken.push(budget.reserve(largest).now_or_never().unwrap().unwrap());
        }
        assert!(budget.reserve(largest).now_or_never().is_none());
        assert!(budget.reserve(largest + 1).now_or_never().is_some(), "it waits for larger ones only");
        taken.pop();
        assert!(budget.reserve(largest).now_or_never().is_some());

        taken.push(budget.reserve(largest).await.unwrap());
        let began = Instant::now();
        assert!(budget.reserve(largest).await.is_ok());
        assert_eq!(began.elapsed().as_secs(), TURN.as_secs());
    }

    #[tokio::test]
    async fn more_than_could_ever_be_counted_is_refused_at_once() {
        assert_eq!(budget(100).0.reserve(usize::MAX).await.unwrap_err(), Full);
    }
}
