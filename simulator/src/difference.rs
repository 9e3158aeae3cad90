//! Whether two values are the same, and saying shortly in what they are not.

use serde::Serialize;
use serde_json::{Number, Value};

use crate::expectation::RowKey;

/// Longer values are cut.
const DESCRIBED_CHARACTERS: usize = 160;

/// A row or column that is not as it must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The table, without its schema.
    pub table: &'static str,
    /// The values of the row's identity.
    pub key: RowKey,
    /// The column; `None` if the row as a whole is missing or unexpected.
    pub column: Option<String>,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Difference {
    pub(crate) fn missing(table: &'static str, key: &RowKey) -> Self {
        Self::of_row(table, key, "a row", "no row")
    }

    pub(crate) fn unexpected(table: &'static str, key: &RowKey) -> Self {
        Self::of_row(table, key, "no row", "a row")
    }

    pub(crate) fn different(
        table: &'static str,
        key: &RowKey,
        column: &str,
        expected: String,
        found: String,
    ) -> Self {
        let (expected, found) = (shortened(expected), shortened(found));
        Self { table, key: key.clone(), column: Some(column.to_owned()), expected, found }
    }

    fn of_row(table: &'static str, key: &RowKey, expected: &str, found: &str) -> Self {
        Self { table, key: key.clone(), column: None, expected: expected.to_owned(), found: found.to_owned() }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { table, key, column, expected, found } = self;
        write!(formatter, "{table} ({})", key.join(", "))?;
        if let Some(column) = column {
            write!(formatter, ", {column}")?;
        }
        write!(formatter, ": expected {expected}, found {found}")
    }
}

/// Numbers are equal when they are as numbers: 144.0 and 144.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => equal_numbers(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| equal(value, other)))
        }
        _ => one == other,
    }
}

fn equal_numbers(one: &Number, other: &Number) -> bool {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

/// How to describe two values that differ: of two long lists, only the first items that do.
pub(crate) fn first_difference(expected: &Value, found: &Value) -> (String, String) {
    let (Value::Array(expected_items), Value::Array(found_items)) = (expected, found) else {
        return (expected.to_string(), found.to_string());
    };
    let place =
        expected_items.iter().zip(found_items).take_while(|(expected, found)| equal(expected, found)).count();
    let describe = |items: &[Value]| match items.get(place) {
        Some(item) => format!("{item} at place {place} of {}", items.len()),
        None => format!("only {} items", items.len()),
    };
    (describe(expected_items), describe(found_items))
}

fn shortened(description: String) -> String {
    match description.char_indices().nth(DESCRIBED_CHARACTERS) {
        Some((end, _)) => format!("{} …", &description[..end]),
        None => description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_compared_as_numbers_at_every_depth() {
        assert!(equal(&json!({"a": [144.0, {"b": 1}]}), &json!({"a": [144, {"b": 1.0}]})));
        assert!(!equal(&json!([144.5]), &json!([144])));
        assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
        assert!(!equal(&json!("144"), &json!(144)));
        assert!(!equal(&json!({"a": null}), &json!({})));
        assert!(!equal(&json!([1]), &json!([1, 2])));
    }

    #[test]
    fn of_long_lists_the_first_differing_item_is_described() {
        let described = first_difference(&json!([1, 2, 3]), &json!([1, 5, 3]));
        assert_eq!(described, ("2 at place 1 of 3".to_owned(), "5 at place 1 of 3".to_owned()));
        let described = first_difference(&json!([1, 2]), &json!([1]));
        assert_eq!(described, ("2 at place 1 of 2".to_owned(), "only 1 items".to_owned()));
    }

    #[test]
    fn a_difference_says_where_it_is() {
        let key = vec!["a".to_owned(), "2026-11-09".to_owned()];
        let difference =
            Difference::different("user_metrics", &key, "vo2_max", "49".to_owned(), "null".to_owned());
        assert_eq!(difference.to_string(), "user_metrics (a, 2026-11-09), vo2_max: expected 49, found null");
        let long = Difference::different("t", &key, "c", "ä".repeat(500), String::new());
        assert!(long.expected.chars().count() < 170);
    }
}
