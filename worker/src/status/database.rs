//! What the database tells, each part for itself.

use super::figures::{History, Part};
use crate::store::status::{self as store, Notifications, Users};
use crate::summaries::Registry;
use apollo_shared::telemetry::with_causes;
use sqlx::PgPool;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the database may take for all of it, a new connection included.
const LIMIT: Duration = Duration::from_secs(4);

/// What the database tells.
#[derive(Debug, Clone)]
pub(super) struct OfDatabase {
    pub(super) schema: Part<i64>,
    pub(super) users: Part<Users>,
    pub(super) notifications: Part<Notifications>,
    pub(super) history: Part<History>,
}

pub(super) async fn look(pool: &PgPool, registry: &Registry) -> OfDatabase {
    let deadline = Instant::now() + LIMIT;
    let mut connection = match part(deadline, pool.acquire()).await {
        Part::Known(connection) => connection,
        Part::Unknown { unknown } => return OfDatabase::unknown(&unknown),
    };
    let found = OfDatabase {
        schema: part(deadline, store::version(&mut connection)).await,
        users: part(deadline, store::users(&mut connection, registry)).await,
        notifications: part(deadline, store::notifications(&mut connection)).await,
        history: history(deadline, &mut connection).await,
    };
    if Instant::now() >= deadline {
        // It may still be busy with what was asked.
        connection.close_on_drop();
    }
    found
}

async fn history(deadline: Instant, connection: &mut sqlx::PgConnection) -> Part<History> {
    match part(deadline, store::history(connection)).await {
        Part::Known((ranges, paused_until)) => Part::Known(History { ranges, paused_until }),
        Part::Unknown { unknown } => Part::Unknown { unknown },
    }
}

async fn part<T, E: Error>(deadline: Instant, asking: impl Future<Output = Result<T, E>>) -> Part<T> {
    match timeout_at(deadline, asking).await {
        Ok(Ok(value)) => Part::Known(value),
        Ok(Err(error)) => Part::Unknown { unknown: with_causes(&error) },
        Err(_) => {
            Part::Unknown { unknown: format!("PostgreSQL did not answer within {} s", LIMIT.as_secs()) }
        }
    }
}

impl OfDatabase {
    fn unknown(reason: &str) -> Self {
        let unknown = reason.to_owned();
        Self {
            schema: Part::Unknown { unknown: unknown.clone() },
            users: Part::Unknown { unknown: unknown.clone() },
            notifications: Part::Unknown { unknown: unknown.clone() },
            history: Part::Unknown { unknown },
        }
    }
}
