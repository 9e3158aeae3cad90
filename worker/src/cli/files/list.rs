//! `apollo-worker files list`.

use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::store::files::{self, FileCount, UnreadableFile};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};

/// How to list.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    #[command(flatten)]
    database: DatabaseConfig,
}

/// Prints counts, and the files that cannot be read.
pub(super) async fn run(options: ListOptions) -> anyhow::Result<()> {
    let mut connection = database::connect(&options.database).await?;
    let counts = files::counts(&mut connection).await?;
    let unreadable = files::unreadable(&mut connection).await?;
    Ok(output::print(text(&counts, &unreadable).as_bytes())?)
}

fn text(counts: &[FileCount], unreadable: &[UnreadableFile]) -> String {
    if counts.is_empty() {
        return "there are no activity files\n".to_owned();
    }
    let rows: Vec<Vec<String>> = counts.iter().map(count).collect();
    let mut text = output::table(&["LABELLED", "IS", "STATE", "FILES", "SIZE"], &rows);
    if !unreadable.is_empty() {
        let rows: Vec<Vec<String>> = unreadable.iter().map(file).collect();
        text.push('\n');
        text.push_str(&output::table(&["SUBJECT", "USER", "FILE", "LABELLED", "SIZE", "ERROR"], &rows));
    }
    text
}

fn count(count: &FileCount) -> Vec<String> {
    let announced = || "-".to_owned();
    vec![
        label(&count.file_type),
        count.media.clone().unwrap_or_else(announced),
        count.state.clone().unwrap_or_else(|| "not fetched".to_owned()),
        HumanCount(count.files.unsigned_abs()).to_string(),
        HumanBytes(count.bytes.unsigned_abs()).to_string(),
    ]
}

fn file(file: &UnreadableFile) -> Vec<String> {
    vec![
        file.subject_id.clone().unwrap_or_else(|| "-".to_owned()),
        file.user_id.clone(),
        file.summary_id.clone(),
        label(&file.file_type),
        HumanBytes(file.size_in_bytes.unsigned_abs()).to_string(),
        file.error.clone(),
    ]
}

/// Garmin labels nearly all files.
fn label(file_type: &str) -> String {
    if file_type.is_empty() { "-".to_owned() } else { file_type.to_owned() }
}
