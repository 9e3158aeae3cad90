//! Why a batch could not be written, told apart by what helps: another attempt, or another batch.

/// A failed write. Nothing of its batch is in the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, overloaded, read-only, not migrated, or chose this transaction as the victim of
    /// a deadlock: the same batch will go through later.
    #[error("PostgreSQL cannot take the batch now")]
    Unavailable(#[source] sqlx::Error),
    /// A statement did not end within its time limit: a row takes too long, or the database is slow.
    #[error("PostgreSQL did not get done in time")]
    TimedOut(#[source] sqlx::Error),
    /// A row's data made the statement fail: it will fail each time.
    #[error("PostgreSQL refuses the data of a row")]
    Data(#[source] sqlx::Error),
}

impl StoreError {
    /// The word in traces.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timed-out",
            Self::Data(_) => "data",
        }
    }
}

/// Classes of SQLSTATE that a row's data can cause: cardinality violation, data exception, integrity
/// constraint violation, program limit exceeded (appendix A of PostgreSQL's manual).
const DATA_CLASSES: [&str; 4] = ["21", "22", "23", "54"];

/// `query_canceled`: by statement_timeout, or by an operator, which does no harm as it is repeated. A wait for a lock
/// ends earlier, as `lock_not_available`.
const QUERY_CANCELED: &str = "57014";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|error| error.code()) {
            Some(code) if code == QUERY_CANCELED => Self::TimedOut(error),
            Some(code) if of_data(&code) && !lacks_partition(&error) => Self::Data(error),
            _ => Self::Unavailable(error),
        }
    }
}

fn of_data(code: &str) -> bool {
    DATA_CLASSES.iter().any(|class| code.starts_with(class))
}

/// A notification whose day's partition another worker has just dropped: it is made again by the next attempt.
pub(super) fn lacks_partition(error: &sqlx::Error) -> bool {
    let of_raw = |error: &sqlx::postgres::PgDatabaseError| error.schema() == Some("garmin_raw");
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
        .is_some_and(of_raw)
}
