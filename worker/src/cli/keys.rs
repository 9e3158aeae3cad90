//! `apollo-worker keys`.

mod list;
mod rotate;

use apollo_shared::secrets::Keyring;
use clap::{Args, Subcommand};
use time::OffsetDateTime;

/// What to do about keys.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Prints a new key; put it in front of SECRETS__KEYS, and keep the old ones behind it
    New(NewOptions),
    /// Shows the keys that secrets in the database are sealed with, and how many each seals
    List(list::ListOptions),
    /// Seals everything in the database with the first key of SECRETS__KEYS, while workers run
    ///
    /// To replace a key: make a new one with `apollo-worker keys new`, put it in front of SECRETS__KEYS, restart
    /// receivers and workers, run this, and take the old ones out that it names. It may be interrupted and repeated.
    Rotate(rotate::RotateOptions),
}

/// What the new key is called.
#[derive(Debug, Args)]
pub(super) struct NewOptions {
    /// The key's name, stored with all that it seals; by default today's date
    #[arg(long, value_parser = key_id)]
    id: Option<String>,
}

fn key_id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 64 && !text.contains([':', ',', ' ']);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "1 to 64 characters without colon, comma and space".to_owned())
}

/// Carries it out.
pub(super) async fn run(keys: Keys) -> anyhow::Result<()> {
    match keys {
        Keys::New(NewOptions { id }) => {
            let id = id.unwrap_or_else(|| OffsetDateTime::now_utc().date().to_string());
            println!("{}", Keyring::generate(&id));
            Ok(())
        }
        Keys::List(options) => list::run(options).await,
        Keys::Rotate(options) => rotate::run(options).await,
    }
}
