//! `apollo-worker dead-letters list`.

use super::Filter;
use crate::cli::output;
use crate::dead_letters::{Letter, Verdict};
use apollo_shared::broker::BrokerConfig;
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};

/// How much of an error a line of the table holds, in characters.
const ERROR_WIDTH: usize = 60;

/// What to list, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    apollo-worker dead-letters list --type dailies --since 2026-11-10\n  \
    apollo-worker dead-letters list --json --limit 0 > letters.json")]
pub(in crate::cli) struct ListOptions {
    /// CSV, with the whole errors
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// JSON, with the whole errors and the summary
    #[arg(long)]
    json: bool,
    /// Letters listed at most; 0 for all. The summary always counts all
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// In the order in which they became dead letters
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// A letter in the list.
struct Listed {
    id: String,
    entry_index: u32,
    received_at: String,
    lane: String,
    endpoint: String,
    reason: String,
    error: String,
    bytes: usize,
}

/// What is told.
#[derive(Default)]
struct Listing {
    total: u64,
    matching: u64,
    letters: VecDeque<Listed>,
    /// By reason, lane and type.
    summary: BTreeMap<(String, String, String), u64>,
}

/// Prints it.
pub(super) async fn run(options: ListOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let letters = super::open(&options.broker).await?;
    let bar = super::bar(&letters).await?;
    let mut listing = Listing::default();
    let visited = letters
        .visit(&stop, async |letter| {
            bar.inc(1);
            listing.add(letter, &options);
            anyhow::Ok(Verdict::Keep)
        })
        .await;
    bar.finish_and_clear();
    letters.close().await;
    visited?;
    if !options.oldest_first {
        listing.letters.make_contiguous().reverse();
    }
    let text = match (options.csv, options.json) {
        (true, _) => listing.to_csv()?,
        (_, true) => format!("{:#}\n", listing.to_json()).into_bytes(),
        _ => listing.to_text().into_bytes(),
    };
    Ok(output::print(&text)?)
}

impl Listing {
    fn add(&mut self, letter: Letter, options: &ListOptions) {
        self.total += 1;
        if !options.filter.matches(&letter) {
            return;
        }
        self.matching += 1;
        let listed = Listed::of(letter);
        let group = (listed.reason.clone(), listed.lane.clone(), listed.endpoint.clone());
        *self.summary.entry(group).or_default() += 1;
        let is_full = options.limit > 0 && self.letters.len() >= options.limit;
        if is_full && options.oldest_first {
            return;
        }
        if is_full {
            self.letters.pop_front();
        }
        self.letters.push_back(listed);
    }

    fn to_text(&self) -> String {
        if self.matching == 0 {
            return match self.total {
                0 => "there are no dead letters\n".to_owned(),
                total => format!("no dead letter matches, of {}\n", HumanCount(total)),
            };
        }
        let names = ["RECEIVED", "ID", "ENTRY", "LANE", "TYPE", "REASON", "ERROR"];
        let rows: Vec<Vec<String>> = self.letters.iter().map(Listed::short).collect();
        let summary = ["REASON", "LANE", "TYPE", "LETTERS"];
        let counts: Vec<Vec<String>> = self
            .summary
            .iter()
            .map(|((reason, lane, endpoint), count)| {
                vec![reason.clone(), lane.clone(), endpoint.clone(), HumanCount(*count).to_string()]
            })
            .collect();
        let told = match self.letters.len() as u64 {
            listed if listed < self.matching => {
                format!("{listed} of {} are listed; --limit 0 lists all", super::letters(self.matching))
            }
            _ => super::letters(self.matching),
        };
        format!("{}\n{}\n{told}\n", output::table(&names, &rows), output::table(&summary, &counts))
    }

    fn to_csv(&self) -> csv::Result<Vec<u8>> {
        let names = ["received_at", "id", "entry_index", "lane", "type", "reason", "error", "bytes"];
        let rows: Vec<Vec<String>> = self.letters.iter().map(Listed::whole).collect();
        output::csv(&names, &rows)
    }

    fn to_json(&self) -> serde_json::Value {
        let letters = self.letters.iter().map(|letter| {
            json!({
                "received_at": letter.received_at,
                "id": letter.id,
                "entry_index": letter.entry_index,
                "lane": letter.lane,
                "type": letter.endpoint,
                "reason": letter.reason,
                "error": letter.error,
                "bytes": letter.bytes,
            })
        });
        let summary = self.summary.iter().map(|((reason, lane, endpoint), count)| {
            json!({"reason": reason, "lane": lane, "type": endpoint, "letters": count})
        });
        json!({
            "total": self.total,
            "matching": self.matching,
            "summary": summary.collect::<Vec<_>>(),
            "letters": letters.collect::<Vec<_>>(),
        })
    }
}

impl Listed {
    fn of(letter: Letter) -> Self {
        Self {
            id: letter.id(),
            entry_index: letter.entry_index(),
            received_at: output::moment(letter.received_at()),
            endpoint: letter.endpoint().to_owned(),
            bytes: letter.body.len(),
            lane: letter.lane,
            reason: letter.reason,
            error: letter.error,
        }
    }

    fn whole(&self) -> Vec<String> {
        vec![
            self.received_at.clone(),
            self.id.clone(),
            self.entry_index.to_string(),
            self.lane.clone(),
            self.endpoint.clone(),
            self.reason.clone(),
            self.error.clone(),
            self.bytes.to_string(),
        ]
    }

    /// Without the size, and with no more of the error than fits.
    fn short(&self) -> Vec<String> {
        let mut cells = self.whole();
        cells.truncate(6);
        let line = self.error.replace(char::is_control, " ");
        cells.push(match line.char_indices().nth(ERROR_WIDTH) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        });
        cells
    }
}
