//! The database's schema: migrations forward and back, and the check that serving needs.

use super::rights::{self, MissingRight};
use super::{DATABASE, comments};
use apollo_shared::admin::Readiness;
use apollo_shared::telemetry::with_causes;
use apollo_shared::tls;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Where sqlx notes what has been applied.
const APPLIED: &str = "_sqlx_migrations";

/// The key of the advisory lock under which comments and grants are written, by one program at a time.
const SCHEMA_LOCK: i64 = 0x6170_6f6c_6c70; // beside that of migration 25

/// Why the schema is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database could not be asked.
    #[error("PostgreSQL cannot be asked for the version of its schema")]
    Unavailable(#[source] MigrateError),
    /// The server is not who it should be; it has been told nothing.
    #[error(
        "PostgreSQL is not trusted: {reason} (sslrootcert in DATABASE__URL names a file with further authorities)"
    )]
    Untrusted {
        /// In plain words.
        reason: &'static str,
        /// In rustls' words.
        source: sqlx::Error,
    },
    /// Applied by a newer program.
    #[error(
        "the schema is at version {found}, newer than this program's {known}: install the program that \
         migrated it, or a newer one"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// This program's version.
        known: i64,
    },
    /// Not yet applied.
    #[error("the schema is at version {found}, this program needs {known}: run `apollo-worker migrate`")]
    Older {
        /// The database's version; 0 for an empty database.
        found: i64,
        /// This program's version.
        known: i64,
    },
    /// The role has not been granted what serving needs.
    #[error(
        "this role lacks {} on {} {}: let the database's owner run `apollo-worker migrate`, which grants the role in \
         DATABASE__WORKER_ROLE what it needs",
        .0.privilege, .0.kind.to_lowercase(), .0.name
    )]
    LacksRight(MissingRight),
    /// No such migration.
    #[error("there is no version {target}: choose one from 0 to {known}")]
    NoSuchVersion {
        /// What was asked for.
        target: i64,
        /// This program's version.
        known: i64,
    },
    /// A migration failed; its transaction was rolled back.
    #[error("the migration failed and has changed nothing")]
    Failed(#[source] MigrateError),
}

impl From<sqlx::Error> for SchemaError {
    fn from(source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::Io(error) if let Some(reason) = tls::distrust(error) => {
                Self::Untrusted { reason, source }
            }
            _ => Self::Unavailable(source.into()),
        }
    }
}

/// The version that this program knows.
#[must_use]
pub fn known_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The version that the database is at; 0 when it is empty.
///
/// # Errors
/// It could not be asked.
pub async fn version(connection: &mut PgConnection) -> Result<i64, SchemaError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(APPLIED)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(0);
    }
    let applied = connection.list_applied_migrations(APPLIED).await.map_err(SchemaError::Unavailable)?;
    Ok(applied.iter().map(|migration| migration.version).max().unwrap_or(0))
}

/// Whether serving can begin. A newer schema is no hindrance: migrations keep what a running version needs.
///
/// # Errors
/// The schema is older than this program, lacks a grant, or could not be asked for.
pub async fn check(connection: &mut PgConnection) -> Result<(), SchemaError> {
    if let Some(missing) = rights::first_missing(connection).await? {
        return Err(SchemaError::LacksRight(missing));
    }
    let (found, known) = (version(connection).await?, known_version());
    if found < known { Err(SchemaError::Older { found, known }) } else { Ok(()) }
}

/// Waits until the database is there and serving can begin. False if `stop` came first.
pub async fn wait_until_ready(pool: &PgPool, readiness: &Readiness, stop: &CancellationToken) -> bool {
    let mut backoff = super::database_backoff();
    loop {
        let Err(error) = check_by(pool).await else {
            readiness.ready(DATABASE);
            return true;
        };
        let reason = with_causes(&error);
        tracing::warn!("waiting for the database: {reason}");
        readiness.not_ready(DATABASE, reason);
        if !backoff.pause(stop).await {
            return false;
        }
    }
}

async fn check_by(pool: &PgPool) -> Result<(), SchemaError> {
    super::ask(pool, check).await
}

/// Brings the schema to this program's version, under a lock: of several that start at once, one does it and
/// the others find it done. Grants `worker_role`, if there is such a role, what serving needs. Returns the versions before
/// and after.
///
/// # Errors
/// See [`SchemaError`].
pub async fn migrate(options: &PgConnectOptions, worker_role: &str) -> Result<(i64, i64), SchemaError> {
    let mut connection = connect(options).await?;
    let (found, known) = (version(&mut connection).await?, known_version());
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    MIGRATOR.run(&mut connection).await.map_err(SchemaError::Failed)?;
    describe_and_grant(&mut connection, worker_role).await?;
    Ok((found, known))
}

async fn describe_and_grant(connection: &mut PgConnection, worker_role: &str) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(&mut *transaction).await?;
    comments::write(&mut transaction).await?;
    rights::grant(&mut transaction, worker_role).await?;
    transaction.commit().await
}

/// Takes the schema back to `target`, dropping what later versions brought, data included. Returns the
/// versions before and after.
///
/// # Errors
/// See [`SchemaError`].
pub async fn migrate_down(options: &PgConnectOptions, target: i64) -> Result<(i64, i64), SchemaError> {
    let mut connection = connect(options).await?;
    let (found, known) = (version(&mut connection).await?, known_version());
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    if target != 0 && !MIGRATOR.version_exists(target) {
        return Err(SchemaError::NoSuchVersion { target, known });
    }
    MIGRATOR.undo(&mut connection, target).await.map_err(SchemaError::Failed)?;
    Ok((found, version(&mut connection).await?))
}

/// Connects for one command.
///
/// # Errors
/// The database is away.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, SchemaError> {
    Ok(PgConnection::connect_with(options).await?)
}
