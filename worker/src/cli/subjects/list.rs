//! `apollo-worker subjects list`.

use super::state;
use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::store::accounts::{self, Subject};
use clap::Args;

/// How to list.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    /// CSV, with the moment of the first link too
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    database: DatabaseConfig,
}

/// Prints a line for each subject.
pub(super) async fn run(options: ListOptions) -> anyhow::Result<()> {
    let mut connection = database::connect(&options.database).await?;
    let subjects = accounts::subjects(&mut connection).await?;
    let text = if options.csv { for_programs(&subjects)? } else { for_people(&subjects) };
    Ok(output::print(&text)?)
}

fn for_programs(subjects: &[Subject]) -> anyhow::Result<Vec<u8>> {
    let names =
        ["subject_id", "user_id", "state", "linked_at", "registered_at", "deregistered_at", "permissions"];
    let rows: Vec<Vec<String>> = subjects
        .iter()
        .map(|subject| {
            vec![
                subject.subject_id.clone(),
                subject.user_id.clone(),
                state(subject).to_owned(),
                output::moment(subject.linked_at),
                output::moment(subject.registered_at),
                output::moment(subject.deregistered_at),
                subject.permissions.as_deref().unwrap_or_default().join(" "),
            ]
        })
        .collect();
    Ok(output::csv(&names, &rows)?)
}

fn for_people(subjects: &[Subject]) -> Vec<u8> {
    let rows: Vec<Vec<String>> = subjects
        .iter()
        .map(|subject| {
            vec![
                subject.subject_id.clone(),
                subject.user_id.clone(),
                state(subject).to_owned(),
                output::moment(subject.registered_at),
                output::moment(subject.deregistered_at),
            ]
        })
        .collect();
    output::table(&["SUBJECT", "USER", "STATE", "REGISTERED", "DEREGISTERED"], &rows).into_bytes()
}
