//! `apollo-worker dead-letters show`.

use super::mask::mask;
use crate::cli::output;
use crate::dead_letters::{Letter, Verdict};
use crate::message::Reason;
use anyhow::ensure;
use apollo_shared::broker::BrokerConfig;
use apollo_shared::shutdown;
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

/// Which letter, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowOptions {
    /// Its id, as `dead-letters list` shows it; several entries of one message have the same
    id: Uuid,
    /// Only this one of its entries
    #[arg(long, value_name = "NUMBER")]
    entry: Option<u32>,
    /// The body as it is, tokens included, and nothing else
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Prints it.
pub(super) async fn run(options: ShowOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let letters = super::open(&options.broker).await?;
    let bar = super::bar(&letters).await?;
    let mut shown = 0;
    let visited = letters
        .visit(&stop, async |letter| {
            bar.inc(1);
            if options.means(&letter) {
                shown += 1;
                let print =
                    || output::print(&if options.raw { letter.body } else { text(&letter).into_bytes() });
                bar.suspend(print)?;
            }
            anyhow::Ok(Verdict::Keep)
        })
        .await;
    bar.finish_and_clear();
    letters.close().await;
    visited?;
    ensure!(shown > 0, "no dead letter has the id {}; it may have been replayed or dropped", options.id);
    Ok(())
}

impl ShowOptions {
    fn means(&self, letter: &Letter) -> bool {
        let id = letter.envelope.as_ref().map(|envelope| envelope.message_id).ok();
        id == Some(self.id) && self.entry.is_none_or(|entry| entry == letter.entry_index())
    }
}

fn text(letter: &Letter) -> String {
    let reason = Reason::ALL.into_iter().find(|reason| reason.name() == letter.reason);
    let meaning = reason.map_or("", |reason| reason.meaning());
    let remedy = reason.map_or("", |reason| reason.remedy());
    let lines = [
        ("id", letter.id()),
        ("entry", letter.entry_index().to_string()),
        ("received", output::moment(letter.received_at())),
        ("lane", letter.lane.clone()),
        ("type", letter.endpoint().to_owned()),
        ("routing key", letter.routing_key.clone()),
        ("reason", letter.reason.clone()),
        ("meaning", meaning.to_owned()),
        ("error", letter.error.clone()),
        ("what to do", remedy.to_owned()),
        ("bytes", letter.body.len().to_string()),
    ];
    let told = lines.iter().filter(|(_, value)| !value.is_empty());
    let told: String = told.map(|(name, value)| format!("{name:12} {value}\n")).collect();
    format!("{told}\n{}\n\n", body(&letter.body))
}

fn body(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            mask(&mut value);
            format!("{value:#}")
        }
        Err(error) => format!("(the body cannot be shown as JSON: {error}; --raw shows it as it is)"),
    }
}
