//! Seals everything that is stored with the first key, so that older ones can be put away.
//!
//! It goes on beside running workers. Those that do not know the new key yet still seal with an old one, so after a
//! pass it is counted what each key seals: only a key that seals nothing is done with.

use crate::store::keys::{self, SealedColumn, SealingKeyError};
use apollo_shared::secrets::{Keyring, OpenError};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// Passes at most: one would do, if nobody sealed with an old key meanwhile.
const PASSES: u32 = 3;

/// PostgreSQL's code for a table that is not there: a day's notifications have reached their end.
const UNDEFINED_TABLE: &str = "42P01";

/// A rotation.
pub struct Rotation<'a> {
    /// The database; without a limit on the time of a statement, as some look at every value.
    pub connection: PgConnection,
    /// Its first key seals, all open.
    pub keyring: &'a Keyring,
}

/// What came of a rotation.
#[derive(Debug, Default)]
pub struct Rotated {
    /// Values that were sealed anew.
    pub resealed: u64,
    /// Keys that seal nothing any more.
    pub released: Vec<String>,
    /// How many values older keys still seal, by their ids.
    pub left: BTreeMap<String, u64>,
    /// Values that cannot be opened.
    pub unreadable: u64,
    /// What the first of those is.
    pub first_unreadable: Option<UnreadableValueError>,
}

/// A stored secret that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("a value in {table} cannot be opened")]
pub struct UnreadableValueError {
    table: String,
    source: OpenError,
}

/// Why a rotation ended before its end. What it has done is done; it may be begun again.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Keys are missing.
    #[error(transparent)]
    Keys(#[from] SealingKeyError),
    /// The database is away, or refuses.
    #[error("PostgreSQL cannot be read or written")]
    Database(#[from] sqlx::Error),
    /// It was told to stop.
    #[error("stopped: run it again to go on")]
    Stopped,
}

impl Rotation<'_> {
    /// How many values each key seals, by its id; those that are noted and seal none too.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn usage(&mut self) -> Result<BTreeMap<String, u64>, RotationError> {
        let registered = keys::registered(&mut self.connection).await?;
        let mut usage: BTreeMap<String, u64> = registered.into_iter().map(|id| (id, 0)).collect();
        for column in keys::columns(&mut self.connection).await? {
            let counts = unless_dropped(column.count(&mut self.connection).await)?.unwrap_or_default();
            counts.into_iter().for_each(|(id, count)| *usage.entry(id).or_default() += count);
        }
        Ok(usage)
    }

    /// Seals everything with the first key; `progress` is called with how many more values are. `stop` ends it
    /// between two pages.
    ///
    /// # Errors
    /// See [`RotationError`].
    pub async fn run(
        &mut self,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64),
    ) -> Result<Rotated, RotationError> {
        keys::register_and_check(&mut self.connection, self.keyring).await?;
        let mut rotated = Rotated::default();
        for _ in 0..PASSES {
            (rotated.unreadable, rotated.first_unreadable) = (0, None);
            let before = rotated.resealed;
            for column in keys::columns(&mut self.connection).await? {
                unless_dropped(self.reseal(&column, &mut rotated, stop, &mut progress).await)?;
            }
            rotated.left = self.usage().await?;
            rotated.left.remove(self.keyring.first_id());
            if rotated.resealed == before || rotated.left.values().all(|count| *count == 0) {
                break;
            }
        }
        let (released, left) = rotated.left.into_iter().partition(|(_, count)| *count == 0);
        rotated.left = left;
        rotated.released = BTreeMap::into_keys(released).collect();
        let released: Vec<&str> = rotated.released.iter().map(String::as_str).collect();
        keys::unregister(&mut self.connection, &released).await?;
        Ok(rotated)
    }

    async fn reseal(
        &mut self,
        column: &SealedColumn,
        rotated: &mut Rotated,
        stop: &CancellationToken,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), RotationError> {
        let mut page = column.page(&mut self.connection, self.keyring, None).await?;
        while let Some(last) = page.last() {
            if stop.is_cancelled() {
                return Err(RotationError::Stopped);
            }
            let mut transaction = self.connection.begin().await?;
            let mut resealed = 0;
            for old in &page {
                match self.keyring.open(&old.sealed, &old.context) {
                    Ok(plain) => {
                        let sealed = self.keyring.seal(&plain, &old.context);
                        let replaced = column.replace(&mut transaction, self.keyring, old, &sealed).await?;
                        resealed += u64::from(replaced);
                    }
                    Err(source) => {
                        rotated.unreadable += 1;
                        let table = column.table.clone();
                        rotated.first_unreadable.get_or_insert(UnreadableValueError { table, source });
                    }
                }
            }
            transaction.commit().await?;
            rotated.resealed += resealed;
            progress(resealed);
            page = column.page(&mut self.connection, self.keyring, Some(last)).await?;
        }
        Ok(())
    }
}

/// What was asked of a table, unless it has been dropped meanwhile.
fn unless_dropped<T, E: Into<RotationError>>(answer: Result<T, E>) -> Result<Option<T>, RotationError> {
    match answer.map_err(Into::into) {
        Ok(answer) => Ok(Some(answer)),
        Err(RotationError::Database(error)) if is_dropped(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_dropped(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == UNDEFINED_TABLE)
}
