//! `apollo-worker keys list`.

use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::rotation::Rotation;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use clap::Args;
use indicatif::HumanCount;

/// Of which database.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
}

/// Prints a table.
pub(super) async fn run(options: ListOptions) -> anyhow::Result<()> {
    let keyring = Keyring::new(&options.secrets)?;
    let connection = database::connect(&options.database).await?;
    let mut usage = Rotation { connection, keyring: &keyring }.usage().await?;
    keyring.ids().for_each(|id| {
        usage.entry(id.to_owned()).or_default();
    });
    let role = |id: &str| match keyring.ids().position(|held| held == id) {
        Some(0) => "seals and opens",
        Some(_) => "opens",
        None => "missing",
    };
    let rows: Vec<Vec<String>> = usage
        .iter()
        .map(|(id, count)| vec![id.clone(), HumanCount(*count).to_string(), role(id).to_owned()])
        .collect();
    Ok(output::print(output::table(&["KEY", "VALUES", "IN SECRETS__KEYS"], &rows).as_bytes())?)
}
