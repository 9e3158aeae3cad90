//! `apollo-worker backfill --subject … --from …`.

use super::{participants, ranges, status, user_ids};
use crate::backfill::{BackfillKind, KINDS, Range, State};
use crate::cli::input::moment;
use crate::cli::output;
use crate::pace::Limits;
use crate::store::backfill::overview::{self, Progress};
use crate::store::backfill::{Stored, Wanted, want};
use anyhow::{Context as _, ensure};
use apollo_shared::consent::SubjectId;
use apollo_shared::shutdown;
use clap::Args;
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often the progress bar looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For how long nothing may happen before that is told: longer than the limits hold anything up.
const PATIENCE: Duration = Duration::from_secs(150);
const NOTHING_HAPPENS: &str = "nothing was asked for of late: is a worker with the lane pull running? \
                               `apollo-worker backfill status` tells what waits, and why";

/// States that asking anew is meant to change.
const AGAIN: [State; 6] = [
    State::Failed,
    State::Cancelled,
    State::NotPermitted,
    State::NotEnabled,
    State::BeforeMinimum,
    State::NoConsent,
];

/// What to ask for.
#[derive(Debug, Args)]
pub(super) struct AskOptions {
    /// A participant whose history to ask for; may be given several times
    #[arg(long = "subject", value_name = "SUBJECT", value_parser = SubjectId::parse, required_unless_present = "all")]
    subjects: Vec<SubjectId>,
    /// Everybody who takes part
    #[arg(long, conflicts_with = "subjects")]
    all: bool,
    /// What to ask for, separated by commas, such as dailies,sleeps [default: all that Garmin has the history of]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = BackfillKind::parse)]
    types: Vec<&'static BackfillKind>,
    /// The first moment of recording: a day (2026-05-01, from midnight UTC) or a moment (2026-05-01T18:30:00Z)
    #[arg(long, value_parser = moment)]
    from: OffsetDateTime,
    /// The first moment that is no longer asked for [default: the last full hour]
    #[arg(long, value_parser = moment)]
    to: Option<OffsetDateTime>,
    /// Does not wait until it is done
    #[arg(long)]
    detach: bool,
}

/// Stores what is to be asked for; shows how the workers get on with it.
pub(super) async fn run(
    options: AskOptions,
    limits: Limits,
    connection: &mut PgConnection,
) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let now = OffsetDateTime::now_utc();
    let ends_at = options.to.unwrap_or_else(|| now.truncate_to_hour());
    ensure!(options.from < ends_at, "--from ({}) must be before --to ({ends_at})", options.from);
    ensure!(
        ends_at <= now,
        "--to ({ends_at}) must not be in the future: what is still to come is sent by itself"
    );
    let range = Range { starts_at: options.from.truncate_to_second(), ends_at: ends_at.truncate_to_second() };
    let kinds: Vec<_> = if options.types.is_empty() { KINDS.iter().collect() } else { options.types };
    let user_ids = user_ids(participants(connection, &options.subjects).await?);

    let mut transaction = connection.begin().await?;
    let wanted = Wanted { user_ids: &user_ids, kinds: &kinds, range, again: &AGAIN };
    let stored = want(&mut transaction, &wanted).await?;
    transaction.commit().await?;
    println!("{}", told(stored));
    if options.detach {
        println!("`apollo-worker backfill status` shows how far it is");
        return Ok(());
    }

    let followed = follow(&mut *connection, &user_ids, &kinds, range, &stop).await;
    let Some(progress) = followed.context("not followed any further, but the workers go on with it")? else {
        println!("the workers go on with it: `apollo-worker backfill status` shows how far they are");
        return Ok(());
    };
    status::print(connection, Some(&user_ids), limits).await?;
    let failed = progress.failed.unsigned_abs();
    ensure!(failed == 0, "failed: {}, for the reasons above", ranges(failed));
    Ok(())
}

/// Shows a progress bar until nothing of what is wanted waits any more. `None` if `stop` came first.
async fn follow(
    connection: &mut PgConnection,
    user_ids: &[String],
    kinds: &[&'static BackfillKind],
    range: Range,
    stop: &CancellationToken,
) -> sqlx::Result<Option<Progress>> {
    let bar = output::bar(0, "ranges");
    let (mut settled, mut last_change) = (0, Instant::now());
    loop {
        let progress = overview::progress(&mut *connection, user_ids, kinds, range).await?;
        bar.set_length(progress.total.unsigned_abs());
        bar.set_position(progress.settled.unsigned_abs());
        if progress.settled == progress.total {
            bar.finish_and_clear();
            return Ok(Some(progress));
        }
        if progress.settled != settled {
            (settled, last_change) = (progress.settled, Instant::now());
        } else if last_change.elapsed() > PATIENCE {
            bar.suspend(|| eprintln!("{NOTHING_HAPPENS}"));
            last_change = Instant::now();
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            bar.finish_and_clear();
            return Ok(None);
        }
    }
}

fn told(stored: Stored) -> String {
    match stored {
        Stored { new: 0, again: 0 } => "all of it has been asked for before".to_owned(),
        Stored { new, again: 0 } => format!("{} to be asked for", ranges(new)),
        Stored { new, again } => format!("{} to be asked for, {again} of them anew", ranges(new + again)),
    }
}
