//! Reads stored notifications again, as if they had just come: into tables that a newer version has learnt to
//! fill, or back into tables that were damaged.
//!
//! It goes the ordinary way through the merge, with each notification's own time of arrival and id, so nothing
//! that is newer is overwritten and repeating it changes nothing (design.md, law 3). Messages for other lanes
//! and dead letters went out when the notifications came; they are not sent again.

use crate::lane::{Handled, Handler as _};
use crate::message::{Destination, Message};
use crate::store::archive::{self, Sealed, UnreadableError};
use crate::summaries::handler::SummariesHandler;
use apollo_shared::secrets::Keyring;
use sqlx::PgPool;
use std::sync::Arc;
use time::{Duration, OffsetDateTime, Time};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A replay of what arrived from one moment until before another.
pub struct Replay {
    /// The first moment.
    pub from: OffsetDateTime,
    /// The first moment that is no longer replayed.
    pub to: OffsetDateTime,
    /// Where the notifications are.
    pub pool: PgPool,
    /// Opens them.
    pub keyring: Arc<Keyring>,
    /// Takes them.
    pub handler: SummariesHandler,
}

/// How far a replay is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Notifications read, whatever came of them.
    pub notifications: u64,
    /// Entries that could not be stored; they became dead letters when they first came.
    pub rejected: u64,
    /// Notifications that could not be opened.
    pub unreadable: u64,
    /// Why the first of those could not.
    pub first_unreadable: Option<UnreadableError>,
}

/// Why a replay ended before its end. What it has stored until then is stored; it may be begun again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The stored notifications could not be read.
    #[error("PostgreSQL cannot be read")]
    Database(#[from] sqlx::Error),
    /// It was told to stop, or the database stayed away for ten minutes.
    #[error("stopped at notifications that arrived on {}: go on with --from {}", .0.date(), .0.date())]
    Stopped(OffsetDateTime),
}

impl Replay {
    /// How many notifications there are to read.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn count(&self) -> Result<u64, ReplayError> {
        Ok(archive::count(&self.pool, self.from, self.to).await?)
    }

    /// Reads them all, a day after the other, and calls `progress` now and then.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub async fn run(
        &self,
        stop: &CancellationToken,
        mut progress: impl FnMut(&Progress),
    ) -> Result<Progress, ReplayError> {
        let mut done = Progress::default();
        let mut begin = self.from;
        while begin < self.to {
            let midnight = (begin + Duration::DAY).replace_time(Time::MIDNIGHT);
            let end = midnight.min(self.to);
            let mut last = Uuid::nil();
            loop {
                let page = archive::page(&self.pool, begin, end, last).await?;
                let Some(of_last) = page.last() else { break };
                last = of_last.message_id;
                self.take(page, stop, &mut done).await.ok_or(ReplayError::Stopped(begin))?;
                progress(&done);
            }
            begin = end;
        }
        Ok(done)
    }

    /// Nothing if it was stopped before the page was stored.
    async fn take(&self, page: Vec<Sealed>, stop: &CancellationToken, done: &mut Progress) -> Option<()> {
        let notifications = page.len() as u64;
        let mut messages: Vec<Message> = Vec::with_capacity(page.len());
        for sealed in page {
            match sealed.open(&self.keyring) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    done.unreadable += 1;
                    done.first_unreadable.get_or_insert(error);
                }
            }
        }
        if stop.is_cancelled() {
            return None;
        }
        match self.handler.handle(Arc::new(messages), stop).await {
            Handled::GivenBack | Handled::Stuck => return None,
            Handled::Done(outgoing) => {
                let dead = outgoing.iter().filter(|it| matches!(it.destination, Destination::Dead { .. }));
                done.rejected += dead.count() as u64;
            }
        }
        done.notifications += notifications;
        Some(())
    }
}
