//! The baseline of the workers: psql loads the same rows, by `COPY` into a staging table and one
//! `INSERT … ON CONFLICT` for every 10,000 of them.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::site::Site;
use crate::stack::DATABASE;

/// Rows of a transaction.
const ROWS: usize = 10_000;

/// The rows of a table, in files of so many as one transaction takes.
pub(crate) struct Rows {
    table: String,
    files: Vec<PathBuf>,
    pub(crate) count: u64,
}

/// The tables of summaries that hold any.
pub(crate) fn filled_tables(site: &Site<'_>) -> Result<Vec<String>> {
    let tables = site.postgres().query(
        DATABASE,
        "SELECT relname FROM pg_class WHERE relnamespace = 'garmin_wellness'::regnamespace AND relkind = 'r'
         ORDER BY relname",
    )?;
    let mut filled = Vec::new();
    for table in tables.lines() {
        let exists = format!("SELECT EXISTS (SELECT FROM garmin_wellness.{table})");
        if site.postgres().query(DATABASE, &exists)? == "t" {
            filled.push(table.to_owned());
        }
    }
    Ok(filled)
}

/// Takes all rows out of the tables of summaries, and what was received.
pub(crate) fn empty(site: &Site<'_>) -> Result<()> {
    let tables = filled_tables(site)?;
    let tables: Vec<String> = tables.iter().map(|table| format!(", garmin_wellness.{table}")).collect();
    let script = format!("TRUNCATE garmin_raw.notification{} CASCADE; CHECKPOINT;", tables.concat());
    site.postgres().run_script(DATABASE, &script)
}

impl Rows {
    /// What the table holds now.
    pub(crate) fn of_table(site: &Site<'_>, table: &str) -> Result<Self> {
        let folder = site.stack.folder.subfolder("rows")?;
        let whole = folder.join(table);
        let script = format!("\\copy garmin_wellness.{table} TO '{}'\n", whole.display());
        site.postgres().run_script(DATABASE, &script)?;
        // A row is a line: COPY's text format writes the ends of lines within values as \n.
        let text = fs::read_to_string(&whole)?;
        fs::remove_file(&whole)?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut files = Vec::new();
        for (number, lines) in lines.chunks(ROWS).enumerate() {
            let file = folder.join(format!("{table}.{number}"));
            fs::write(&file, lines.concat())?;
            files.push(file);
        }
        Ok(Self { table: table.to_owned(), files, count: lines.len() as u64 })
    }

    fn script(&self, site: &Site<'_>) -> Result<String> {
        let table = &self.table;
        let columns = site.postgres().query(
            DATABASE,
            &format!(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'garmin_wellness.{table}'::regclass AND attnum > 0 AND NOT attisdropped"
            ),
        )?;
        let key = site.postgres().query(
            DATABASE,
            &format!(
                "SELECT string_agg(attname, ', ' ORDER BY place) FROM pg_index,
                        unnest(indkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute USING (attnum)
                 WHERE attrelid = indrelid AND indrelid = 'garmin_wellness.{table}'::regclass AND indisprimary"
            ),
        )?;
        let excluded: Vec<String> = columns.split(", ").map(|column| format!("excluded.{column}")).collect();
        let merge = format!(
            "INSERT INTO garmin_wellness.{table} AS stored SELECT * FROM staging_{table}
             ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({})
             WHERE (excluded.received_at, excluded.message_id, excluded.entry_index)
                 > (stored.received_at, stored.message_id, stored.entry_index);",
            excluded.join(", ")
        );
        let mut script = format!(
            "CREATE TEMPORARY TABLE staging_{table} (LIKE garmin_wellness.{table}) ON COMMIT DELETE ROWS;\n"
        );
        for file in &self.files {
            write!(script, "BEGIN;\n\\copy staging_{table} FROM '{}'\n{merge}\nCOMMIT;\n", file.display())?;
        }
        Ok(script)
    }
}

/// Loads all of these rows, and says how long that took.
pub(crate) fn load(site: &Site<'_>, tables: &[Rows]) -> Result<Duration> {
    let script = tables.iter().map(|rows| rows.script(site)).collect::<Result<String>>()?;
    site.postgres().run_script(DATABASE, "CHECKPOINT;")?;
    let begun = Instant::now();
    site.postgres().run_script(DATABASE, &script)?;
    Ok(begun.elapsed())
}
