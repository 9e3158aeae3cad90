//! Taking away what is stored about a user: what arrived when it must not be stored any more, or everything.
//!
//! In pages, each a transaction that looks at the user's standing again: a consent that is completed meanwhile is
//! obeyed too.

use super::accounts::{lock, lock_shared, user_digest};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;

/// Rows deleted in one transaction.
const PAGE: i64 = 1000;

/// What is to be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What was received after the user's consent had ended, and before it was given again.
    AfterConsent,
    /// Everything, if the user's consent has ended.
    Everything,
}

/// When it was received: later than one moment and before another, as far as they are given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(super) after: Option<OffsetDateTime>,
    pub(super) before: Option<OffsetDateTime>,
}

impl Span {
    /// Whenever.
    pub(crate) const fn everything() -> Self {
        Self { after: None, before: None }
    }
}

#[derive(sqlx::FromRow)]
struct Standing {
    active: bool,
    registered_at: Option<OffsetDateTime>,
    deregistered_at: Option<OffsetDateTime>,
}

impl Extent {
    fn span(self, standing: &Standing) -> Option<Span> {
        let Standing { active, registered_at, deregistered_at } = *standing;
        match self {
            Self::AfterConsent => {
                deregistered_at.map(|end| Span { after: Some(end), before: registered_at.filter(|_| active) })
            }
            Self::Everything => (!active).then_some(Span::everything()),
        }
    }
}

/// Begins a transaction that takes away a page of a user's data. `None` if nothing may be taken away (any more).
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn begin(
    pool: &PgPool,
    user_id: &str,
    extent: Extent,
) -> sqlx::Result<Option<(Transaction<'static, Postgres>, Span)>> {
    let mut transaction = pool.begin().await?;
    lock_shared(&mut transaction).await?;
    let standing: Option<Standing> = sqlx::query_as(
        "SELECT active, registered_at, deregistered_at FROM garmin_oauth.user_id WHERE user_id = $1",
    )
    .bind(user_id)
    .fetch_optional(&mut *transaction)
    .await?;
    Ok(standing.and_then(|standing| extent.span(&standing)).map(|span| (transaction, span)))
}

/// Deletes a page of the rows of a user in a table of summaries whose stored version was received in `span`. Returns
/// how many; 0 when there are none left.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn delete_rows(
    connection: &mut PgConnection,
    table: &str,
    user_id: &str,
    span: &Span,
) -> sqlx::Result<u64> {
    let sql = format!(
        "DELETE FROM garmin_wellness.{table}
         WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM garmin_wellness.{table}
             WHERE user_id = $1
               AND received_at > coalesce($2, '-infinity') AND received_at < coalesce($3, 'infinity')
             LIMIT {PAGE}
         ))"
    );
    let deleted = sqlx::query(AssertSqlSafe(sql))
        .bind(user_id)
        .bind(span.after)
        .bind(span.before)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// Notes that a user is to be erased: from now on nothing about them is stored, whenever it was received. False if
/// their consent has not ended.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn mark_erased(pool: &PgPool, user_id: &str) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let marked = sqlx::query(
        "INSERT INTO garmin_oauth.erased AS stored (user_digest, erased_at)
         SELECT $2, greatest(now(), registered_at + interval '1 microsecond')
         FROM garmin_oauth.user_id WHERE user_id = $1 AND NOT active
         ON CONFLICT (user_digest) DO UPDATE SET erased_at = greatest(stored.erased_at, excluded.erased_at)",
    )
    .bind(user_id)
    .bind(user_digest(user_id))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(marked.rows_affected() == 1)
}

/// Deletes who a subject is: consents that have begun, tokens, history asked for, the link and the user. Returns the
/// rows of each table, with the schema; nothing if the user has consented again.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn forget(
    pool: &PgPool,
    subject_id: &str,
    user_id: &str,
) -> sqlx::Result<Option<Vec<(&'static str, u64)>>> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let active: Option<bool> =
        sqlx::query_scalar("SELECT active FROM garmin_oauth.user_id WHERE user_id = $1")
            .bind(user_id)
            .fetch_optional(&mut *transaction)
            .await?;
    if active == Some(true) {
        return Ok(None);
    }
    let mut deleted = Vec::with_capacity(OF_SUBJECT.len());
    for (table, condition) in OF_SUBJECT {
        let delete = format!(
            "WITH who (subject_id, user_id) AS (VALUES ($1, $2)) DELETE FROM {table} USING who WHERE {condition}"
        );
        let delete = sqlx::query(AssertSqlSafe(delete)).bind(subject_id).bind(user_id);
        deleted.push((table, delete.execute(&mut *transaction).await?.rows_affected()));
    }
    transaction.commit().await?;
    Ok(Some(deleted))
}

/// What tells who a subject is, in the order in which it can be deleted.
const OF_SUBJECT: [(&str, &str); 7] = [
    ("garmin_oauth.request_token", "request_token.subject_id = who.subject_id"),
    ("garmin_oauth.access_token", "access_token.user_id = who.user_id"),
    ("garmin_pull.backfill", "backfill.user_id = who.user_id"),
    ("garmin_pull.backfill_minimum", "backfill_minimum.user_id = who.user_id"),
    ("garmin_pull.callback", "callback.user_id = who.user_id"),
    ("garmin_oauth.subject", "(subject.subject_id, subject.user_id) = (who.subject_id, who.user_id)"),
    ("garmin_oauth.user_id", "user_id.user_id = who.user_id"),
];
