//! The database, for a command.

use crate::config::DatabaseConfig;
use crate::store::{self, keys, schema};
use apollo_shared::secrets::Keyring;
use sqlx::PgConnection;

/// Connects to a database whose schema is as this program needs it.
pub(super) async fn connect(config: &DatabaseConfig) -> anyhow::Result<PgConnection> {
    let mut connection = schema::connect(&store::connect_options(&config.url)?).await?;
    schema::check(&mut connection).await?;
    Ok(connection)
}

/// Connects for a command that seals: with the keys that everything in the database is sealed with.
pub(super) async fn connect_to_seal(
    config: &DatabaseConfig,
    keyring: &Keyring,
) -> anyhow::Result<PgConnection> {
    let mut connection = connect(config).await?;
    keys::register_and_check(&mut connection, keyring).await?;
    Ok(connection)
}
