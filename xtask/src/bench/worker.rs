//! The workers' rate for each type, from a queue filled beforehand, beside psql loading the same rows.

use anyhow::{Result, ensure};

use super::{
    drain::{Drained, drain, fill},
    psql::{self, Rows},
    site::{Settings, Site},
    table::{Cell, Table},
};
use crate::ui;

/// A type, and how many of its summaries are some seconds' work; for the mix, how many users who send two days.
const LOADS: [(&str, u64); 18] = [
    ("epochs", 400_000),
    ("dailies", 12_000),
    ("thirdPartyDailies", 100_000),
    ("sleeps", 40_000),
    ("bodyComps", 200_000),
    ("stressDetails", 12_000),
    ("userMetrics", 200_000),
    ("pulseox", 40_000),
    ("allDayRespiration", 20_000),
    ("healthSnapshot", 40_000),
    ("hrv", 60_000),
    ("bloodPressures", 200_000),
    ("skinTemp", 200_000),
    ("activities", 150_000),
    ("activityDetails", 1_000),
    ("moveIQActivities", 200_000),
    ("mct", 100_000),
    ("mix", 500),
];
/// Of which it is shown what it costs to keep the notifications as received.
const KEPT: [&str; 3] = ["epochs", "dailies", "mix"];
/// The rows alone, as psql loads them.
const ROWS_ONLY: Settings<'_> = &[("WORKER__RAW_RETENTION_DAYS", "0")];
const DEFAULTS: Settings<'_> = &[];
/// When the first of the notifications was received, in microseconds since 1970.
const RECEIVED_AT: &str = "1794265200000000";

/// What was measured of one type.
struct Measured {
    key: &'static str,
    /// Rows in the end; of the mix there are fewer than summaries.
    rows: u64,
    one: Drained,
    two: Drained,
    /// With the notifications kept too.
    kept: Option<Drained>,
    psql_rows_a_second: f64,
    summaries: u64,
}

/// Measures these types, or every one if none is named.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>, types: &[String]) -> Result<Vec<Table>> {
    let unknown = types.iter().find(|key| LOADS.iter().all(|(known, _)| known != key));
    ensure!(unknown.is_none(), "nothing is measured for the type {}", unknown.cloned().unwrap_or_default());
    let mut all = Vec::new();
    for (key, count) in LOADS {
        if !types.is_empty() && !types.iter().any(|wanted| wanted == key) {
            continue;
        }
        let count = if site.quick { count / 50 + 1 } else { count };
        all.push(ui::timed(key, || measure_type(site, key, count))?);
    }
    Ok(vec![rates(&all), costs(&all)])
}

fn measure_type(site: &Site<'_>, key: &'static str, count: u64) -> Result<Measured> {
    let run = |workers, settings| -> Result<(Drained, u64)> {
        let count = count.to_string();
        let filled = fill(site, &["--type", key, "--count", &count, "--received-at", RECEIVED_AT])?;
        Ok((drain(site, workers, settings, filled.summaries)?, filled.summaries))
    };
    psql::empty(site)?;
    let (one, summaries) = run(1, ROWS_ONLY)?;
    let tables = psql::filled_tables(site)?;
    let rows = tables.iter().map(|table| Rows::of_table(site, table)).collect::<Result<Vec<_>>>()?;
    psql::empty(site)?;
    let first = psql::load(site, &rows)?;
    psql::empty(site)?;
    let (two, _) = run(2, ROWS_ONLY)?;
    psql::empty(site)?;
    let second = psql::load(site, &rows)?;
    let kept = if KEPT.contains(&key) {
        psql::empty(site)?;
        Some(run(1, DEFAULTS)?.0)
    } else {
        None
    };
    let rows: u64 = rows.iter().map(|rows| rows.count).sum();
    ensure!(key == "mix" || rows == summaries, "{summaries} {key} became {rows} rows");
    let psql_rows_a_second = 2.0 * rows as f64 / (first + second).as_secs_f64();
    Ok(Measured { key, rows, one, two, kept, psql_rows_a_second, summaries })
}

impl Measured {
    /// Rows a second: what was beaten by a newer version counts for nothing.
    fn rows_a_second(&self, drained: &Drained) -> f64 {
        drained.summaries_a_second * self.rows as f64 / self.summaries as f64
    }
}

fn rates(all: &[Measured]) -> Table {
    let mut table = Table::new(
        "worker",
        "Rows a second from a filled queue into empty tables, beside psql (COPY into a staging table, one INSERT … ON \
         CONFLICT for every 10,000 rows; the mean of two runs).",
        vec![
            "type",
            "rows",
            "psql rows/s",
            "rows/s with 1 worker",
            "ratio with 1",
            "rows/s with 2 workers",
            "ratio with 2",
            "worker µs a row",
            "PostgreSQL µs a row",
            "peak memory",
        ],
    );
    table.rows = all
        .iter()
        .map(|measured| {
            let [one, two] = [&measured.one, &measured.two].map(|drained| measured.rows_a_second(drained));
            let a_row = |microseconds: f64| microseconds * measured.summaries as f64 / measured.rows as f64;
            vec![
                Cell::Text(measured.key.to_owned()),
                Cell::Count(measured.rows as f64),
                Cell::Count(measured.psql_rows_a_second),
                Cell::Count(one),
                Cell::ratio(one, measured.psql_rows_a_second),
                Cell::Count(two),
                Cell::ratio(two, measured.psql_rows_a_second),
                Cell::Count(a_row(measured.one.worker_microseconds)),
                Cell::Count(a_row(measured.one.postgres_microseconds)),
                Cell::Bytes(measured.one.peak_memory.max(measured.two.peak_memory) as f64),
            ]
        })
        .collect();
    table
}

fn costs(all: &[Measured]) -> Table {
    let mut table = Table::new(
        "raw",
        "What it costs to keep the notifications as received, too (one worker).",
        vec!["type", "rows/s without", "rows/s with", "ratio"],
    );
    table.rows = all
        .iter()
        .filter_map(|measured| {
            let [without, with] =
                [&measured.one, measured.kept.as_ref()?].map(|drained| measured.rows_a_second(drained));
            let key = Cell::Text(measured.key.to_owned());
            Some(vec![key, Cell::Count(without), Cell::Count(with), Cell::ratio(with, without)])
        })
        .collect();
    table
}
