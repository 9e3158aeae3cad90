//! What the data takes on disk: summaries of each type, notifications as received, and series as arrays beside a table
//! with a row a sample.

use anyhow::{Context, Result, ensure};

use super::{
    lag::Apollo,
    series,
    site::Site,
    table::{Cell, Table},
};
use crate::{stack::DATABASE, ui};

/// Days of each user: those of the longer query on series.
pub(super) const DAYS: u32 = 30;

/// For each table of summaries: rows, and bytes of heap, TOAST and indexes.
const SIZES: &str = "
    SELECT relname,
           (xpath('/row/rows/text()',
                  query_to_xml(format('SELECT count(*) AS rows FROM %s', pg_class.oid::regclass), false, true, '')
           ))[1]::text,
           pg_relation_size(oid),
           coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0),
           pg_indexes_size(oid)
    FROM pg_class
    WHERE relnamespace = 'garmin_wellness'::regnamespace AND relkind = 'r'
    ORDER BY relname";

/// Notifications as received: how many, the bytes that are sealed, and all that the partitions take.
const RAW: &str = "
    SELECT count(*), sum(octet_length(body)),
           (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
            WHERE inhparent = 'garmin_raw.notification'::regclass)
    FROM garmin_raw.notification";

/// Stores what some users' devices record in a month, and looks at what it takes.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let users = if site.quick { 8 } else { 40 };
    let json = ui::timed(format_args!("{DAYS} days of {users} users"), || {
        let push = Apollo::start(site)?.push(users, DAYS, None)?;
        Ok(push.pushed.bytes as f64)
    })?;
    site.postgres().execute(DATABASE, "VACUUM ANALYZE")?;
    let sizes = sizes(site)?;
    let user_days = f64::from(users * DAYS);
    let days = days(site, &sizes, json, user_days)?;
    let series = ui::timed("series as arrays and as rows", || series::measure(site, user_days))?;
    Ok(vec![summaries(&sizes), days, series])
}

/// What a table of summaries takes.
struct Size {
    table: String,
    rows: f64,
    /// Heap, TOAST, indexes.
    bytes: [f64; 3],
}

fn sizes(site: &Site<'_>) -> Result<Vec<Size>> {
    let answer = site.postgres().query(DATABASE, SIZES)?;
    let sizes = answer.lines().map(Size::of).collect::<Result<Vec<_>>>()?;
    Ok(sizes.into_iter().filter(|size| size.rows > 0.0).collect())
}

impl Size {
    fn of(line: &str) -> Result<Self> {
        let (table, numbers) = line.split_once('|').context("a size without its table")?;
        let numbers = numbers_of(numbers)?;
        let [rows, heap, toast, indexes] = numbers[..].try_into()?;
        Ok(Self { table: table.to_owned(), rows, bytes: [heap, toast, indexes] })
    }

    fn total(&self) -> f64 {
        self.bytes.iter().sum()
    }
}

/// The columns of a row of numbers.
pub(super) fn numbers_of(line: &str) -> Result<Vec<f64>> {
    line.split('|').map(|number| number.parse().with_context(|| format!("{number:?} is no number"))).collect()
}

fn summaries(sizes: &[Size]) -> Table {
    let mut table = Table::new(
        "storage",
        "Bytes of a summary, in tables of the simulator's mix after VACUUM.",
        vec!["table", "rows", "heap", "TOAST", "indexes", "bytes a summary"],
    );
    table.rows = sizes
        .iter()
        .map(|size| {
            let mut cells = vec![Cell::Text(size.table.clone()), Cell::Count(size.rows)];
            cells.extend(size.bytes.map(|bytes| Cell::Bytes(bytes / size.rows)));
            cells.push(Cell::Bytes(size.total() / size.rows));
            cells
        })
        .collect();
    table
}

fn days(site: &Site<'_>, sizes: &[Size], json: f64, user_days: f64) -> Result<Table> {
    let numbers = numbers_of(&site.postgres().query(DATABASE, RAW)?)?;
    let [notifications, sealed, raw] = numbers[..].try_into()?;
    ensure!(notifications > 0.0, "no notifications are kept as received");
    let summaries: f64 = sizes.iter().map(Size::total).sum();
    let mut table = Table::new(
        "storage-day",
        format!(
            "What a participant's day takes, of {user_days} of them in {notifications} notifications with all types of \
             summaries."
        ),
        vec!["what", "bytes a day", "of the JSON"],
    );
    table.rows = [
        ("the JSON as it is sent, repeats and versions included", json),
        ("the rows of summaries, with their indexes", summaries),
        ("notifications as received: compressed and sealed", sealed),
        ("the same with all of its table", raw),
    ]
    .map(|(what, bytes)| {
        vec![Cell::Text(what.to_owned()), Cell::Bytes(bytes / user_days), Cell::ratio(bytes, json)]
    })
    .to_vec();
    Ok(table)
}
