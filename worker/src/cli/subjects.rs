//! `apollo-worker subjects`.

mod erase;
mod list;
mod show;
mod withdraw;

use crate::store::accounts::{self, Subject};
use anyhow::Context as _;
use apollo_shared::consent::SubjectId;
use clap::Subcommand;
use sqlx::PgConnection;

/// What to do about subjects.
#[derive(Debug, Subcommand)]
pub(super) enum Subjects {
    /// Shows all subjects, with the Garmin users they are linked with
    List(list::ListOptions),
    /// Shows what is known and stored of one subject
    Show(show::ShowOptions),
    /// Ends a subject's participation: at Garmin, and here
    ///
    /// Garmin is asked to end the registration, the tokens are deleted, and nothing that is received from then on is
    /// stored. What is stored already stays. A new consent of the participant makes the subject active again. If Garmin
    /// cannot be told, nothing is changed.
    Withdraw(Box<withdraw::WithdrawOptions>),
    /// Removes everything that is stored of a subject who has withdrawn
    ///
    /// Every row of the subject and of the Garmin user behind it goes: summaries, activity files, what notifications as received hold
    /// of them, consents, tokens, the link and the user. What still arrives about them is not stored, until they
    /// consent again. Backups keep what they hold. It may be interrupted, and is then finished by another run.
    Erase(Box<erase::EraseOptions>),
}

/// Carries it out.
pub(super) async fn run(subjects: Subjects) -> anyhow::Result<()> {
    match subjects {
        Subjects::List(options) => list::run(options).await,
        Subjects::Show(options) => show::run(options).await,
        Subjects::Withdraw(options) => withdraw::run(*options).await,
        Subjects::Erase(options) => erase::run(*options).await,
    }
}

/// A subject that somebody has named.
pub(super) async fn find(connection: &mut PgConnection, subject_id: &SubjectId) -> anyhow::Result<Subject> {
    let found = accounts::subject(connection, subject_id.as_str()).await?;
    found.with_context(|| {
        format!(
            "no account is linked with {subject_id:?}: `apollo-worker subjects list` shows all that are",
            subject_id = subject_id.as_str()
        )
    })
}

/// Whether a subject's data is being stored, and Garmin can be asked for more.
fn state(subject: &Subject) -> &'static str {
    match subject {
        Subject { active: false, .. } => "withdrawn",
        Subject { needs_consent: true, .. } => "needs consent",
        Subject { .. } => "active",
    }
}
