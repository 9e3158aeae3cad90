//! The statements by which rows come into a summary type's table.
//!
//! First it is looked which of a batch's summaries are stored already, and in which version. Then what is new is
//! inserted, and what is newer takes the stored one's place; what would change nothing is not sent, and touches no row:
//! an `ON CONFLICT` locks, and so writes to, every row that it meets. Another worker may write the same summaries in
//! between, so neither statement relies on the look: a stored version only ever grows. Rows come sorted by their key, so that
//! all workers meet them in one order.

use super::field::Column;
use super::sql_type::SqlType;
use super::table::VERSION_COLUMNS;

/// See the [module](self).
#[derive(Debug)]
pub struct Statements {
    /// The name of the connection's temporary table whose rows are the records that `insert` and `merge` take.
    pub staging: String,
    /// Makes it.
    pub create_staging: String,
    /// Takes an array for each column of the key and of the version. Returns the places among them of the summaries that are
    /// stored, whether their content is the same, and whether they are newer than the stored.
    pub look: String,
    /// Inserts an array of records, but for those whose summaries are stored.
    pub insert: String,
    /// Inserts an array of records, or puts them in the place of older versions. Returns how many rows it wrote, and how many of
    /// them are new.
    pub merge: String,
}

/// What they are derived from.
pub(super) struct Shape<'a> {
    pub(super) table: &'static str,
    /// Without those of the version.
    pub(super) columns: &'a [Column],
    /// The places of the key's columns.
    pub(super) identity: &'a [usize],
    /// The place of the column that ranks versions.
    pub(super) rank: Option<usize>,
}

impl Statements {
    pub(super) fn of(shape: &Shape<'_>) -> Self {
        Self {
            staging: shape.staging(),
            create_staging: shape.create_staging(),
            look: shape.look(),
            insert: shape.insert(),
            merge: shape.merge(),
        }
    }
}

impl Shape<'_> {
    fn create_staging(&self) -> String {
        format!(
            "CREATE TEMPORARY TABLE {staging} AS SELECT {columns} FROM garmin_wellness.{table} WITH NO DATA",
            staging = self.staging(),
            columns = list(self.all_columns()),
            table = self.table,
        )
    }

    /// The `OFFSET` keeps the planner from reading the whole table once for each of the wanted, which it thinks cheaper while
    /// the table is small, and goes on with when it has grown.
    fn look(&self) -> String {
        let wanted: Vec<(&str, SqlType)> =
            self.key().chain(self.rank()).map(|column| (column.name.as_str(), column.sql_type)).collect();
        let wanted = wanted.into_iter().chain(VERSION_COLUMNS.map(|(name, sql_type, _)| (name, sql_type)));
        let (names, types): (Vec<&str>, Vec<SqlType>) = wanted.unzip();
        let parameters =
            types.iter().zip(1..).map(|(sql_type, number)| format!("${number}::{}[]", sql_type.name()));
        let same_key = self.key().map(|column| format!("stored.{name} = wanted.{name}", name = column.name));
        format!(
            "SELECT wanted.place - 1 AS place, stored.same, stored.newer
FROM unnest({parameters}) WITH ORDINALITY AS wanted ({names}, place)
CROSS JOIN LATERAL (
    SELECT wanted.content_digest = stored.content_digest AS same, {newer} AS newer
    FROM garmin_wellness.{table} AS stored
    WHERE {same_key}
    OFFSET 0
) AS stored",
            parameters = parameters.collect::<Vec<_>>().join(", "),
            names = names.join(", "),
            newer = self.newer("wanted"),
            table = self.table,
            same_key = same_key.collect::<Vec<_>>().join(" AND "),
        )
    }

    fn insert(&self) -> String {
        format!(
            "INSERT INTO garmin_wellness.{table} ({columns})
SELECT {columns} FROM unnest($1::pg_temp.{staging}[])
ON CONFLICT ({key}) DO NOTHING",
            table = self.table,
            columns = list(self.all_columns()),
            staging = self.staging(),
            key = self.key_names(),
        )
    }

    fn merge(&self) -> String {
        format!(
            "WITH written AS (
    INSERT INTO garmin_wellness.{table} AS stored ({columns})
    SELECT {columns} FROM unnest($1::pg_temp.{staging}[])
    ON CONFLICT ({key}) DO UPDATE SET {assignments}
    WHERE {newer}
    RETURNING xmax = 0 AS created
)
SELECT count(*) AS written, count(*) FILTER (WHERE created) AS created FROM written",
            table = self.table,
            columns = list(self.all_columns()),
            staging = self.staging(),
            key = self.key_names(),
            assignments = self.assignments(),
            newer = self.newer("excluded"),
        )
    }

    fn staging(&self) -> String {
        format!("staging_{}", self.table)
    }

    fn all_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str()).chain(VERSION_COLUMNS.map(|(name, ..)| name))
    }

    fn key(&self) -> impl Iterator<Item = &Column> {
        self.identity.iter().map(|&place| &self.columns[place])
    }

    fn key_names(&self) -> String {
        list(self.key().map(|column| column.name.as_str()))
    }

    fn rank(&self) -> Option<&Column> {
        self.rank.map(|place| &self.columns[place])
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

    fn newer(&self, row: &str) -> String {
        format!("({}) > ({})", self.version(row), self.version("stored"))
    }

    /// A version, greatest significance first (design.md section 5).
    fn version(&self, row: &str) -> String {
        let rank = self.rank().map(|Column { name, sql_type, .. }| {
            let zero = if *sql_type == SqlType::Integer { "0" } else { "timestamptz 'epoch'" };
            format!("coalesce({row}.{name}, {zero}), ")
        });
        let rank = rank.unwrap_or_default();
        format!("{rank}{row}.received_at, {row}.message_id, {row}.entry_index")
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
