//! `cargo xtask docs`: docs/data.md, written from the database itself, and docs/metrics.md, written from the programs.
//!
//! For the data a private PostgreSQL is migrated, and its catalog told: names and types are what they are, and meanings are the
//! comments, which come from the worker's declarations and, for views, from the migrations.

mod metrics;

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    cargo,
    stack::{self, PostgreSql, PostgresAddress, Purpose, StackFolder},
    ui, workspace,
};

/// The page around what is generated of the data.
const PAGE: &str = include_str!("docs/data.md");

/// The database that is migrated to be described.
const DATABASE: &str = "described";

/// Columns that mean the same in every view.
const OF_EVERY_VIEW: [(&str, &str); 4] = [
    ("user_id", "Garmin's id of the user"),
    ("subject_id", "The study's id of the participant; null while the user is not linked with one"),
    ("time", "When, UTC"),
    ("time_local", "The same by the clock of the user's device; null where its offset is unknown"),
];

/// Writes both.
pub(crate) fn write() -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    let build = ["build", "-p", "apollo-worker", "-p", "apollo-receiver"];
    ui::timed("build Apollo's programs", || cargo::run(&build))?;
    let folder = StackFolder::create("docs")?;
    let postgres = ui::timed("start PostgreSQL", || PostgreSql::start(&folder))?;
    for (file, page) in pages(&postgres.address)? {
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    ui::step("docs/data.md and docs/metrics.md are written");
    Ok(())
}

/// Fails if one is not what [`write()`] would write; Apollo's programs have been built.
pub(crate) fn check(postgres: &PostgresAddress) -> Result<()> {
    for (file, page) in pages(postgres)? {
        let found = fs::read_to_string(&file).unwrap_or_default();
        ensure!(found == page, "{} is out of date: run `cargo xtask docs` and commit it", file.display());
    }
    Ok(())
}

fn pages(postgres: &PostgresAddress) -> Result<[(PathBuf, String); 2]> {
    let folder = workspace::root().join("docs");
    Ok([(folder.join("data.md"), page(postgres)?), (folder.join("metrics.md"), metrics::page()?)])
}

fn page(postgres: &PostgresAddress) -> Result<String> {
    postgres.create_database(DATABASE)?;
    migrate(&postgres.url(DATABASE))?;
    let relations: Vec<Relation> = serde_json::from_str(&postgres.query(DATABASE, CATALOG)?)?;
    let (views, tables): (Vec<_>, Vec<_>) = relations.iter().partition(|relation| relation.is_view);
    Ok(PAGE
        .replace("{{tables}}\n", &sections(&tables)?)
        .replace("{{views}}\n", &sections(&views)?)
        .replace("{{queries}}\n", &queries()?))
}

fn migrate(url: &str) -> Result<()> {
    let worker = workspace::target_directory()?.join("debug/apollo-worker");
    let output = Command::new(&worker)
        .arg("migrate")
        .env("DATABASE__URL", url)
        .output()
        .with_context(|| format!("cannot run {}", worker.display()))?;
    ensure!(output.status.success(), "apollo-worker migrate: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What stands in front of the name of Garmin's field in a comment.
const GARMIN: &str = " (Garmin's ";

/// A table or a view.
#[derive(Deserialize)]
struct Relation {
    name: String,
    is_view: bool,
    comment: Option<String>,
    key: Option<Vec<String>>,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    sql_type: String,
    comment: Option<String>,
}

/// Every table and view as one JSON list, partitions left out.
const CATALOG: &str = "
SELECT json_agg(json_build_object(
    'name', nspname || '.' || relname,
    'is_view', relkind = 'v',
    'comment', obj_description(relation.oid, 'pg_class'),
    'key', (
        SELECT json_agg(attname ORDER BY array_position(conkey, attnum))
        FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
        WHERE conrelid = relation.oid AND contype = 'p'),
    'columns', (
        SELECT json_agg(json_build_object(
            'name', attname,
            'sql_type', format_type(atttypid, atttypmod),
            'comment', col_description(attrelid, attnum)) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped)
) ORDER BY nspname, relname)
FROM pg_class AS relation
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname LIKE 'garmin%' AND relkind IN ('r', 'p', 'v') AND NOT relispartition";

fn sections(relations: &[&Relation]) -> Result<String> {
    let mut text = String::new();
    for relation in relations {
        let anchor = relation.name.replace('.', "");
        writeln!(text, "- [{}](#{anchor}): {}", relation.name, relation.meaning()?)?;
    }
    for relation in relations {
        writeln!(text, "\n### {}\n\n{}.", relation.name, relation.meaning()?.trim_end_matches('.'))?;
        if let Some(key) = &relation.key {
            writeln!(text, "Primary key: {}.", key.join(", "))?;
        }
        let of_garmin = relation.columns.iter().any(|column| column.garmin().is_some());
        let (head, line) = if of_garmin { ("Garmin's field | ", "---|") } else { ("", "") };
        writeln!(text, "\n| column | type | unit | {head}meaning |\n|---|---|---|{line}---|")?;
        for column in &relation.columns {
            let Column { name, sql_type, .. } = column;
            let (unit, meaning) = column.meaning(relation)?;
            let garmin = column.garmin().map_or_else(String::new, |field| format!("`{field}`"));
            let garmin = if of_garmin { format!("{garmin} | ") } else { garmin };
            writeln!(text, "| `{name}` | {sql_type} | {unit} | {garmin}{meaning} |")?;
        }
    }
    Ok(text)
}

impl Relation {
    fn meaning(&self) -> Result<&str> {
        self.comment.as_deref().with_context(|| format!("{} has no comment", self.name))
    }
}

impl Column {
    /// The field that fills it, which the comment has in brackets at the end.
    fn garmin(&self) -> Option<&str> {
        let (_, field) = self.comment.as_deref()?.rsplit_once(GARMIN)?;
        field.strip_suffix(')')
    }

    /// Unit, which the comment has in square brackets in front, and meaning.
    fn meaning(&self, of: &Relation) -> Result<(String, String)> {
        let common = || OF_EVERY_VIEW.iter().find(|(name, _)| of.is_view && *name == self.name);
        let comment = match (&self.comment, common()) {
            (Some(comment), _) => comment.as_str(),
            (None, Some((_, meaning))) => meaning,
            (None, None) => bail!("{}.{} has no comment that says what it means", of.name, self.name),
        };
        let with_unit = comment.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let (unit, meaning) = with_unit.unwrap_or(("", comment));
        let meaning = meaning.rsplit_once(GARMIN).map_or(meaning, |(meaning, _)| meaning);
        Ok((unit.replace('|', "\\|"), meaning.replace('|', "\\|")))
    }
}

/// The example queries, which a test runs: each a file whose leading comment says what it answers.
fn queries() -> Result<String> {
    let folder = workspace::root().join("docs/queries");
    let files = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let sql = fs::read_to_string(&file)?;
        let comment: Vec<&str> = sql.lines().map_while(|line| line.strip_prefix("-- ")).collect();
        ensure!(!comment.is_empty(), "{} does not begin with a comment", file.display());
        let statement: Vec<&str> = sql.lines().skip(comment.len()).collect();
        writeln!(text, "{}\n\n```sql\n{}\n```\n", comment.join("\n"), statement.join("\n"))?;
    }
    Ok(text)
}
