//! Pictures of the tables, for docs/performance.md: SVG files on a white ground of their own.

mod bars;
mod lines;
mod scale;
mod svg;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use self::{
    bars::{Bar, Bars, Group},
    lines::{Line, Lines, Panel},
};
use super::table::{Cell, Table};

/// What the receiver's columns of rates end with; what is before it is whose rate it is.
const RATES: [&str; 2] = [" POSTs/s", " msgs/s"];
/// The column of the types of summaries.
const TYPE: &str = "type";

/// Draws those of the known tables that are among these, and returns the files.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(folder: &Path, tables: &[Table]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for table in tables {
        let picture = match table.name {
            "receiver" => receiver(table),
            "worker" => worker(table),
            "series" => series(table),
            _ => None,
        };
        if let Some(picture) = picture {
            let file = folder.join(format!("{}.svg", table.name));
            fs::write(&file, picture)?;
            files.push(file);
        }
    }
    Ok(files)
}

/// POSTs a second against connections, a panel for each size of bodies. `None` without any.
fn receiver(table: &Table) -> Option<String> {
    let (bodies, connections) = (column(table, "body")?, column(table, "connections")?);
    let names = table.columns.iter().enumerate();
    let rates: Vec<(usize, &str)> = names
        .filter_map(|(place, name)| Some((place, RATES.into_iter().find_map(|end| name.strip_suffix(end))?)))
        .collect();
    let mut panels: Vec<Panel> = Vec::new();
    for row in &table.rows {
        let body = format!("bodies of {} KB", number(&row[bodies])? / 1000.0);
        if panels.last().is_none_or(|panel| panel.title != body) {
            let lines = rates.iter().map(|(_, name)| Line { name: (*name).to_owned(), ys: Vec::new() });
            panels.push(Panel { title: body, xs: Vec::new(), lines: lines.collect() });
        }
        let panel = panels.last_mut()?;
        panel.xs.push(row[connections].to_string());
        for (line, (place, _)) in panel.lines.iter_mut().zip(&rates) {
            line.ys.push(number(&row[*place]));
        }
    }
    let title = "POSTs a second with 200 after the broker's confirm".to_owned();
    (!panels.is_empty()).then(|| Lines { title, x_title: "connections", panels }.draw())
}

/// The workers' rates of each type in shares of psql's.
fn worker(table: &Table) -> Option<String> {
    let kinds = column(table, TYPE)?;
    let runs = [
        ("1 worker", "rows/s with 1 worker", "ratio with 1"),
        ("2 workers", "rows/s with 2 workers", "ratio with 2"),
    ];
    let runs: Vec<(&str, usize, usize)> = runs
        .into_iter()
        .map(|(name, rate, ratio)| Some((name, column(table, rate)?, column(table, ratio)?)))
        .collect::<Option<_>>()?;
    let bar = |row: &[Cell], rate: usize, ratio: usize| {
        let value = number(&row[ratio])?;
        Some(Bar { value, label: format!("{value:.2} ({} rows/s)", row[rate]) })
    };
    let groups = table.rows.iter().map(|row| Group {
        name: row[kinds].to_string(),
        bars: runs.iter().map(|(_, rate, ratio)| bar(row, *rate, *ratio)).collect(),
    });
    let bars = Bars {
        title: "Rows a second of Apollo's workers, as a share of what psql loads".to_owned(),
        names: runs.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        groups: groups.collect(),
        mark: Some((1.0, "psql")),
        tick: |ratio| format!("{ratio}"),
    };
    Some(bars.draw())
}

/// Bytes of a day of samples, as arrays and as rows.
fn series(table: &Table) -> Option<String> {
    let [names, arrays, rows, ratios] =
        ["series", "arrays", "rows", "rows : arrays"].map(|name| column(table, name));
    let (names, arrays, rows, ratios) = (names?, arrays?, rows?, ratios?);
    let groups = table.rows.iter().map(|row| {
        let bar = |place: usize, note: String| {
            let value = number(&row[place])? / 1024.0;
            Some(Bar { value, label: format!("{value:.1} KiB{note}") })
        };
        let times = format!(" ({} times the arrays)", row[ratios]);
        Group { name: row[names].to_string(), bars: vec![bar(arrays, String::new()), bar(rows, times)] }
    });
    let bars = Bars {
        title: "Bytes of a participant's day of samples, with keys and indexes".to_owned(),
        names: vec!["arrays in the row of the summary".to_owned(), "a row a sample".to_owned()],
        groups: groups.collect(),
        mark: None,
        tick: |kibibytes| format!("{kibibytes} KiB"),
    };
    Some(bars.draw())
}

fn column(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| *column == name)
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Text(_) | Cell::Missing => None,
        Cell::Count(number)
        | Cell::Ratio(number)
        | Cell::Milliseconds(number)
        | Cell::Seconds(number)
        | Cell::Bytes(number) => Some(*number),
    }
}

#[cfg(test)]
mod tests;
