//! `apollo-worker keys rotate`.

use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::rotation::{Rotated, Rotation};
use anyhow::bail;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;

/// Of which database.
#[derive(Debug, Args)]
pub(in crate::cli) struct RotateOptions {
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
}

/// Rotates with a progress bar, and says which keys may go.
pub(super) async fn run(options: RotateOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let keyring = Keyring::new(&options.secrets)?;
    let connection = database::connect(&options.database).await?;
    let mut rotation = Rotation { connection, keyring: &keyring };
    let usage = rotation.usage().await?;
    let old = usage.iter().filter(|(id, _)| *id != keyring.first_id()).map(|(_, count)| count).sum();
    let bar = output::bar(old, "values");
    let rotated = rotation.run(&stop, |values| bar.inc(values)).await;
    bar.finish_and_clear();
    conclude(keyring.first_id(), rotated?)
}

fn conclude(first_id: &str, rotated: Rotated) -> anyhow::Result<()> {
    println!("{} values are sealed with {first_id} now that were not before", HumanCount(rotated.resealed));
    if !rotated.released.is_empty() {
        println!(
            "may be taken out of SECRETS__KEYS: {}; first wait an hour for consents that are under way, and until \
             apollo_receiver_spool_messages of every receiver is 0; and know that invitations made with it are not \
             accepted without it",
            rotated.released.join(", ")
        );
    }
    if let Some(first) = rotated.first_unreadable {
        let unreadable = HumanCount(rotated.unreadable);
        return Err(anyhow::Error::new(first).context(format!("{unreadable} values could not be opened")));
    }
    if !rotated.left.is_empty() {
        let left: Vec<String> =
            rotated.left.iter().map(|(id, count)| format!("{id} ({})", HumanCount(*count))).collect();
        bail!(
            "some worker still seals with another key: restart all with {first_id} in front, and run this again; \
             values left: {}",
            left.join(", ")
        );
    }
    Ok(())
}
