//! What operators are told about tokens and about a subject's data.

use super::files;
use crate::summaries::Registry;
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;

/// How many tokens of a kind there are.
#[derive(Debug, sqlx::FromRow)]
pub struct TokenCount {
    /// 1 or 2.
    pub oauth_version: i16,
    /// `usable`, `exchanged` (an OAuth 1.0a token beside which an OAuth 2.0 one was got), `expired` (an OAuth 2.0 token
    /// that cannot be renewed any more) or `refused` (by Garmin).
    pub state: String,
    /// How many.
    pub tokens: i64,
    /// Of how many users.
    pub users: i64,
}

/// A token of a user, without its secrets.
#[derive(Debug, sqlx::FromRow)]
pub struct TokenState {
    /// 1 or 2.
    pub oauth_version: i16,
    /// As of [`TokenCount`].
    pub state: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
    /// OAuth 2.0: when the access token ends.
    pub expires_at: Option<OffsetDateTime>,
    /// OAuth 2.0: until when it can be renewed.
    pub refresh_expires_at: Option<OffsetDateTime>,
}

/// What a table holds of a user.
#[derive(Debug, sqlx::FromRow)]
pub struct TableCount {
    /// The table, in the schema `garmin_wellness`.
    pub table: String,
    /// Its rows.
    pub rows: i64,
    /// When the newest of them arrived.
    pub newest_received_at: Option<OffsetDateTime>,
}

/// What Garmin has refused to give for a user.
#[derive(Debug, sqlx::FromRow)]
pub struct Refusal {
    /// The key under which it comes in notifications.
    pub summary_type: String,
    /// 403, or 412 for a permission that is missing.
    pub status: i16,
    /// How often, in the last 30 days.
    pub count: i64,
    /// The last time.
    pub last_at: OffsetDateTime,
}

/// What pings have announced and the user does not permit.
///
/// # Errors
/// PostgreSQL's.
pub async fn refusals_of_user(connection: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<Refusal>> {
    sqlx::query_as(
        "SELECT summary_type, status, count(*) AS count, max(settled_at) AS last_at FROM garmin_pull.callback
         WHERE user_id = $1 AND state = 'not_permitted' GROUP BY summary_type, status ORDER BY summary_type, status",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// The state of each token.
macro_rules! token_states {
    ($select:literal) => {
        concat!(
            "WITH token AS (
                 SELECT *, CASE
                     WHEN refused_at IS NOT NULL THEN 'refused'
                     WHEN exchanged_at IS NOT NULL THEN 'exchanged'
                     WHEN refresh_expires_at <= now() THEN 'expired'
                     ELSE 'usable'
                 END AS state
                 FROM garmin_oauth.access_token) ",
            $select
        )
    };
}

/// All tokens by version and state.
///
/// # Errors
/// PostgreSQL's.
pub async fn token_counts(connection: &mut PgConnection) -> sqlx::Result<Vec<TokenCount>> {
    sqlx::query_as(token_states!(
        "SELECT oauth_version, state, count(*) AS tokens, count(DISTINCT user_id) AS users FROM token
         GROUP BY oauth_version, state ORDER BY oauth_version, state DESC"
    ))
    .fetch_all(connection)
    .await
}

/// A user's tokens, the newest first.
///
/// # Errors
/// PostgreSQL's.
pub async fn tokens_of_user(connection: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<TokenState>> {
    sqlx::query_as(token_states!(
        "SELECT oauth_version, state, created_at, expires_at, refresh_expires_at FROM token
         WHERE user_id = $1 ORDER BY id DESC"
    ))
    .bind(user_id)
    .fetch_all(connection)
    .await
}

/// What the tables of summaries hold of a user; tables without a row of theirs are left out.
///
/// # Errors
/// PostgreSQL's.
pub async fn rows_of_user(
    connection: &mut PgConnection,
    registry: &Registry,
    user_id: &str,
) -> sqlx::Result<Vec<TableCount>> {
    let of_table = |table: &str| {
        format!(
            "SELECT '{table}' AS table, count(*) AS rows, max(received_at) AS newest_received_at
             FROM garmin_wellness.{table} WHERE user_id = $1 HAVING count(*) > 0"
        )
    };
    let of_summaries = registry.tables().iter().map(|table| table.summary_type.table);
    let of_tables: Vec<String> = of_summaries.chain([files::TABLE]).map(of_table).collect();
    // The names of tables are constants.
    let query = AssertSqlSafe(of_tables.join(" UNION ALL "));
    sqlx::query_as(query).bind(user_id).fetch_all(connection).await
}
