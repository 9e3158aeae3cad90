//! `apollo-worker backfill cancel`.

use super::{find, ranges, user_ids};
use crate::backfill::{BackfillKind, State};
use crate::store::backfill::{End, Scope, settle_all};
use apollo_shared::consent::SubjectId;
use clap::Args;
use sqlx::PgConnection;

/// What to give up.
#[derive(Debug, Args)]
pub(super) struct CancelOptions {
    /// Only what was to be asked for of this participant; may be given several times
    #[arg(long = "subject", value_name = "SUBJECT", value_parser = SubjectId::parse)]
    subjects: Vec<SubjectId>,
    /// Only these types, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = BackfillKind::parse)]
    types: Vec<&'static BackfillKind>,
}

/// Gives it up, and says how much it was.
pub(super) async fn run(options: &CancelOptions, connection: &mut PgConnection) -> anyhow::Result<()> {
    let user_ids = user_ids(find(connection, &options.subjects).await?);
    let users = each_or_all(user_ids.iter().map(String::as_str));
    let types = each_or_all(options.types.iter().map(|kind| kind.key));
    let end = End { state: State::Cancelled, status: None, error: None };
    let mut cancelled = 0;
    for &user_id in &users {
        for &summary_type in &types {
            cancelled += settle_all(connection, Scope { user_id, summary_type }, &end).await?;
        }
    }
    println!("{} cancelled", ranges(cancelled));
    Ok(())
}

/// Each that is named; if none is, all at once.
fn each_or_all<'a>(named: impl Iterator<Item = &'a str>) -> Vec<Option<&'a str>> {
    let named: Vec<_> = named.map(Some).collect();
    if named.is_empty() { vec![None] } else { named }
}
