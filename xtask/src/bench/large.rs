//! The workers' rate into a table that is large already, and for what comes again.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    drain::{Drained, drain, fill},
    psql,
    site::{Settings, Site},
    table::{Cell, Table},
};
use crate::{stack::DATABASE, ui};

/// Epochs that come in each turn, and that are there before.
const COUNT: u64 = 400_000;
const BEFORE: u64 = 10_000_000;
/// What PostgreSQL counts of a table comes a moment after the connection that did it has ended.
const COUNTED: Duration = Duration::from_millis(1500);
const ROWS_ONLY: Settings<'_> = &[("WORKER__RAW_RETENTION_DAYS", "0")];
/// When the first notification of the first turn was received, in microseconds since 1970; of each of the next turns, later.
const RECEIVED_AT: i64 = 1_794_265_200_000_000;
const LATER: i64 = 3_600_000_000;

/// A way in which epochs come.
struct Turn {
    what: &'static str,
    received_at: i64,
    /// Seconds by which they are longer.
    longer: u64,
}

const NEW: Turn = Turn { what: "new, into a large table", received_at: RECEIVED_AT, longer: 0 };
const AGAIN: [Turn; 3] = [
    Turn { what: "the same messages again", received_at: RECEIVED_AT, longer: 0 },
    Turn { what: "the same content again, received later", received_at: RECEIVED_AT + LATER, longer: 0 },
    Turn { what: "every epoch longer than before", received_at: RECEIVED_AT + 2 * LATER, longer: 60 },
];

/// What PostgreSQL says of the table of epochs.
struct Counts {
    inserted: f64,
    updated: f64,
    updated_in_place: f64,
    bytes: f64,
}

/// Measures all turns, with one worker.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let mut table = Table::new(
        "large",
        "Epochs a second of one worker, by what there is before; what was written; how many of the updates were HOT, which \
         leave the index alone; and how much the table grew with its index.",
        vec![
            "epochs that are",
            "rows/s",
            "of new ones in an empty table",
            "inserted",
            "updated",
            "of these HOT",
            "grown by",
        ],
    );
    let empty = ui::timed("new, into an empty table", || turn(site, &NEW))?;
    table.rows.push(row("new, into an empty table", &empty, &empty));
    psql::empty(site)?;
    let before = if site.quick { BEFORE / 100 } else { BEFORE };
    ui::timed(format_args!("make {before} epochs"), || make_large(site, before))?;
    for again in std::iter::once(&NEW).chain(&AGAIN) {
        let measured = ui::timed(again.what, || turn(site, again))?;
        table.rows.push(row(again.what, &measured, &empty));
    }
    Ok(vec![table])
}

fn turn(site: &Site<'_>, turn: &Turn) -> Result<(Drained, Counts)> {
    let count = if site.quick { COUNT / 50 } else { COUNT }.to_string();
    let (received_at, longer) = (turn.received_at.to_string(), turn.longer.to_string());
    let wanted = ["--type", "epochs", "--count", &count, "--received-at", &received_at, "--longer", &longer];
    let filled = fill(site, &wanted)?;
    let before = counts(site)?;
    let drained = drain(site, 1, ROWS_ONLY, filled.summaries)?;
    thread::sleep(COUNTED);
    let after = counts(site)?;
    let grown = Counts {
        inserted: after.inserted - before.inserted,
        updated: after.updated - before.updated,
        updated_in_place: after.updated_in_place - before.updated_in_place,
        bytes: after.bytes - before.bytes,
    };
    Ok((drained, grown))
}

fn counts(site: &Site<'_>) -> Result<Counts> {
    let answer = site.postgres().query(
        DATABASE,
        "SELECT n_tup_ins, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid) FROM pg_stat_user_tables
         WHERE schemaname = 'garmin_wellness' AND relname = 'epoch_summary'",
    )?;
    let numbers: Vec<f64> = answer.split('|').map(str::parse).collect::<Result<_, _>>()?;
    let [inserted, updated, updated_in_place, bytes] = numbers[..] else {
        return Err(anyhow::anyhow!("{answer}")).context("what PostgreSQL says of the table of epochs");
    };
    Ok(Counts { inserted, updated, updated_in_place, bytes })
}

/// Gives all users epochs of the months before, so that there are so many.
fn make_large(site: &Site<'_>, epochs: u64) -> Result<()> {
    let script = format!(
        "INSERT INTO garmin_wellness.epoch_summary (
             user_id, summary_id, start_time, start_time_offset_in_seconds, duration_in_seconds, activity_type,
             active_time_in_seconds, steps, distance_in_meters, active_kilocalories, met, intensity,
             mean_motion_intensity, max_motion_intensity, received_at, message_id, entry_index, content_digest)
         SELECT user_id, 'x' || number, timestamptz '2026-11-01' - number * interval '15 min', 3600, 900, 'WALKING',
                450, number % 900, number % 700, number % 50, 1.5, 'ACTIVE', 2.5, 4,
                timestamptz '2026-11-01', gen_random_uuid(), 0, decode(md5(user_id || number), 'hex')
         FROM garmin_oauth.user_id,
              generate_series(1, {epochs} / (SELECT count(*) FROM garmin_oauth.user_id)) AS number;
         VACUUM ANALYZE garmin_wellness.epoch_summary;"
    );
    site.postgres().run_script(DATABASE, &script)
}

fn row(what: &str, (drained, counts): &(Drained, Counts), (empty, _): &(Drained, Counts)) -> Vec<Cell> {
    vec![
        Cell::Text(what.to_owned()),
        Cell::Count(drained.summaries_a_second),
        Cell::ratio(drained.summaries_a_second, empty.summaries_a_second),
        Cell::Count(counts.inserted),
        Cell::Count(counts.updated),
        Cell::ratio(counts.updated_in_place, counts.updated),
        Cell::Bytes(counts.bytes.max(0.0)),
    ]
}
