//! A summary type's table: its columns, derived from its declaration.

use super::SummaryType;
use super::field::Column;
use super::sql_type::SqlType;
use super::statements::{Shape, Statements};

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
    /// What is derived for PostgreSQL.
    pub statements: Statements,
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
        let shape = Shape { table: summary_type.table, columns: &columns, identity: &identity, rank };
        Self { statements: Statements::of(&shape), summary_type, identity, rank, columns }
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
