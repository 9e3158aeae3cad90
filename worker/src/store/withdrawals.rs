//! Whose data must not be stored (design.md, law 6).
//!
//! A batch asks for all of its users in one statement, inside of its transaction and under the lock of accounts, so
//! that nobody's consent ends between the answer and the commit. The same answer says who is not on record yet.

use super::accounts;
use super::error::StoreError;
use super::raw::instant;
use apollo_shared::envelope::Microseconds;
use sqlx::{Connection as _, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// A notification, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// When it came to Apollo.
    pub received_at: Microseconds,
    /// Whom its entries are about.
    pub user_ids: &'a BTreeSet<String>,
}

/// Users of a notification whose entries must not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The notification's place in its batch.
    pub place: usize,
    /// The users.
    pub user_ids: BTreeSet<String>,
}

/// What has to be done before a batch can be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// These must be taken out of it.
    Withdrawn(Vec<Withdrawn>),
    /// These have to be put on record.
    Unknown(Vec<String>),
}

/// What is known of a user who is not simply on record with a consent that never ended.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Standing {
    user_id: String,
    on_record: bool,
    active: Option<bool>,
    registered_at: Option<OffsetDateTime>,
    deregistered_at: Option<OffsetDateTime>,
    erased_at: Option<OffsetDateTime>,
}

impl Standing {
    /// Whether what was received at `moment` must not be stored: after the end of a consent and before the next one,
    /// or before a consent that is newer than the user's erasure.
    fn forbids(&self, moment: OffsetDateTime) -> bool {
        let again = self.registered_at.filter(|_| self.active == Some(true));
        let after_the_end = self.deregistered_at.is_some_and(|end| moment > end)
            && again.is_none_or(|registered_at| moment < registered_at);
        let erased = self.erased_at.is_some_and(|erased_at| {
            !self
                .registered_at
                .is_some_and(|registered_at| erased_at <= registered_at && registered_at <= moment)
        });
        after_the_end || erased
    }
}

/// Looks what hinders a batch; `of_rows` are the users whose rows it holds. To be called in the transaction that
/// stores it.
pub(super) async fn hindrance(
    connection: &mut PgConnection,
    present: &[Present<'_>],
    of_rows: &BTreeSet<&str>,
) -> Result<Option<Hindrance>, StoreError> {
    accounts::lock_shared(&mut *connection).await?;
    let user_ids: BTreeSet<&str> = present
        .iter()
        .flat_map(|it| it.user_ids)
        .map(String::as_str)
        .chain(of_rows.iter().copied())
        .collect();
    if user_ids.is_empty() {
        return Ok(None);
    }
    let user_ids: Vec<&str> = user_ids.into_iter().collect();
    Ok(judge(standings(connection, &user_ids).await?, present, of_rows))
}

/// Of these users those who are not simply on record with a consent that never ended.
async fn standings(connection: &mut PgConnection, user_ids: &[&str]) -> Result<Vec<Standing>, StoreError> {
    let standings = sqlx::query_as(
        "SELECT present.user_id, stored.user_id IS NOT NULL AS on_record,
                stored.active, stored.registered_at, stored.deregistered_at, erased.erased_at
         FROM unnest($1::text[]) AS present (user_id)
         LEFT JOIN garmin_oauth.user_id AS stored ON stored.user_id = present.user_id
         LEFT JOIN garmin_oauth.erased ON user_digest = sha256(convert_to(present.user_id, 'UTF8'))
         WHERE stored.user_id IS NULL OR stored.deregistered_at IS NOT NULL OR erased.user_digest IS NOT NULL",
    )
    .bind(user_ids)
    .fetch_all(connection)
    .await?;
    Ok(standings)
}

/// Whether what came about a user at one of these moments must not be stored.
///
/// # Errors
/// See [`StoreError`].
pub async fn forbids(
    connection: &mut PgConnection,
    user_id: &str,
    moments: &[Microseconds],
) -> Result<bool, StoreError> {
    let standings = standings(connection, &[user_id]).await?;
    let forbids = |standing: &Standing| moments.iter().any(|moment| standing.forbids(instant(*moment)));
    Ok(standings.first().is_some_and(forbids))
}

fn judge(standings: Vec<Standing>, present: &[Present<'_>], of_rows: &BTreeSet<&str>) -> Option<Hindrance> {
    let by_user: BTreeMap<&str, &Standing> = standings.iter().map(|it| (it.user_id.as_str(), it)).collect();
    let withdrawn = present.iter().enumerate().filter_map(|(place, present)| {
        let moment = instant(present.received_at);
        let forbidden = |user: &&String| by_user.get(user.as_str()).is_some_and(|it| it.forbids(moment));
        let user_ids: BTreeSet<String> = present.user_ids.iter().filter(forbidden).cloned().collect();
        (!user_ids.is_empty()).then_some(Withdrawn { place, user_ids })
    });
    let withdrawn: Vec<Withdrawn> = withdrawn.collect();
    if !withdrawn.is_empty() {
        return Some(Hindrance::Withdrawn(withdrawn));
    }
    let unknown = standings.iter().filter(|it| !it.on_record && of_rows.contains(it.user_id.as_str()));
    let unknown: Vec<String> = unknown.map(|it| it.user_id.clone()).collect();
    (!unknown.is_empty()).then_some(Hindrance::Unknown(unknown))
}

/// A user whose data comes before a consent is known is put on record now (design.md section 5); one who was erased
/// is not. In a transaction of its own: others that bring data of the same user would wait for the end of a batch's.
pub(super) async fn put_on_record(
    connection: &mut PgConnection,
    user_ids: Vec<String>,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    accounts::lock_shared(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO garmin_oauth.user_id (user_id)
         SELECT present.user_id FROM unnest($1::text[]) AS present (user_id)
         WHERE NOT EXISTS (
             SELECT FROM garmin_oauth.erased WHERE user_digest = sha256(convert_to(present.user_id, 'UTF8'))
         )
         ON CONFLICT DO NOTHING",
    )
    .bind(user_ids)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn standing(active: bool, registered: Option<i64>, ended: Option<i64>, erased: Option<i64>) -> Standing {
        Standing {
            user_id: "u".to_owned(),
            on_record: true,
            active: Some(active),
            registered_at: registered.map(at),
            deregistered_at: ended.map(at),
            erased_at: erased.map(at),
        }
    }

    fn forbidden(standing: &Standing) -> Vec<i64> {
        (0..10).filter(|moment| standing.forbids(at(*moment))).collect()
    }

    #[test]
    fn what_was_received_later_than_the_end_is_forbidden_until_the_next_consent() {
        assert_eq!(forbidden(&standing(true, Some(3), None, None)), [0; 0]);
        assert_eq!(forbidden(&standing(false, Some(3), Some(7), None)), [8, 9]);
        assert_eq!(forbidden(&standing(false, None, Some(7), None)), [8, 9]);
        assert_eq!(forbidden(&standing(true, Some(8), Some(5), None)), [6, 7]);
        assert_eq!(forbidden(&standing(true, Some(2), Some(7), None)), [0; 0]);
    }

    #[test]
    fn of_who_was_erased_everything_is_forbidden_until_a_newer_consent() {
        assert_eq!(forbidden(&standing(false, Some(1), Some(3), Some(4))).len(), 10);
        assert_eq!(forbidden(&standing(true, Some(6), None, Some(4))), [0, 1, 2, 3, 4, 5]);
        assert_eq!(forbidden(&standing(false, Some(6), Some(8), Some(4))), [0, 1, 2, 3, 4, 5, 9]);
        let gone = Standing { on_record: false, active: None, ..standing(false, None, None, Some(4)) };
        assert_eq!(forbidden(&gone).len(), 10);
    }

    #[test]
    fn only_users_with_rows_are_put_on_record_and_only_when_nobody_is_taken_out() {
        let users = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        let (first, second) = (users(&["new", "malformed"]), users(&["u"]));
        let present = [(0, &first), (8_000_000, &second)]
            .map(|(received_at, user_ids)| Present { received_at: Microseconds(received_at), user_ids });
        let unknown = |user_id: &str| Standing {
            user_id: user_id.to_owned(),
            on_record: false,
            active: None,
            ..standing(false, None, None, None)
        };
        let mut standings = vec![unknown("new"), unknown("malformed")];
        let of_rows = BTreeSet::from(["new", "u"]);
        let found = judge(standings.clone(), &present, &of_rows);
        assert_eq!(found, Some(Hindrance::Unknown(vec!["new".to_owned()])));
        standings.push(standing(false, None, Some(7), None));
        let found = judge(standings, &present, &of_rows);
        assert_eq!(found, Some(Hindrance::Withdrawn(vec![Withdrawn { place: 1, user_ids: second }])));
    }
}
