//! Garmin's field list against the database's catalog: nothing missing, nothing more, nothing misspelt.
//!
//! Names and types of columns are derived here once more, from `garmin-fields.tsv` and the rules of design.md
//! section 5, without the worker's help.

use apollo_shared::endpoint::ENDPOINTS;
use apollo_shared::topology::Lane;
use apollo_tests::Result;
use apollo_tests::garmin::{Kind, SummaryType, TYPES};
use apollo_tests::site::Site;
use std::collections::{BTreeMap, BTreeSet};

/// Columns that hold nothing of Garmin's, in every table.
const OF_APOLLO: [&str; 6] =
    ["user_id", "extra", "received_at", "message_id", "entry_index", "content_digest"];

/// Columns that hold nothing of Garmin's, in one table.
const OF_APOLLO_IN: [(&str, &str); 1] = [("activity_summary", "manually_updated")];

/// A table of what is fetched, not sent.
const OF_FILES: &str = "activity_file_content";

/// A type that Garmin offers no delivery of, so that its fields are not known: kept raw.
const WITHOUT_TABLE: &str = "solarIntensity";

type Columns = BTreeMap<String, String>;

/// The columns of every table of summaries, with their types.
async fn catalog(site: &Site) -> Result<BTreeMap<String, Columns>> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT relname::text, attname::text, format_type(atttypid, NULL)
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'garmin_wellness'::regnamespace AND relkind = 'r' AND attnum > 0
           AND NOT attisdropped",
    )
    .fetch_all(&site.pool)
    .await?;
    let mut tables: BTreeMap<String, Columns> = BTreeMap::new();
    for (table, column, sql_type) in columns {
        tables.entry(table).or_default().insert(column, sql_type);
    }
    Ok(tables)
}

/// Where a type's table is not as its fields want it.
fn differences(summary_type: &SummaryType, mut found: Columns) -> Vec<String> {
    let table = summary_type.table;
    let of_apollo = OF_APOLLO_IN.into_iter().filter(|(of, _)| *of == table).map(|(_, name)| name);
    for name in OF_APOLLO.into_iter().chain(of_apollo) {
        found.remove(name);
    }
    let mut differences = Vec::new();
    for field in summary_type.fields() {
        for (column, wanted) in field.columns() {
            let of_field = format!("{table}.{column} ({} of {})", field.name(), summary_type.name());
            match found.remove(&column) {
                None => differences.push(format!("{of_field} is missing")),
                Some(sql_type) if sql_type == wanted => {}
                Some(sql_type) => differences.push(format!("{of_field} is {sql_type}, should be {wanted}")),
            }
        }
    }
    differences.extend(found.keys().map(|column| format!("{table}.{column} is for no field of Garmin's")));
    differences
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_has_its_columns_and_every_column_a_field() -> Result<()> {
    let mut tables = catalog(&Site::new().await?).await?;
    assert!(tables.remove(OF_FILES).is_some());
    let mut all = Vec::new();
    println!("{:<18} {:>7} {:>6} {:>5} {:>6}", "type", "columns", "series", "lists", "fields");
    for summary_type in &TYPES {
        let found = tables.remove(summary_type.table).unwrap_or_default();
        println!("{}", coverage(summary_type, &found));
        all.extend(differences(summary_type, found));
    }
    all.extend(tables.keys().map(|table| format!("{table} is for no type of Garmin's")));
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
    Ok(())
}

/// A line of the overview: how many columns, series and lists, and how many of the fields have their columns.
fn coverage(summary_type: &SummaryType, found: &Columns) -> String {
    let fields: Vec<_> = summary_type.fields().collect();
    let count = |kinds: &[Kind]| fields.iter().filter(|field| kinds.contains(&field.kind)).count();
    let has = |(column, sql_type): &(String, &str)| found.get(column).is_some_and(|found| found == sql_type);
    let covered = fields.iter().filter(|field| field.columns().iter().all(has)).count();
    format!(
        "{:<18} {:>7} {:>6} {:>5} {:>6}",
        summary_type.name(),
        found.len(),
        count(&[Kind::IntegerMap, Kind::NumberMap]),
        count(&[Kind::List, Kind::OpenObject]),
        format!("{covered}/{}", fields.len()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_told_from_others_by_its_user_and_its_identity() -> Result<()> {
    let site = Site::new().await?;
    for summary_type in &TYPES {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_index
             JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
             WHERE indisprimary AND indrelid = ('garmin_wellness.' || $1)::regclass",
        )
        .bind(summary_type.table)
        .fetch_all(&site.pool)
        .await?;
        let fields = summary_type.fields().filter(|field| summary_type.identifies(field));
        let identity = fields.flat_map(|field| field.columns()).map(|(column, _)| column);
        let expected: BTreeSet<String> = identity.chain(["user_id".to_owned()]).collect();
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{}", summary_type.table);
    }
    Ok(())
}

#[test]
fn every_notification_of_garmins_has_a_type_and_every_type_fields() {
    for endpoint in ENDPOINTS.iter().filter(|it| it.lane == Lane::Summaries && it.key != WITHOUT_TABLE) {
        for key in [Some(endpoint.key), endpoint.other_key].into_iter().flatten() {
            assert!(SummaryType::of_key(key).is_some(), "{key}");
        }
    }
    for summary_type in &TYPES {
        let names: BTreeSet<String> = summary_type.fields().map(|field| field.name()).collect();
        assert_eq!(
            names.len(),
            summary_type.fields().count(),
            "a field of {} is there twice",
            summary_type.name()
        );
        let rank = summary_type.rank.into_iter();
        for name in summary_type.identity.iter().map(|(name, _)| *name).chain(rank) {
            assert!(names.contains(name), "{} has no field {name}", summary_type.name());
        }
    }
}
