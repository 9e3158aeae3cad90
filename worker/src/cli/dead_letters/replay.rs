//! `apollo-worker dead-letters replay`.

use super::Filter;
use crate::cli::{confirm, output};
use crate::dead_letters::{DeadLetters, DeadLettersError, End, Verdict, file};
use anyhow::{bail, ensure};
use apollo_shared::broker::BrokerConfig;
use apollo_shared::shutdown;
use clap::Args;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What to replay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    apollo-worker dead-letters replay --reason refused_by_database --since 2026-11-10\n  \
    apollo-worker dead-letters replay --id 0193e6f2-7f0a-7c5e-9a51-0c8b6e3f1d2a\n\n\
    To mend letters by hand: `dead-letters drop --id ID --save FILE`, change `body` in FILE, and\n  \
    apollo-worker dead-letters replay --from FILE")]
pub(in crate::cli) struct ReplayOptions {
    /// All letters
    #[arg(long)]
    all: bool,
    /// The letters of a file that `drop --save` wrote, instead of those in the queue
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["all", "lane", "reason", "types", "since", "until", "id"]
    )]
    from: Option<PathBuf>,
    /// Does not ask back; for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// What came of a replay.
#[derive(Default)]
struct Replayed {
    letters: u64,
    not_apollos: u64,
}

/// Asks back, replays with a progress bar, and says what came of it.
pub(super) async fn run(options: ReplayOptions) -> anyhow::Result<()> {
    if options.from.is_none() {
        options.filter.require(options.all)?;
    }
    let stop = shutdown::on_signal()?;
    let letters = super::open(&options.broker).await?;
    let replayed = match &options.from {
        Some(path) => from_file(&letters, path, options.yes, &stop).await,
        None => from_queue(&letters, &options, &stop).await,
    };
    letters.close().await;
    replayed
}

async fn from_queue(
    letters: &DeadLetters,
    options: &ReplayOptions,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let question = |letters: &str| format!("Replay {letters}?");
    if !options.yes && !super::confirmed(letters, &options.filter, stop, question).await? {
        return Ok(());
    }
    let mut replayed = Replayed::default();
    let bar = super::bar(letters).await?;
    let end = letters
        .visit(stop, async |letter| {
            bar.inc(1);
            if !options.filter.matches(&letter) {
                return Ok(Verdict::Keep);
            }
            match letters.republish(&letter).await {
                Ok(()) => replayed.letters += 1,
                Err(DeadLettersError::NotApollos(_)) => {
                    replayed.not_apollos += 1;
                    return Ok(Verdict::Keep);
                }
                Err(error) => return Err(error),
            }
            Ok(Verdict::Remove)
        })
        .await;
    bar.finish_and_clear();
    println!("{} replayed", super::letters(replayed.letters));
    ensure!(end? == End::Complete, "stopped before the end; the others are still dead letters");
    match replayed.not_apollos {
        0 => Ok(()),
        count => bail!("{} cannot be replayed, as Apollo did not publish them", super::letters(count)),
    }
}

async fn from_file(
    letters: &DeadLetters,
    path: &Path,
    yes: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // All of it is read before any of it is published, so that a slip of the pen in the last line changes nothing.
    let mut total = 0;
    for letter in file::read(path)? {
        letter?.envelope.map_err(DeadLettersError::from)?;
        total += 1;
    }
    confirm::yes(&format!("Replay {} of {}?", super::letters(total), path.display()), yes)?;
    let bar = output::bar(total, "letters");
    for letter in file::read(path)? {
        let done = super::letters(bar.position());
        ensure!(!stop.is_cancelled(), "stopped after {done}; the file may be replayed again, without harm");
        letters.republish(&letter?).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} replayed", super::letters(total));
    Ok(())
}
