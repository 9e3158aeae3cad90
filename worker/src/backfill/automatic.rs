//! What a consent, or a permission that is given later, does for history.
//!
//! What an operator asked for and could not be had is asked for again, as far as it is permitted now. And with
//! `GARMIN__BACKFILL_DAYS`, so many days before the link are asked for of every new participant.

use super::{BackfillKind, KINDS, Range, State};
use crate::store::backfill::{self as store, Participant, Wanted};
use sqlx::PgConnection;
use time::Duration;

/// Garmin's name of the permission to send history; off by default on its consent page.
const HISTORY: &str = "HISTORICAL_DATA_EXPORT";

/// What was asked for in vain, and may be had by a new consent or permission.
const AGAIN: [State; 2] = [State::NoConsent, State::NotPermitted];

/// To be called when a user has consented, or their permissions have changed, and that is on record. Repeating it changes
/// nothing: what has been asked for is not asked for again. `days` is the setting, 0 for none.
///
/// # Errors
/// PostgreSQL's. To be called in a transaction.
pub async fn permitted(connection: &mut PgConnection, user_id: &str, days: u16) -> sqlx::Result<()> {
    let Some(participant) = store::participant(&mut *connection, user_id).await? else { return Ok(()) };
    if !permits(&participant, HISTORY) {
        return Ok(());
    }
    let kinds: Vec<&'static BackfillKind> =
        KINDS.iter().filter(|kind| permits(&participant, kind.permission())).collect();
    let user_ids = [user_id.to_owned()];
    let wanted = |range| Wanted { user_ids: &user_ids, kinds: &kinds, range, again: &AGAIN };
    store::ask_again(&mut *connection, &wanted(Range::EVER)).await?;
    let Some(linked_at) = participant.registered_at.filter(|_| days > 0) else { return Ok(()) };
    let ends_at = linked_at.truncate_to_second();
    let range = Range { starts_at: ends_at - Duration::days(days.into()), ends_at };
    let stored = store::want(connection, &wanted(range)).await?;
    if stored.new > 0 {
        tracing::info!("{} ranges of history are asked for of a participant", stored.new);
    }
    Ok(())
}

/// What is not known to be refused is worth a try: Garmin's first refusal ends it.
fn permits(participant: &Participant, name: &str) -> bool {
    let given = participant.permissions.as_ref();
    given.is_none_or(|permissions| permissions.iter().any(|permission| permission == name))
}
