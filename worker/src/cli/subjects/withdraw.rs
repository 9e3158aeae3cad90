//! `apollo-worker subjects withdraw`.
//!
//! Garmin comes first: if it has been told and the rest fails, telling it again does no harm, whereas a user who is
//! withdrawn here would go on sending data if nobody told Garmin.

use crate::account::AccountError;
use crate::account::tokens::Tokens;
use crate::cli::{confirm, database, output};
use crate::config::DatabaseConfig;
use crate::garmin::{GarminClient, GarminError};
use crate::metrics::Metrics;
use crate::store::accounts::Subject;
use crate::store::tokens::StoredToken;
use crate::store::{self, accounts, tokens};
use crate::summaries::Registry;
use crate::withdrawal::Withdrawal;
use anyhow::Context as _;
use apollo_shared::consent::SubjectId;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use clap::Args;
use sqlx::PgPool;
use std::sync::Arc;
use time::OffsetDateTime;

/// Who withdraws.
#[derive(Debug, Args)]
pub(in crate::cli) struct WithdrawOptions {
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
    #[command(flatten)]
    garmin: GarminConfig,
}

/// Asks back, withdraws, and says what came of it.
pub(super) async fn run(options: WithdrawOptions) -> anyhow::Result<()> {
    let subject_id = &options.subject;
    let keyring = Arc::new(Keyring::new(&options.secrets)?);
    let mut connection = database::connect_to_seal(&options.database, &keyring).await?;
    let subject = super::find(&mut connection, subject_id).await?;
    let pool =
        store::pool(store::connect_options(&options.database.url)?, options.database.max_connections.get());
    let withdrawal = Withdrawal::new(pool.clone(), Arc::clone(&keyring), Arc::new(Registry::new()))?;
    if !subject.active {
        println!("{subject_id} has withdrawn already, as of {}", output::moment(subject.deregistered_at));
        return purge(&withdrawal, &subject).await;
    }
    let metrics = Arc::new(Metrics::new()?);
    let garmin = GarminClient::new(&options.garmin, Arc::clone(&metrics))?.map(Arc::new);
    let tokens = Tokens { pool, keyring, garmin, metrics };

    confirm::yes(&format!("Withdraw {subject_id} from the study?"), options.yes)?;
    let asked_at = OffsetDateTime::now_utc();
    let at_garmin = end_at_garmin(&tokens, &subject.user_id)
        .await
        .context("Garmin could not be told, so nothing was changed")?;
    println!("{}", at_garmin.told());

    let since = note(&tokens.pool, &subject.user_id, asked_at).await.with_context(|| {
        format!("the withdrawal is not noted yet: run `apollo-worker subjects withdraw {subject_id}` again")
    })?;
    println!(
        "{subject_id} has withdrawn as of {}: what is received later is not stored",
        output::moment(since)
    );
    purge(&withdrawal, &subject).await
}

/// What arrived while Garmin was being told, or after a withdrawal whose purge was interrupted, is taken away again.
async fn purge(withdrawal: &Withdrawal, subject: &Subject) -> anyhow::Result<()> {
    let subject_id = &subject.subject_id;
    withdrawal.purge(&subject.user_id, &shutdown::on_signal()?).await.with_context(|| {
        format!(
            "what was stored since then is not taken away yet: run `apollo-worker subjects withdraw {subject_id}` again"
        )
    })?;
    Ok(())
}

/// Returns since when the user counts as withdrawn.
async fn note(
    pool: &PgPool,
    user_id: &str,
    asked_at: OffsetDateTime,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let mut transaction = pool.begin().await?;
    let since = accounts::deregister(&mut transaction, user_id, asked_at).await?;
    transaction.commit().await?;
    Ok(since)
}

/// What there was to end at Garmin.
enum AtGarmin {
    Ended,
    EndedBefore,
    NoToken,
}

impl AtGarmin {
    const fn told(&self) -> &'static str {
        match self {
            Self::Ended => "Garmin has ended the registration",
            Self::EndedBefore => {
                "Garmin had ended the registration before: it takes none of the tokens any more"
            }
            Self::NoToken => {
                "no usable token is held, so Garmin cannot be told: the participant must disconnect the study in Garmin \
                 Connect, or Garmin goes on sending"
            }
        }
    }
}

/// Ends the registration with the first token that Garmin takes; it ends all of them.
async fn end_at_garmin(tokens: &Tokens, user_id: &str) -> anyhow::Result<AtGarmin> {
    let held = tokens::of_user(&mut *tokens.pool.acquire().await?, user_id).await?;
    let nothing_to_end = if held.is_empty() { AtGarmin::NoToken } else { AtGarmin::EndedBefore };
    let mut failure = None;
    for token in held {
        match delete_registration(tokens, &token).await {
            Ok(()) => return Ok(AtGarmin::Ended),
            Err(AccountError::Garmin(GarminError::Refused { .. } | GarminError::Rejected { .. })) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(nothing_to_end),
    }
}

async fn delete_registration(tokens: &Tokens, token: &StoredToken) -> Result<(), AccountError> {
    let garmin = tokens.garmin.as_ref().ok_or(AccountError::NotConfigured)?;
    Ok(garmin.delete_registration(&tokens.usable(token).await?).await?)
}
