//! A change of what a user lets Garmin send. It can be forged, so where a token is held Garmin is asked what holds.

use super::entries::{Entry, user_id};
use super::tokens::Verdict;
use super::{AccountError, AccountHandler, Event};
use crate::backfill::automatic;
use crate::garmin::permissions;
use crate::store::{self, accounts};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

/// An entry of `userPermissionsChange`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PermissionChange {
    #[serde(deserialize_with = "user_id")]
    user_id: String,
    /// The full set after the change, in one of the shapes that have been seen.
    #[serde(deserialize_with = "any_shape")]
    permissions: Vec<String>,
    /// Unix seconds.
    #[serde(default)]
    change_time_in_seconds: Option<i64>,
}

fn any_shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    permissions::read(&value).ok_or_else(|| D::Error::custom("permissions are no list of names"))
}

impl Entry for PermissionChange {
    const KEY: &'static str = "\"userPermissionsChange\"";

    async fn settle(self, handler: &AccountHandler, received_at: OffsetDateTime) -> Result<(), AccountError> {
        let held = handler.tokens.of_user(&self.user_id).await?;
        let (permissions, outcome) = match held.first() {
            None => (self.permissions, "believed"),
            Some(token) => match handler.tokens.try_out(token).await? {
                Verdict::Lives(permissions) => (permissions, "confirmed"),
                Verdict::Ended => {
                    // Only a deregistration ends a consent; it is on its way, or this is no word of Garmin's.
                    handler.metrics.account(Event::Permissions, "refused");
                    return Ok(());
                }
            },
        };
        let changed_at = self
            .change_time_in_seconds
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .map_or(received_at, |changed_at| changed_at.min(received_at));
        let keep = async |connection: &mut PgConnection| {
            accounts::set_permissions(connection, &self.user_id, &permissions, changed_at).await?;
            let mut transaction = connection.begin().await?;
            automatic::permitted(&mut transaction, &self.user_id, handler.backfill_days).await?;
            transaction.commit().await
        };
        store::ask(&handler.pool, keep).await?;
        handler.metrics.account(Event::Permissions, outcome);
        Ok(())
    }
}
