//! `apollo-worker files parse`.

use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::files::{self, Reading};
use crate::store::files as stored;
use anyhow::ensure;
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which database.
#[derive(Debug, Args)]
pub(in crate::cli) struct ParseOptions {
    #[command(flatten)]
    database: DatabaseConfig,
}

/// Reads files again with a progress bar, and says what came of it.
pub(super) async fn run(options: ParseOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let mut connection = database::connect(&options.database).await?;
    let ids = stored::to_be_read(&mut connection).await?;
    let bar = output::bar(ids.len() as u64, "files");
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for id in &ids {
        if stop.is_cancelled() {
            break;
        }
        // It may have gone with its user meanwhile.
        if let Some((content, sha256)) = stored::content(&mut connection, id).await? {
            let reading: Reading = files::read(Arc::new(content)).await?;
            stored::update(&mut connection, id, &sha256, &reading).await?;
            *states.entry(reading.state()).or_default() += 1;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{}", report(&states));
    ensure!(!stop.is_cancelled(), "stopped before the end: run it again for the rest");
    Ok(())
}

fn report(states: &BTreeMap<&str, u64>) -> String {
    let read = HumanCount(states.values().sum());
    let count = |state| HumanCount(states.get(state).copied().unwrap_or(0));
    format!(
        "{read} files read again: {} parsed, {} unreadable, {} no FIT files",
        count("parsed"),
        count("unreadable"),
        count("not_fit")
    )
}
