//! `apollo-worker dead-letters`.

mod drop;
mod filter;
mod list;
mod mask;
mod replay;
mod show;

use super::{confirm, output};
use crate::dead_letters::{self, End, Verdict};
use crate::message::Reason;
use anyhow::bail;
use apollo_shared::broker::{Broker, BrokerConfig};
use clap::Subcommand;
use filter::Filter;
use indicatif::{HumanCount, ProgressBar};
use tokio_util::sync::CancellationToken;

/// What to do about dead letters.
#[derive(Debug, Subcommand)]
#[command(after_help = help())]
pub(super) enum DeadLetters {
    /// Lists them, newest first, and counts them by reason
    List(list::ListOptions),
    /// Shows one with its error and its body
    ///
    /// The body is a participant's health data: mind who looks over your shoulder. Tokens in it are masked.
    Show(show::ShowOptions),
    /// Sends them back to where they came from, to be handled again
    ///
    /// They keep their id and their time of arrival, so that they never overwrite what is newer, and replaying one twice
    /// does no harm. What fails again is a dead letter again. A letter leaves the queue only when RabbitMQ has confirmed
    /// its copy; Ctrl-C stops between two letters.
    Replay(replay::ReplayOptions),
    /// Removes them for good; with --save they are kept in a file, which `replay --from` reads
    Drop(drop::DropOptions),
}

fn help() -> String {
    format!(
        "A dead letter is a message, or an entry of one, that could not be handled. Nothing is lost while it waits in \
         the queue apollo.dead, and nothing else waits for it: there is no hurry. Looking changes nothing.\n\n\
         What to do at 3 a.m.:\n  \
         apollo-worker dead-letters list                       what is there, and why\n  \
         apollo-worker dead-letters show ID                    one of them, whole\n  \
         apollo-worker dead-letters replay --reason timed_out  once its cause is gone\n  \
         apollo-worker dead-letters drop --reason malformed_entry --save letters.jsonl\n\n\
         Reasons, what they mean (→ and what to do):\n{}",
        Reason::table()
    )
}

/// Carries it out.
pub(super) async fn run(dead_letters: DeadLetters) -> anyhow::Result<()> {
    match dead_letters {
        DeadLetters::List(options) => list::run(options).await,
        DeadLetters::Show(options) => show::run(options).await,
        DeadLetters::Replay(options) => replay::run(options).await,
        DeadLetters::Drop(options) => drop::run(options).await,
    }
}

async fn open(config: &BrokerConfig) -> anyhow::Result<dead_letters::DeadLetters> {
    let broker = Broker::new(config, "apollo-worker dead-letters")?;
    Ok(dead_letters::DeadLetters::open(&broker).await?)
}

async fn bar(letters: &dead_letters::DeadLetters) -> anyhow::Result<ProgressBar> {
    Ok(output::bar(letters.count().await?.into(), "letters"))
}

/// How many letters match; nothing if it was told to stop.
async fn count(
    letters: &dead_letters::DeadLetters,
    filter: &Filter,
    stop: &CancellationToken,
) -> anyhow::Result<Option<u64>> {
    let mut matching = 0;
    let bar = bar(letters).await?;
    let end = letters
        .visit(stop, async |letter| {
            bar.inc(1);
            matching += u64::from(filter.matches(&letter));
            anyhow::Ok(Verdict::Keep)
        })
        .await;
    bar.finish_and_clear();
    Ok((end? == End::Complete).then_some(matching))
}

/// Asks back with what `question` makes of the number of letters that match. False if there are none.
async fn confirmed(
    letters: &dead_letters::DeadLetters,
    filter: &Filter,
    stop: &CancellationToken,
    question: impl FnOnce(&str) -> String,
) -> anyhow::Result<bool> {
    let Some(matching) = count(letters, filter, stop).await? else {
        bail!("stopped; nothing was changed");
    };
    if matching == 0 {
        println!("no dead letter matches");
        return Ok(false);
    }
    confirm::yes(&question(&self::letters(matching)), false)?;
    Ok(true)
}

/// `1 dead letter`, `2 dead letters`.
fn letters(count: u64) -> String {
    format!("{} dead letter{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
