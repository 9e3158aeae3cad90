//! `apollo-worker tokens migrate`.

use crate::cli::garmin::{PaceOptions, PatientGarmin};
use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::garmin::{GarminError, Oauth1Token, Oauth2Tokens, UserToken};
use crate::store::token_exchange::{self, Due};
use crate::store::tokens::{self, NewToken, StoredToken};
use anyhow::ensure;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use apollo_shared::telemetry::with_causes;
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// How to migrate.
#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateOptions {
    #[command(flatten)]
    pace: PaceOptions,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(flatten)]
    garmin: GarminConfig,
}

/// Migrates, with a progress bar, and says what came of it.
pub(super) async fn run(options: MigrateOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let keyring = Keyring::new(&options.secrets)?;
    let mut connection = database::connect_to_seal(&options.database, &keyring).await?;
    let garmin = PatientGarmin::new(&options.garmin, &options.pace, stop.clone())?;
    ensure!(token_exchange::begin(&mut connection).await?, "another `tokens migrate` is at work");
    let mut migration = Migration { connection, keyring, garmin, report: Report::default() };
    let bar = output::bar(0, "tokens");
    let done = migration.run(&stop, &bar).await;
    bar.finish_and_clear();
    migration.report.print();
    done?;
    migration.report.conclude()
}

struct Migration {
    connection: PgConnection,
    keyring: Keyring,
    garmin: PatientGarmin,
    report: Report,
}

/// Why a token was not exchanged.
#[derive(Debug, thiserror::Error)]
enum NotExchanged {
    /// Garmin takes it for nothing any more.
    #[error("it has ended")]
    Ended,
    /// Garmin takes it for everything else.
    #[error(
        "Garmin refuses to exchange tokens that are good: it has to prepare the app for the migration first"
    )]
    NotPrepared,
    /// Garmin could not be asked.
    #[error(transparent)]
    Garmin(#[from] GarminError),
}

impl Migration {
    async fn run(&mut self, stop: &CancellationToken, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut before = i64::MAX;
        while let Some(due) = token_exchange::next_due(&mut self.connection, before).await? {
            let remaining = u64::try_from(due.remaining)?;
            if stop.is_cancelled() {
                self.report.left("it was stopped", remaining);
                break;
            }
            bar.set_length(bar.position() + remaining);
            before = due.token.id;
            self.take(due).await?;
            bar.inc(1);
        }
        Ok(())
    }

    async fn take(&mut self, due: Due) -> anyhow::Result<()> {
        let opened = due.token.open(&self.keyring).map(|credentials| UserToken::from(&credentials));
        let old = match opened {
            Ok(UserToken::Oauth1(old)) => old,
            Ok(UserToken::Oauth2 { .. }) => {
                self.report.left("what is stored is not of OAuth 1.0a", 1);
                return Ok(());
            }
            Err(error) => {
                self.report.left(&with_causes(&error), 1);
                return Ok(());
            }
        };
        match self.exchange(&old).await {
            Ok(new) => self.store(&due.token, &new.into()).await,
            Err(NotExchanged::Ended) => {
                tokens::mark_refused(&mut self.connection, due.token.id).await?;
                self.report.ended += 1;
                if tokens::of_user(&mut self.connection, &due.token.user_id).await?.is_empty() {
                    self.report.without_token.push(due.subject_id.unwrap_or(due.token.user_id));
                }
                Ok(())
            }
            // Then it refuses all the others too.
            Err(error @ NotExchanged::NotPrepared) if self.report.exchanged == 0 => Err(error.into()),
            Err(error) => {
                self.report.left(&with_causes(&error), 1);
                Ok(())
            }
        }
    }

    /// A refusal may be one of the exchange alone, for all users: whether the token has ended is told by another call.
    async fn exchange(&mut self, old: &Oauth1Token) -> Result<Oauth2Tokens, NotExchanged> {
        let exchanged = self.garmin.ask(async |garmin| garmin.exchange_oauth1_token(old).await).await;
        let Err(GarminError::Refused { .. }) = exchanged else { return Ok(exchanged?) };
        let token = UserToken::Oauth1(old.clone());
        match self.garmin.ask(async |garmin| garmin.permissions(&token).await).await {
            Ok(_) => Err(NotExchanged::NotPrepared),
            Err(GarminError::Refused { .. }) => Err(NotExchanged::Ended),
            Err(error) => Err(error.into()),
        }
    }

    async fn store(&mut self, old: &StoredToken, new: &NewToken) -> anyhow::Result<()> {
        let mut transaction = self.connection.begin().await?;
        let stored = token_exchange::exchanged(&mut transaction, &self.keyring, old, new).await?;
        transaction.commit().await?;
        self.report.exchanged += u64::from(stored);
        Ok(())
    }
}

/// What became of the tokens.
#[derive(Debug, Default)]
struct Report {
    exchanged: u64,
    ended: u64,
    /// Who has no token left: subjects, and users who are none.
    without_token: Vec<String>,
    /// How many are left, by the reason.
    left: BTreeMap<String, u64>,
}

impl Report {
    fn left(&mut self, reason: &str, count: u64) {
        *self.left.entry(reason.to_owned()).or_default() += count;
    }

    fn print(&self) {
        println!("{} exchanged, {} ended", HumanCount(self.exchanged), HumanCount(self.ended));
        if !self.without_token.is_empty() {
            println!(
                "without a token now, so that they must consent again: {}",
                self.without_token.join(", ")
            );
        }
        for (reason, count) in &self.left {
            println!("{} left: {reason}", HumanCount(*count));
        }
    }

    fn conclude(&self) -> anyhow::Result<()> {
        let left: u64 = self.left.values().sum();
        ensure!(left == 0, "{left} tokens are left: run `apollo-worker tokens migrate` again");
        Ok(())
    }
}
