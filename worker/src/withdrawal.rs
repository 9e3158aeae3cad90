//! What becomes of stored data when a consent has ended.
//!
//! A deregistration may be read after data that was received later than it: then that data is taken away again
//! (design.md, law 6). A summary whose newest version goes this way loses the versions before it with it, as only the
//! newest is stored; so what was received in time is read again, as far as raw notifications reach back.
//! Erasing a subject takes everything away, and remembers no more than a digest to keep away what is still to come.

use crate::lane::{Handled, Handler as _};
use crate::message::Message;
use crate::metrics::Metrics;
use crate::store::archive::{self, Sealed, UnreadableError};
use crate::store::files;
use crate::store::raw::{RawStore, Sealer};
use crate::store::removal::{self, Extent, Span};
use crate::summaries::handler::{READING_LIMIT, RawNotifications, SummariesHandler};
use crate::summaries::{Registry, body};
use apollo_shared::admin::Readiness;
use apollo_shared::secrets::Keyring;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Takes stored data away.
#[derive(Debug)]
pub struct Withdrawal {
    handler: SummariesHandler,
}

/// What was taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows by their tables, with the schema.
    pub rows: BTreeMap<String, u64>,
    /// Notifications that hold entries of others, and are kept without those of the user.
    pub notifications_changed: u64,
    /// Notifications that held nothing else, and were deleted.
    pub notifications_deleted: u64,
}

impl Removed {
    fn add(&mut self, table: String, rows: u64) {
        if rows > 0 {
            *self.rows.entry(table).or_default() += rows;
        }
    }
}

/// Why not everything was taken away. It can be begun again, and goes on where it ended.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The database is away, or refuses.
    #[error("PostgreSQL cannot do it now")]
    Database(#[from] sqlx::Error),
    /// What could be opened was dealt with.
    #[error(
        "{count} notifications as received could not be opened, so what they hold of the user is still there"
    )]
    Unreadable {
        /// How many.
        count: u64,
        /// Why the first of them could not.
        source: Box<UnreadableError>,
    },
    /// What is left of a notification could not be compressed.
    #[error("a notification could not be written")]
    Compress(#[from] std::io::Error),
    /// Only who has withdrawn can be erased.
    #[error("the user's consent has not ended")]
    Active,
    /// It was told to stop, or the database stayed away for ten minutes.
    #[error("stopped before everything was done")]
    Stopped,
}

/// Notifications that could not be opened.
#[derive(Default)]
struct Unreadable {
    count: u64,
    first: Option<UnreadableError>,
}

impl Unreadable {
    fn add(&mut self, error: UnreadableError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    fn check(self) -> Result<(), RemovalError> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(RemovalError::Unreadable { count: self.count, source: Box::new(first) }),
        }
    }
}

/// What to do for whom, and who watches.
struct Task<'a> {
    user_id: &'a str,
    extent: Extent,
    stop: &'a CancellationToken,
    /// Called with how many more notifications have been dealt with.
    progress: &'a mut (dyn FnMut(u64) + Send),
}

impl Task<'_> {
    fn step(&mut self, notifications: usize) -> Result<(), RemovalError> {
        (self.progress)(notifications as u64);
        if self.stop.is_cancelled() { Err(RemovalError::Stopped) } else { Ok(()) }
    }
}

impl Withdrawal {
    /// Of the database behind `pool`, whose notifications `keyring` opens and seals.
    ///
    /// # Errors
    /// None in practice: see [`Metrics::new`].
    pub fn new(
        pool: PgPool,
        keyring: Arc<Keyring>,
        registry: Arc<Registry>,
    ) -> Result<Self, prometheus::Error> {
        let handler = SummariesHandler {
            registry,
            keyring,
            pool,
            raw: Arc::new(RawStore::default()),
            raw_notifications: RawNotifications::Stored,
            reading_limit: READING_LIMIT,
            // Summaries that are read again are not counted as if they had just arrived.
            metrics: Arc::new(Metrics::new()?),
            readiness: Readiness::default(),
        };
        Ok(Self { handler })
    }

    /// Takes away what is stored of a user and was received after the end of their consent. To be called when that
    /// end is on record; repeating it is harmless.
    ///
    /// # Errors
    /// See [`RemovalError`].
    pub async fn purge(&self, user_id: &str, stop: &CancellationToken) -> Result<Removed, RemovalError> {
        let task = &mut Task { user_id, extent: Extent::AfterConsent, stop, progress: &mut |_| {} };
        let mut removed = Removed::default();
        let mut unreadable = Unreadable::default();
        self.note_users(task, &mut unreadable).await?;
        self.delete_rows(task, &mut removed).await?;
        // Notifications go last, so that an attempt which ended in between is known by them.
        if let Some((transaction, span)) = removal::begin(self.pool(), user_id, task.extent).await? {
            transaction.rollback().await?;
            if !removed.rows.is_empty() || archive::count_of_user(self.pool(), user_id, &span).await? > 0 {
                self.read_again(task, &span, &mut unreadable).await?;
            }
        }
        self.cut_notifications(task, &mut removed, &mut unreadable).await?;
        unreadable.check()?;
        Ok(removed)
    }

    /// How many notifications have to be looked at to erase a user.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn count(&self, user_id: &str) -> Result<u64, RemovalError> {
        let everything = Span::everything();
        let of_user = archive::count_of_user(self.pool(), user_id, &everything).await?;
        Ok(archive::count_not_noted(self.pool()).await? + of_user)
    }

    /// Takes away everything that is stored of a subject and of the user behind it, and keeps away what is still to
    /// come. `progress` is called with how many more notifications have been looked at.
    ///
    /// # Errors
    /// See [`RemovalError`].
    pub async fn erase(
        &self,
        subject_id: &str,
        user_id: &str,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Removed, RemovalError> {
        if !removal::mark_erased(self.pool(), user_id).await? {
            return Err(RemovalError::Active);
        }
        let task = &mut Task { user_id, extent: Extent::Everything, stop, progress: &mut progress };
        let mut removed = Removed::default();
        let mut unreadable = Unreadable::default();
        self.note_users(task, &mut unreadable).await?;
        self.delete_rows(task, &mut removed).await?;
        self.cut_notifications(task, &mut removed, &mut unreadable).await?;
        unreadable.check()?;
        let forgotten =
            removal::forget(self.pool(), subject_id, user_id).await?.ok_or(RemovalError::Active)?;
        forgotten.into_iter().for_each(|(table, rows)| removed.add(table.to_owned(), rows));
        Ok(removed)
    }

    fn pool(&self) -> &PgPool {
        &self.handler.pool
    }

    /// Notifications of earlier versions do not say whose entries they hold; from now on they do.
    async fn note_users(&self, task: &mut Task<'_>, unreadable: &mut Unreadable) -> Result<(), RemovalError> {
        let mut after = Uuid::nil();
        loop {
            let page = archive::page_not_noted(self.pool(), after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.message_id;
            for sealed in &page {
                match sealed.open(&self.handler.keyring) {
                    Ok(message) => sealed.note(self.pool(), &body::user_ids(&message.body)).await?,
                    Err(error) => unreadable.add(error),
                }
            }
            task.step(page.len())?;
        }
    }

    async fn delete_rows(&self, task: &mut Task<'_>, removed: &mut Removed) -> Result<(), RemovalError> {
        let of_summaries = self.handler.registry.tables().iter().map(|table| table.summary_type.table);
        for table in of_summaries.chain([files::TABLE]) {
            while let Some((mut transaction, span)) =
                removal::begin(self.pool(), task.user_id, task.extent).await?
            {
                let deleted = removal::delete_rows(&mut transaction, table, task.user_id, &span).await?;
                transaction.commit().await?;
                removed.add(format!("garmin_wellness.{table}"), deleted);
                task.step(0)?;
                if deleted == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads again what was received of the user outside of `span`, as a replay does.
    async fn read_again(
        &self,
        task: &mut Task<'_>,
        span: &Span,
        unreadable: &mut Unreadable,
    ) -> Result<(), RemovalError> {
        let mut after = Uuid::nil();
        loop {
            let page = archive::page_of_user(self.pool(), task.user_id, span, false, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.message_id;
            let mut messages = Vec::with_capacity(page.len());
            for sealed in &page {
                match sealed.open(&self.handler.keyring) {
                    Ok(message) => messages.push(only(message, task.user_id)),
                    Err(error) => unreadable.add(error),
                }
            }
            // What could not be stored when it came cannot be now, and went its way then.
            match self.handler.handle(Arc::new(messages), task.stop).await {
                Handled::Done(_) => task.step(page.len())?,
                Handled::GivenBack | Handled::Stuck => return Err(RemovalError::Stopped),
            }
        }
    }

    /// Takes the user's entries out of notifications.
    async fn cut_notifications(
        &self,
        task: &mut Task<'_>,
        removed: &mut Removed,
        unreadable: &mut Unreadable,
    ) -> Result<(), RemovalError> {
        let mut after = Uuid::nil();
        while let Some((mut transaction, span)) =
            removal::begin(self.pool(), task.user_id, task.extent).await?
        {
            let page = archive::page_of_user(&mut *transaction, task.user_id, &span, true, after).await?;
            let Some(last) = page.last() else { break };
            let mut cut = Cut::default();
            for sealed in &page {
                self.cut(&mut transaction, sealed, task.user_id, &mut cut).await?;
            }
            transaction.commit().await?;
            removed.notifications_changed += cut.changed;
            removed.notifications_deleted += cut.deleted;
            // What somebody else has changed at the same time is in the next page again.
            if !cut.missed {
                after = last.message_id;
                cut.unreadable.into_iter().for_each(|error| unreadable.add(error));
            }
            task.step(page.len())?;
        }
        Ok(())
    }

    async fn cut(
        &self,
        connection: &mut PgConnection,
        sealed: &Sealed,
        user_id: &str,
        cut: &mut Cut,
    ) -> Result<(), RemovalError> {
        let message = match sealed.open(&self.handler.keyring) {
            Ok(message) => message,
            Err(error) => {
                cut.unreadable.push(error);
                return Ok(());
            }
        };
        let body::Rest { body, is_empty, .. } = body::without(&message.body, |user| user == Some(user_id));
        let done = if is_empty {
            let deleted = sealed.delete(connection).await?;
            cut.deleted += u64::from(deleted);
            deleted
        } else {
            let rest = Message { body, ..message };
            let rest = Sealer::new(&self.handler.keyring)?.seal(&rest, &body::user_ids(&rest.body))?;
            let changed = sealed.replace(connection, &rest).await?;
            cut.changed += u64::from(changed);
            changed
        };
        cut.missed |= !done;
        Ok(())
    }
}

/// What became of a page of notifications.
#[derive(Default)]
struct Cut {
    changed: u64,
    deleted: u64,
    missed: bool,
    unreadable: Vec<UnreadableError>,
}

/// What a message holds of one user.
fn only(message: Message, user_id: &str) -> Message {
    let body = body::without(&message.body, |user| user != Some(user_id)).body;
    Message { body, ..message }
}
