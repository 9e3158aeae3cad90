//! A table of results: printed as Markdown, kept as JSON.

use std::fmt;

use anyhow::Result;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value};

/// A table.
pub(crate) struct Table {
    /// The name of its file.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    /// Each with a cell a column.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A value, with how it is printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    /// A number of things, or of things a second.
    Count(f64),
    /// Of what was measured to its baseline.
    Ratio(f64),
    Milliseconds(f64),
    Seconds(f64),
    Bytes(f64),
    /// Nothing was measured.
    Missing,
}

impl Table {
    pub(crate) fn new(name: &'static str, title: impl Into<String>, columns: Vec<&'static str>) -> Self {
        Self { name, title: title.into(), columns, rows: Vec::new() }
    }

    /// An object for each row, in the units of [`Cell`].
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn to_json(&self) -> Result<String> {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.object(row)).collect();
        Ok(serde_json::to_string_pretty(&serde_json::json!({ "title": self.title, "rows": rows }))?)
    }

    fn object(&self, row: &[Cell]) -> Value {
        let members = self.columns.iter().zip(row);
        Value::Object(
            members.map(|(column, cell)| ((*column).to_owned(), cell.to_json())).collect::<Map<_, _>>(),
        )
    }
}

impl Cell {
    /// A ratio, if there is something to compare with.
    pub(crate) fn ratio(measured: f64, baseline: f64) -> Self {
        if baseline > 0.0 { Self::Ratio(measured / baseline) } else { Self::Missing }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Count(number)
            | Self::Ratio(number)
            | Self::Milliseconds(number)
            | Self::Seconds(number)
            | Self::Bytes(number) => (*number).into(),
            Self::Missing => Value::Null,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Count(number) => write!(formatter, "{}", HumanCount(number.round() as u64)),
            Self::Ratio(ratio) => write!(formatter, "{ratio:.2}"),
            Self::Milliseconds(milliseconds) => write!(formatter, "{milliseconds:.1} ms"),
            Self::Seconds(seconds) => write!(formatter, "{seconds:.2} s"),
            Self::Bytes(bytes) => write!(formatter, "{}", HumanBytes(bytes.round() as u64)),
            Self::Missing => formatter.write_str("–"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n", self.title)?;
        writeln!(formatter, "| {} |", self.columns.join(" | "))?;
        // Texts are flush left, numbers flush right.
        let alignments =
            (0..self.columns.len()).map(|place| match self.rows.first().and_then(|row| row.get(place)) {
                Some(Cell::Text(_)) | None => "---",
                Some(_) => "---:",
            });
        writeln!(formatter, "|{}|", alignments.collect::<Vec<_>>().join("|"))?;
        self.rows.iter().try_for_each(|row| {
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            writeln!(formatter, "| {} |", cells.join(" | "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_for_people_and_json_for_programs() {
        let mut table = Table::new("rates", "Rates.", vec!["type", "summaries/s", "of psql"]);
        table.rows.push(vec![Cell::Text("epochs".to_owned()), Cell::Count(12_345.6), Cell::ratio(9.0, 10.0)]);
        assert_eq!(
            table.to_string(),
            "Rates.\n\n| type | summaries/s | of psql |\n|---|---:|---:|\n| epochs | 12,346 | 0.90 |\n"
        );
        let json: Value = serde_json::from_str(&table.to_json().unwrap()).unwrap();
        assert_eq!(json["rows"][0]["summaries/s"], 12_345.6);
        assert_eq!(Cell::ratio(1.0, 0.0), Cell::Missing);
    }
}
