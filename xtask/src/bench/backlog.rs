//! What came while no worker ran: how fast two workers catch up, and what messages cost beside what rows cost.

use std::time::SystemTime;

use anyhow::{Result, ensure};

use super::{
    drain::{drain, fill},
    memory::{Memory, WORKER_LIMIT},
    site::Site,
    table::{Cell, Table},
};
use crate::{stack::DATABASE, ui};

const WORKERS: usize = 2;
/// The same epochs, in as many messages as there can be and in ordinary ones.
const SHAPES: [(&str, &str); 2] = [("1 epoch each", "1"), ("100 epochs each", "100")];
/// Bytes of a notification: so many that the entries alone decide how large it is.
const LARGE: &str = "1000000";

/// Fills the queue and lets workers empty it, once for each shape.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(super) fn measure(site: &Site<'_>, memory: &mut Memory) -> Result<Table> {
    let count = if site.quick { "20000" } else { "1000000" };
    let mut table = Table::new(
        "backlog",
        format!("A backlog of epochs, stored by {WORKERS} workers into an empty table."),
        vec!["notifications", "messages", "bytes", "stored in", "messages/s", "summaries/s"],
    );
    for (name, entries) in SHAPES {
        let during = format!("a backlog of {name}");
        table.rows.push(ui::timed(&during, || row(site, memory, name, [count, entries]))?);
    }
    Ok(table)
}

fn row(site: &Site<'_>, memory: &mut Memory, name: &str, [count, entries]: [&str; 2]) -> Result<Vec<Cell>> {
    site.postgres().execute(DATABASE, "TRUNCATE garmin_wellness.epoch_summary, garmin_raw.notification")?;
    let received_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros().to_string();
    let shape = ["--type", "epochs", "--count", count, "--entries", entries, "--bytes", LARGE];
    let filled = fill(site, &[&shape[..], &["--received-at", &received_at]].concat())?;
    let drained = drain(site, WORKERS, &[], filled.summaries)?;
    memory.note(&format!("a backlog of {name}"), "worker", Some(drained.peak_memory), Some(WORKER_LIMIT));
    let rows = site.postgres().query(DATABASE, "SELECT count(*) FROM garmin_wellness.epoch_summary")?;
    ensure!(rows == filled.summaries.to_string(), "{} summaries became {rows} rows", filled.summaries);
    let seconds = filled.summaries as f64 / drained.summaries_a_second;
    Ok(vec![
        Cell::Text(name.to_owned()),
        Cell::Count(filled.notifications as f64),
        Cell::Bytes(filled.bytes as f64),
        Cell::Seconds(seconds),
        Cell::Count(filled.notifications as f64 / seconds),
        Cell::Count(drained.summaries_a_second),
    ])
}
