//! Moves what is in the spool into the broker, when that is back: also after a restart.

use super::{Place, Spool, SpoolError};
use crate::budget::{Budget, Full};
use crate::publish::Publisher;
use apollo_shared::retry::Backoff;
use apollo_shared::telemetry::with_causes;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Takes the oldest messages, publishes them, and only then forgets them.
#[derive(Debug)]
pub(crate) struct Drain {
    spool: Spool,
    publisher: Publisher,
    budget: Budget,
}

/// Why a batch was not moved as a whole.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("there is no room in memory")]
    Full(Full),
    #[error("nothing in it can be taken out just now")]
    Nothing,
    #[error("the broker did not take {0} messages")]
    Refused(usize),
}

impl Drain {
    pub(crate) fn new(spool: Spool, publisher: Publisher, budget: Budget) -> Self {
        Self { spool, publisher, budget }
    }

    /// Works until `stop`. What is in the spool then is there at the next start.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while stop.run_until_cancelled(self.has_work()).await.is_some() {
            match stop.run_until_cancelled(self.move_batch()).await {
                Some(Ok(moved)) => {
                    tracing::info!("{moved} messages moved from the spool into the broker");
                    backoff.reset();
                }
                Some(Err(error)) => {
                    tracing::warn!("the spool is not emptied: {}; trying again", with_causes(&error));
                    backoff.pause(&stop).await;
                }
                None => return,
            }
        }
    }

    /// Returns when something is in the spool, and the broker can be published to.
    async fn has_work(&self) {
        let mut contents = self.spool.contents();
        // The spool lives as long as this does, so there is no end to its news.
        let _ = contents.wait_for(|contents| contents.messages > contents.damaged).await;
        self.publisher.broker_is_up().await;
    }

    async fn move_batch(&self) -> Result<usize, DrainError> {
        let places = self.spool.next().await?;
        if places.is_empty() {
            return Err(DrainError::Nothing);
        }
        let bytes = places.iter().map(|place| place.bytes).sum();
        let room = Arc::new(self.budget.reserve(bytes).await.map_err(DrainError::Full)?);
        let messages = self.spool.read(places, room).await?;
        let total = messages.len();
        let published = join_all(messages.into_iter().map(async |(place, message)| {
            self.publisher.publish(&Arc::new(message)).await.ok().map(|()| place)
        }));
        let published: Vec<Place> = published.await.into_iter().flatten().collect();
        let moved = published.len();
        self.spool.remove(published).await?;
        if moved < total { Err(DrainError::Refused(total - moved)) } else { Ok(moved) }
    }
}
