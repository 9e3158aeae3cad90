//! `apollo-worker dead-letters drop`.

use super::Filter;
use crate::dead_letters::file::Saving;
use crate::dead_letters::{DeadLetters, End, Verdict};
use anyhow::ensure;
use apollo_shared::broker::BrokerConfig;
use apollo_shared::shutdown;
use clap::Args;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What to drop.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    apollo-worker dead-letters drop --reason malformed_entry --until 2026-11-10 --save letters.jsonl")]
pub(in crate::cli) struct DropOptions {
    /// All letters
    #[arg(long)]
    all: bool,
    /// A new file, for its owner's eyes only, that each letter is written to before it is dropped: a line of JSON each
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Does not ask back; for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Asks back, drops with a progress bar, and says how many.
pub(super) async fn run(options: DropOptions) -> anyhow::Result<()> {
    options.filter.require(options.all)?;
    let stop = shutdown::on_signal()?;
    let letters = super::open(&options.broker).await?;
    let dropped = drop(&letters, &options, &stop).await;
    letters.close().await;
    dropped
}

async fn drop(letters: &DeadLetters, options: &DropOptions, stop: &CancellationToken) -> anyhow::Result<()> {
    let kept = if options.save.is_some() { "" } else { " for good, without --save" };
    let question = |letters: &str| format!("Drop {letters}{kept}?");
    if !options.yes && !super::confirmed(letters, &options.filter, stop, question).await? {
        return Ok(());
    }
    let mut saving = options.save.as_deref().map(Saving::create).transpose()?;
    let mut dropped = 0;
    let bar = super::bar(letters).await?;
    let end = letters
        .visit(stop, async |letter| {
            bar.inc(1);
            if !options.filter.matches(&letter) {
                return anyhow::Ok(Verdict::Keep);
            }
            if let Some(saving) = &mut saving {
                saving.save(&letter)?;
            }
            dropped += 1;
            Ok(Verdict::Remove)
        })
        .await;
    bar.finish_and_clear();
    println!("{} dropped", super::letters(dropped));
    ensure!(end? == End::Complete, "stopped before the end; the others are still there");
    Ok(())
}
