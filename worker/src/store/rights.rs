//! The rights of the role that serves: granted by `migrate`, checked before serving.
//!
//! The role of the workers owns nothing: it reads and writes rows, and calls the functions that keep the partitions. Its
//! rights are granted by the program that migrates, after every migration, because what an operator has to run by hand
//! is forgotten one day.

use sqlx::{AssertSqlSafe, PgConnection};

/// The rights that serving needs and the role `$1` lacks, in the order in which they are of use.
///
/// A partition is reached by its table, and a view by researchers only.
const MISSING: &str = "
SELECT kind, name, privilege FROM (
    SELECT 1, 'DATABASE', quote_ident(current_database()), privilege,
        has_database_privilege($1::name, current_database(), privilege)
    FROM unnest('{CONNECT,TEMPORARY}'::text[]) AS privilege
    UNION ALL
    SELECT 2, 'SCHEMA', quote_ident(nspname), 'USAGE', has_schema_privilege($1::name, oid, 'USAGE')
    FROM pg_namespace WHERE nspname IN ('garmin_oauth', 'garmin_pull', 'garmin_raw', 'garmin_wellness')
    UNION ALL
    SELECT 3, 'TABLE', oid::regclass::text, privilege, has_table_privilege($1::name, oid, privilege)
    FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS privilege
    WHERE relnamespace::regnamespace::text IN ('garmin_oauth', 'garmin_pull', 'garmin_raw', 'garmin_wellness')
        AND relkind IN ('r', 'p') AND NOT relispartition
    UNION ALL
    SELECT 4, 'TABLE', oid::regclass::text, 'SELECT', has_table_privilege($1::name, oid, 'SELECT')
    FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')
    UNION ALL
    SELECT 5, 'FUNCTION', oid::regprocedure::text, 'EXECUTE', has_function_privilege($1::name, oid, 'EXECUTE')
    FROM pg_proc WHERE pronamespace::regnamespace::text = 'garmin_raw'
) AS needed (place, kind, name, privilege, held)
WHERE NOT held
ORDER BY place, name, privilege";

/// A right that a role lacks.
#[derive(Debug, sqlx::FromRow)]
pub struct MissingRight {
    /// `DATABASE`, `SCHEMA`, `TABLE` or `FUNCTION`.
    pub kind: String,
    /// The object, as SQL writes it.
    pub name: String,
    /// Such as `INSERT`.
    pub privilege: String,
}

/// What the connection's own role lacks for serving.
pub(super) async fn first_missing(connection: &mut PgConnection) -> sqlx::Result<Option<MissingRight>> {
    let role: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut *connection).await?;
    Ok(missing(connection, &role).await?.into_iter().next())
}

/// Grants `role` what it lacks, if there is such a role. Within a transaction that nobody else grants beside.
pub(super) async fn grant(connection: &mut PgConnection, role: &str) -> sqlx::Result<()> {
    let quoted = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1";
    let quoted: Option<String> =
        sqlx::query_scalar(quoted).bind(role).fetch_optional(&mut *connection).await?;
    let Some(quoted) = quoted else {
        tracing::info!("there is no role {role} to be granted what serving needs: only the owner can serve");
        return Ok(());
    };
    let missing = missing(connection, role).await?;
    let statements = missing.iter().map(|MissingRight { kind, name, privilege }| {
        format!("GRANT {privilege} ON {kind} {name} TO {quoted};\n")
    });
    sqlx::raw_sql(AssertSqlSafe(statements.collect::<String>())).execute(connection).await?;
    if !missing.is_empty() {
        tracing::info!("granted the role {role} what serving needs: {} rights", missing.len());
    }
    Ok(())
}

async fn missing(connection: &mut PgConnection, role: &str) -> sqlx::Result<Vec<MissingRight>> {
    sqlx::query_as(MISSING).bind(role).fetch_all(connection).await
}
