//! Work over a connection whose other end may have gone without a word.

use sqlx::{PgConnection, PgPool};
use std::io;
use std::time::Duration;

/// How long work over a connection may take. The server ends each statement earlier (see [`super::pool`]), so a longer
/// silence is that of a connection whose other end is gone: its machine lost power, or a router between forgot it.
const LONGEST_SILENCE: Duration = Duration::from_secs(120);

/// Does `work` over one of the pool's connections, and gives up both if it does not end.
///
/// # Errors
/// Those of `work`; there is no connection, or no answer.
pub async fn ask<T, E: From<sqlx::Error>>(
    pool: &PgPool,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let mut connection = pool.acquire().await?;
    if let Ok(done) = tokio::time::timeout(LONGEST_SILENCE, work(&mut connection)).await {
        return done;
    }
    connection.close_on_drop();
    let silence = format!("no answer for {} s", LONGEST_SILENCE.as_secs());
    Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, silence)).into())
}
