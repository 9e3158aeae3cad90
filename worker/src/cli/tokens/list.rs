//! `apollo-worker tokens list`.

use super::version;
use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::store::{overview, token_exchange};
use clap::Args;

/// Which tokens.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    #[command(flatten)]
    database: DatabaseConfig,
}

/// Prints a line for each kind of token.
pub(super) async fn run(options: ListOptions) -> anyhow::Result<()> {
    let mut connection = database::connect(&options.database).await?;
    let counts = overview::token_counts(&mut connection).await?;
    if counts.is_empty() {
        println!("there are no tokens");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = counts
        .into_iter()
        .map(|count| {
            let (tokens, users) = (count.tokens.to_string(), count.users.to_string());
            vec![version(count.oauth_version).to_owned(), count.state, tokens, users]
        })
        .collect();
    output::print(output::table(&["VERSION", "STATE", "TOKENS", "USERS"], &rows).as_bytes())?;
    if let Some(due) = token_exchange::next_due(&mut connection, i64::MAX).await? {
        println!("{} still to be exchanged: run `apollo-worker tokens migrate`", due.remaining);
    }
    Ok(())
}
