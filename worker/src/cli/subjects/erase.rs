//! `apollo-worker subjects erase`.

use crate::cli::{confirm, database, output};
use crate::config::DatabaseConfig;
use crate::store;
use crate::summaries::Registry;
use crate::withdrawal::{Removed, Withdrawal};
use anyhow::{Context as _, ensure};
use apollo_shared::consent::SubjectId;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;
use std::sync::Arc;

/// Who is to be erased.
#[derive(Debug, Args)]
pub(in crate::cli) struct EraseOptions {
    /// The study's name for the participant
    #[arg(value_parser = SubjectId::parse)]
    subject: SubjectId,
    /// Does not ask back; for scripts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
}

/// Asks back, erases with a progress bar, and says what was removed.
pub(super) async fn run(options: EraseOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let subject_id = options.subject.as_str();
    let keyring = Arc::new(Keyring::new(&options.secrets)?);
    let mut connection = database::connect_to_seal(&options.database, &keyring).await?;
    let subject = super::find(&mut connection, &options.subject).await?;
    ensure!(
        !subject.active,
        "{subject_id} takes part in the study: run `apollo-worker subjects withdraw {subject_id}` first"
    );
    let pool =
        store::pool(store::connect_options(&options.database.url)?, options.database.max_connections.get());
    let withdrawal = Withdrawal::new(pool, keyring, Arc::new(Registry::new()))?;

    let question = format!("Everything that is stored of {subject_id} will be removed for good.");
    confirm::typed(&question, subject_id, options.yes)?;
    let bar = output::bar(withdrawal.count(&subject.user_id).await?, "notifications");
    let erased = withdrawal
        .erase(subject_id, &subject.user_id, &stop, |notifications| bar.inc(notifications))
        .await
        .with_context(|| {
            format!("{subject_id} is not erased yet: run `apollo-worker subjects erase {subject_id}` again")
        });
    bar.finish_and_clear();
    Ok(output::print(report(subject_id, &erased?).as_bytes())?)
}

/// What was removed, and what was not looked at.
fn report(subject_id: &str, removed: &Removed) -> String {
    let notifications = [
        ("garmin_raw.notification, whole", removed.notifications_deleted),
        ("garmin_raw.notification, its part of", removed.notifications_changed),
    ];
    let rows = removed.rows.iter().map(|(table, rows)| (table.as_str(), *rows));
    let rows = rows.chain(notifications.into_iter().filter(|(_, count)| *count > 0));
    let rows: Vec<Vec<String>> =
        rows.map(|(table, count)| vec![table.to_owned(), HumanCount(count).to_string()]).collect();
    format!(
        "{}{subject_id} is erased. Not searched: the queue apollo.dead, where malformed entries wait that came in \
         before, and your backups.\n",
        output::table(&["REMOVED FROM", "ROWS"], &rows)
    )
}
