//! `apollo-worker backfill`.

mod ask;
mod cancel;
mod status;

use super::database;
use super::subjects;
use crate::config::{DatabaseConfig, PaceConfig};
use crate::store::accounts::{self, Subject};
use anyhow::{bail, ensure};
use apollo_shared::consent::SubjectId;
use clap::{Args, Subcommand};
use indicatif::HumanCount;
use sqlx::PgConnection;

/// History to ask for, or what to do about what was asked for.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, after_help = HELP)]
pub(super) struct Backfill {
    #[command(flatten)]
    ask: Option<ask::AskOptions>,
    #[command(flatten)]
    pace: PaceConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows how far it is: by state, by type and by subject, what waits and why, and how long it will take
    Status(status::StatusOptions),
    /// Gives up what has not been asked for yet; what Garmin has accepted comes all the same
    Cancel(cancel::CancelOptions),
}

const HELP: &str = "\
Garmin sends the history of a participant on request: what was recorded before they joined the study, or while nobody \
listened. It comes minutes to hours later, as ordinary notifications, into the same tables as everything else; nothing \
marks it. The participant must permit it (\"historical data\" on Garmin's consent page, off by default).

One request covers 90 days at most, 30 for activities; so what you ask for is cut, stored, and worked off by the workers \
that serve the lane pull, however long that takes and whatever is restarted meanwhile. An evaluation key may ask for 100 days \
a minute, so a year of one type of one participant takes some 4 minutes; a production key for 10,000 \
(GARMIN__KEY_KIND). What has been asked for is not asked for again: run the same command as often as you like. What \
failed, was refused or cancelled before is tried anew.

Examples:
  apollo-worker backfill --subject P-17 --from 2026-05-01
  apollo-worker backfill --all --types dailies,sleeps --from 2026-05-01 --to 2026-08-01 --detach
  apollo-worker backfill status

For participants still to come, GARMIN__BACKFILL_DAYS asks by itself when they consent.";

/// Carries it out.
pub(super) async fn run(backfill: Backfill) -> anyhow::Result<()> {
    let Backfill { ask, pace, database, action } = backfill;
    ensure!(
        ask.is_none() || action.is_none(),
        "what to ask for goes without status and cancel, and theirs goes behind them"
    );
    let mut connection = database::connect(&database).await?;
    match (action, ask) {
        (Some(Action::Status(options)), _) => status::run(options, pace.limits(), &mut connection).await,
        (Some(Action::Cancel(options)), _) => cancel::run(&options, &mut connection).await,
        (None, Some(options)) => ask::run(options, pace.limits(), &mut connection).await,
        // The parser has seen to it.
        (None, None) => bail!("give --subject or --all, and --from"),
    }
}

/// The subjects of these ids.
async fn find(connection: &mut PgConnection, subject_ids: &[SubjectId]) -> anyhow::Result<Vec<Subject>> {
    let mut found = Vec::with_capacity(subject_ids.len());
    for subject_id in subject_ids {
        found.push(subjects::find(connection, subject_id).await?);
    }
    Ok(found)
}

/// Those who take part, and were named if any were.
async fn participants(
    connection: &mut PgConnection,
    subject_ids: &[SubjectId],
) -> anyhow::Result<Vec<Subject>> {
    if subject_ids.is_empty() {
        let all = accounts::subjects(connection).await?;
        let active: Vec<Subject> = all.into_iter().filter(|subject| subject.active).collect();
        ensure!(
            !active.is_empty(),
            "nobody takes part in the study yet: `apollo-worker subjects list` shows all"
        );
        return Ok(active);
    }
    let named = find(connection, subject_ids).await?;
    if let Some(withdrawn) = named.iter().find(|subject| !subject.active) {
        bail!("{} has withdrawn: Garmin gives their data to nobody", withdrawn.subject_id);
    }
    Ok(named)
}

/// A number of ranges, in words.
fn ranges(count: u64) -> String {
    match count {
        1 => "1 range".to_owned(),
        count => format!("{} ranges", HumanCount(count)),
    }
}

/// Garmin's ids of subjects.
fn user_ids(subjects: Vec<Subject>) -> Vec<String> {
    subjects.into_iter().map(|subject| subject.user_id).collect()
}
