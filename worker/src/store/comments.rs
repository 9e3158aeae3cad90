//! What tables and columns mean, told where researchers look first: as PostgreSQL's comments.
//!
//! The words stand with the declarations, so they follow the program and not a migration.

use crate::summaries::Registry;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeMap;

/// A table, or one of its columns.
type Place = (String, Option<String>);

/// Writes those comments that are not there yet or have changed. Within a transaction that nobody else writes beside.
pub(super) async fn write(connection: &mut PgConnection) -> sqlx::Result<()> {
    let found = found(connection).await?;
    let changed = wanted().into_iter().filter(|(place, comment)| found.get(place) != Some(comment));
    let statements: String = changed.map(|(place, comment)| statement(&place, &comment)).collect();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await?;
    Ok(())
}

async fn found(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<Place, String>> {
    let found: Vec<(String, Option<String>, String)> = sqlx::query_as(
        "SELECT relname::text, attname::text, description
         FROM pg_description
         JOIN pg_class ON pg_class.oid = objoid AND classoid = 'pg_class'::regclass
         LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
         WHERE relnamespace = 'garmin_wellness'::regnamespace",
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|(table, column, comment)| ((table, column), comment)).collect())
}

fn wanted() -> BTreeMap<Place, String> {
    let mut wanted = BTreeMap::new();
    for table in Registry::new().tables() {
        let name = table.summary_type.table.to_owned();
        let keys: Vec<&str> = table.summary_type.keys().collect();
        let meaning = format!("{} (Garmin's {})", table.summary_type.meaning, keys.join(" and "));
        wanted.insert((name.clone(), None), meaning);
        for column in table.all_columns() {
            wanted.insert((name.clone(), Some(column.name)), column.comment);
        }
    }
    wanted
}

fn statement((table, column): &Place, comment: &str) -> String {
    let comment = comment.replace('\'', "''");
    match column {
        None => format!("COMMENT ON TABLE garmin_wellness.{table} IS '{comment}';\n"),
        Some(column) => format!("COMMENT ON COLUMN garmin_wellness.{table}.{column} IS '{comment}';\n"),
    }
}
