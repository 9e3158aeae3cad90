//! A summary type's table: columns and statements, derived from its declaration.

use super::SummaryType;
use super::field::Column;
use super::sql_type::SqlType;

/// The columns behind those of the declaration that every table has: they hold the row's version.
pub(super) const VERSION_COLUMNS: [(&str, SqlType, &str); 4] = [
    ("received_at", SqlType::Instant, "When the stored version was received"),
    (
        "message_id",
        SqlType::Uuid,
        "The notification that the stored version came in: garmin_raw.notification has it",
    ),
    ("entry_index", SqlType::Integer, "The entry's place in that notification"),
    ("content_digest", SqlType::Bytes, "A digest of the content, by which a repeated version is known"),
];

/// A summary type with what is derived from it.
#[derive(Debug)]
pub struct Table {
    /// The declaration.
    pub summary_type: &'static SummaryType,
    /// `user_id`, the declared fields' columns, `extra`.
    pub columns: Vec<Column>,
    /// The places in `columns` of the identity's columns, `user_id` first.
    pub identity: Vec<usize>,
    /// The place in `columns` of the column that ranks versions.
    pub rank: Option<usize>,
    /// The name of the connection's temporary table whose rows are the records that `merge` takes.
    pub staging: String,
    /// Makes it.
    pub create_staging: String,
    /// Merges an array of records into the table; returns how many rows were created and written, and how many of the staged
    /// held the same content as the stored (all of them, and those that are newer).
    pub merge: String,
}

impl Table {
    /// Derives it.
    pub(super) fn new(summary_type: &'static SummaryType) -> Self {
        let columns = columns(summary_type);
        let place = |name: String| columns.iter().position(|column| column.name == name);
        let identity_columns =
            summary_type.identity.iter().filter_map(|field| column_of(summary_type, field.name));
        let identity: Vec<usize> =
            std::iter::once("user_id".to_owned()).chain(identity_columns).filter_map(place).collect();
        let rank = summary_type.rank.and_then(|name| column_of(summary_type, name)).and_then(place);
        let statements = Statements { summary_type, columns: &columns, identity: &identity, rank };
        Self {
            staging: statements.staging(),
            create_staging: statements.create_staging(),
            merge: statements.merge(),
            summary_type,
            identity,
            rank,
            columns,
        }
    }

    /// Every column with those that hold the version.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> {
        let version = VERSION_COLUMNS.map(|(name, sql_type, comment)| column(name, sql_type, comment));
        self.columns.iter().cloned().chain(version)
    }

    /// The place of a column.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

fn columns(summary_type: &SummaryType) -> Vec<Column> {
    let declared = summary_type.all_fields().flat_map(|field| field.columns(&[]));
    let second_key =
        summary_type.second_key.map(|second| column(second.column, SqlType::Boolean, second.meaning));
    std::iter::once(column(
        "user_id",
        SqlType::Text,
        "Garmin's id of the user; garmin_oauth.subject has the subject",
    ))
    .chain(declared)
    .chain(second_key)
    .chain(std::iter::once(column("extra", SqlType::Jsonb, EXTRA)))
    .collect()
}

const EXTRA: &str =
    "What has no column or does not fit it exactly, under Garmin's names; null if there is nothing";

fn column(name: &str, sql_type: SqlType, comment: &str) -> Column {
    Column { name: name.to_owned(), sql_type, comment: comment.to_owned() }
}

/// The name of the column that a field of the top level fills.
fn column_of(summary_type: &SummaryType, field: &str) -> Option<String> {
    let field = summary_type.all_fields().find(|it| it.name == field)?;
    field.columns(&[]).into_iter().next().map(|column| column.name)
}

struct Statements<'a> {
    summary_type: &'static SummaryType,
    columns: &'a [Column],
    identity: &'a [usize],
    rank: Option<usize>,
}

impl Statements<'_> {
    fn create_staging(&self) -> String {
        format!(
            "CREATE TEMPORARY TABLE {staging} AS SELECT {columns} FROM garmin_wellness.{table} WITH NO DATA",
            staging = self.staging(),
            columns = list(self.all_columns(), |name| name.to_owned()),
            table = self.summary_type.table,
        )
    }

    /// The rows that would change nothing are left out before `INSERT` looks at them: its `ON CONFLICT`
    /// locks, and so writes to, every row that it meets. Leaving them out by an older snapshot is safe, as a
    /// stored version only ever grows. Rows come sorted by their key, so that all workers lock them in one order.
    fn merge(&self) -> String {
        format!(
            "WITH staged AS MATERIALIZED (
    SELECT * FROM unnest($1::pg_temp.{staging}[]) WITH ORDINALITY
), compared AS (
    SELECT staged.content_digest = stored.content_digest AS same,
           {newer} AS newer
    FROM staged
    JOIN garmin_wellness.{table} AS stored USING ({key})
), written AS (
    INSERT INTO garmin_wellness.{table} AS stored ({columns})
    SELECT {staged_columns}
    FROM staged
    LEFT JOIN garmin_wellness.{table} AS stored USING ({key})
    WHERE stored.user_id IS NULL OR {newer}
    ORDER BY staged.ordinality
    ON CONFLICT ({key}) DO UPDATE SET {assignments}
    WHERE {newer_on_conflict}
    RETURNING xmax = 0 AS created
)
SELECT (SELECT count(*) FROM written WHERE created) AS created,
       (SELECT count(*) FROM written) AS written,
       count(*) FILTER (WHERE same) AS same,
       count(*) FILTER (WHERE same AND newer) AS same_and_newer
FROM compared",
            staging = self.staging(),
            table = self.summary_type.table,
            key = list(self.key(), |name| name.to_owned()),
            columns = list(self.all_columns(), |name| name.to_owned()),
            staged_columns = list(self.all_columns(), |name| format!("staged.{name}")),
            assignments = self.assignments(),
            newer = self.newer("staged"),
            newer_on_conflict = self.newer("excluded"),
        )
    }

    fn staging(&self) -> String {
        format!("staging_{}", self.summary_type.table)
    }

    fn all_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str()).chain(VERSION_COLUMNS.map(|(name, ..)| name))
    }

    fn key(&self) -> impl Iterator<Item = &str> {
        self.identity.iter().map(|&place| self.columns[place].name.as_str())
    }

    /// Where the content is the same, the values that may be stored out of line keep their stored form, so
    /// that only the version is written anew.
    fn assignments(&self) -> String {
        let contents =
            self.columns.iter().enumerate().filter(|(place, _)| !self.identity.contains(place)).map(
                |(_, Column { name, sql_type, .. })| match sql_type.is_large() {
                    true => format!(
                        "{name} = CASE WHEN stored.content_digest = excluded.content_digest \
                     THEN stored.{name} ELSE excluded.{name} END"
                    ),
                    false => format!("{name} = excluded.{name}"),
                },
            );
        let version = VERSION_COLUMNS.iter().map(|(name, ..)| format!("{name} = excluded.{name}"));
        contents.chain(version).collect::<Vec<_>>().join(", ")
    }

    fn newer(&self, staged: &str) -> String {
        format!("({}) > ({})", self.version(staged), self.version("stored"))
    }

    /// A version, greatest significance first (design.md section 5).
    fn version(&self, row: &str) -> String {
        let rank = self.rank.map(|place| {
            let Column { name, sql_type, .. } = &self.columns[place];
            let zero = if *sql_type == SqlType::Integer { "0" } else { "timestamptz 'epoch'" };
            format!("coalesce({row}.{name}, {zero}), ")
        });
        let rank = rank.unwrap_or_default();
        format!("{rank}{row}.received_at, {row}.message_id, {row}.entry_index")
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>, each: impl Fn(&str) -> String) -> String {
    names.map(each).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Registry;

    #[test]
    fn every_declaration_names_its_key_and_rank_among_its_fields() {
        for table in Registry::new().tables() {
            let summary_type = table.summary_type;
            assert_eq!(table.identity.len(), 1 + summary_type.identity.len(), "{}", summary_type.key);
            assert_eq!(table.rank.is_some(), summary_type.rank.is_some(), "{}", summary_type.key);
        }
    }

    #[test]
    fn names_fit_into_postgresqls_identifiers_and_are_distinct() {
        for table in Registry::new().tables() {
            let mut names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            assert!(names.iter().all(|name| name.len() < 64), "{}", table.summary_type.key);
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "{}", table.summary_type.key);
        }
    }
}
