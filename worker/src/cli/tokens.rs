//! `apollo-worker tokens`.

mod import;
mod list;
mod migrate;

use clap::Subcommand;

/// What to do about tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Shows how many tokens there are of each kind; never the tokens
    List(list::ListOptions),
    /// Takes over OAuth 1.0a tokens of an existing integration from CSV, and links their users with subjects
    ///
    /// The file has a header and the columns subject_id, user_id, token and token_secret, in any order. Where user_id
    /// is empty, Garmin is asked for it. The rules are those of a consent: a subject or an account that is linked
    /// otherwise already is left as it is, and reported. So are users who have withdrawn: they must consent again. It
    /// can be repeated, also with the same file.
    Import(Box<import::ImportOptions>),
    /// Exchanges OAuth 1.0a tokens for OAuth 2.0 ones at Garmin, for all users who have none yet
    ///
    /// Garmin retires OAuth 1.0a on 31 December 2026; before, it must have prepared the app for the migration. The old
    /// tokens go on working until then. It can be interrupted and repeated: what is done stays done. Exit code 1 if a
    /// token is left.
    Migrate(Box<migrate::MigrateOptions>),
}

/// Carries it out.
pub(super) async fn run(tokens: Tokens) -> anyhow::Result<()> {
    match tokens {
        Tokens::List(options) => list::run(options).await,
        Tokens::Import(options) => import::run(*options).await,
        Tokens::Migrate(options) => migrate::run(*options).await,
    }
}

/// The version of OAuth, as people call it.
pub(super) fn version(oauth_version: i16) -> &'static str {
    if oauth_version == 1 { "OAuth 1.0a" } else { "OAuth 2.0" }
}
