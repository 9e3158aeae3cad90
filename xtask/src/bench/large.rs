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

/// Epochs that are there before.
const BEFORE: u64 = 10_000_000;
/// What PostgreSQL counts of a table comes a moment after the connection that did it has ended.
const COUNTED: Duration = Duration::from_millis(1500);
const ROWS_ONLY: Settings<'_> = &[("WORKER__RAW_RETENTION_DAYS", "0")];
/// When the first notification of the first turn was received, in microseconds since 1970; of each of the next turns, later.
const RECEIVED_AT: i64 = 1_794_265_200_000_000;
const LATER: i64 = 3_600_000_000;

/// What comes, and where it is stored.
struct Subject {
    key: &'static str,
    table: &'static str,
    count: u64,
}

const EPOCHS: Subject = Subject { key: "epochs", table: "epoch_summary", count: 400_000 };
/// With their heart rates: series, which PostgreSQL keeps beside the rows.
const DAILIES: Subject = Subject { key: "dailies", table: "daily_summary", count: 40_000 };

/// A way in which they come.
struct Turn {
    what: &'static str,
    received_at: i64,
    /// Seconds by which they are longer.
    longer: u64,
    /// Of so many one comes.
    one_of: u64,
}

const NEW: Turn = Turn { what: "new, into an empty table", received_at: RECEIVED_AT, longer: 0, one_of: 1 };
const NEW_OF_MANY: Turn = Turn { what: "new, into a large table", ..NEW };
const AGAIN: [Turn; 4] = [
    Turn { what: "the same messages again", ..NEW },
    Turn { what: "the same content again, received later", received_at: RECEIVED_AT + LATER, ..NEW },
    Turn { what: "one in ten, longer", received_at: RECEIVED_AT + 2 * LATER, longer: 60, one_of: 10 },
    Turn { what: "all of them, longer", received_at: RECEIVED_AT + 3 * LATER, longer: 120, one_of: 1 },
];

/// What PostgreSQL says of a table.
struct Counts {
    inserted: f64,
    updated: f64,
    updated_in_place: f64,
    bytes: f64,
    /// Bytes of what is kept beside the rows.
    series_bytes: f64,
}

/// Measures all turns, with one worker.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let mut table = Table::new(
        "large",
        "Summaries a second of one worker, by what there is before; what was written; how many of the updates were HOT, \
         which leave the index alone; and how much the table grew with its index and its series, and the series alone.",
        vec![
            "summaries",
            "that are",
            "rows/s",
            "of new ones in an empty table",
            "inserted",
            "updated",
            "of these HOT",
            "grown by",
            "series grown by",
        ],
    );
    let empty = measured(site, &EPOCHS, &NEW)?;
    table.rows.push(row(&EPOCHS, &NEW, &empty, &empty));
    psql::empty(site)?;
    let before = if site.quick { BEFORE / 100 } else { BEFORE };
    ui::timed(format_args!("make {before} epochs"), || make_large(site, before))?;
    for turn in std::iter::once(&NEW_OF_MANY).chain(&AGAIN) {
        table.rows.push(row(&EPOCHS, turn, &measured(site, &EPOCHS, turn)?, &empty));
    }
    let empty = measured(site, &DAILIES, &NEW)?;
    table.rows.push(row(&DAILIES, &NEW, &empty, &empty));
    for turn in &AGAIN {
        table.rows.push(row(&DAILIES, turn, &measured(site, &DAILIES, turn)?, &empty));
    }
    Ok(vec![table])
}

fn measured(site: &Site<'_>, subject: &Subject, turn: &Turn) -> Result<(Drained, Counts)> {
    ui::timed(format_args!("{}: {}", subject.key, turn.what), || take_turn(site, subject, turn))
}

fn take_turn(site: &Site<'_>, subject: &Subject, turn: &Turn) -> Result<(Drained, Counts)> {
    let count = if site.quick { subject.count / 50 } else { subject.count } / turn.one_of;
    let [count, received_at, longer, one_of] =
        [count.to_string(), turn.received_at.to_string(), turn.longer.to_string(), turn.one_of.to_string()];
    let what = ["--type", subject.key, "--count", &count, "--longer", &longer, "--one-of", &one_of];
    let filled = fill(site, &[&what[..], &["--received-at", &received_at]].concat())?;
    let before = counts(site, subject)?;
    let drained = drain(site, 1, ROWS_ONLY, filled.summaries)?;
    thread::sleep(COUNTED);
    let after = counts(site, subject)?;
    let grown = Counts {
        inserted: after.inserted - before.inserted,
        updated: after.updated - before.updated,
        updated_in_place: after.updated_in_place - before.updated_in_place,
        bytes: after.bytes - before.bytes,
        series_bytes: after.series_bytes - before.series_bytes,
    };
    Ok((drained, grown))
}

fn counts(site: &Site<'_>, subject: &Subject) -> Result<Counts> {
    let query = format!(
        "SELECT n_tup_ins, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid),
                coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0)
         FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
         WHERE schemaname = 'garmin_wellness' AND pg_stat_user_tables.relname = '{}'",
        subject.table
    );
    let answer = site.postgres().query(DATABASE, &query)?;
    let numbers: Vec<f64> = answer.split('|').map(str::parse).collect::<Result<_, _>>()?;
    let [inserted, updated, updated_in_place, bytes, series_bytes] = numbers[..] else {
        return Err(anyhow::anyhow!("{answer}")).context("what PostgreSQL says of a table");
    };
    Ok(Counts { inserted, updated, updated_in_place, bytes, series_bytes })
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

fn row(
    subject: &Subject,
    turn: &Turn,
    (drained, counts): &(Drained, Counts),
    (empty, _): &(Drained, Counts),
) -> Vec<Cell> {
    vec![
        Cell::Text(subject.key.to_owned()),
        Cell::Text(turn.what.to_owned()),
        Cell::Count(drained.summaries_a_second),
        Cell::ratio(drained.summaries_a_second, empty.summaries_a_second),
        Cell::Count(counts.inserted),
        Cell::Count(counts.updated),
        Cell::ratio(counts.updated_in_place, counts.updated),
        Cell::Bytes(counts.bytes.max(0.0)),
        Cell::Bytes(counts.series_bytes.max(0.0)),
    ]
}
