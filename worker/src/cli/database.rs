//! The database, for a command.

use crate::config::DatabaseConfig;
use crate::store::{self, schema};
use sqlx::PgConnection;

/// Connects to a database whose schema is as this program needs it.
pub(super) async fn connect(config: &DatabaseConfig) -> anyhow::Result<PgConnection> {
    let mut connection = schema::connect(&store::connect_options(&config.url)?).await?;
    schema::check(&mut connection).await?;
    Ok(connection)
}
