//! `cargo xtask scale-demo`: the same backlog, emptied by one worker, by two, by four.

use std::thread;

use anyhow::{Result, ensure};

use crate::{
    bench::{
        self,
        drain::{Drained, drain, fill},
        psql,
        site::Site,
        table::{Cell, Table},
    },
    cli::ScaleDemo,
    stack::{self, DATABASE, Purpose, Stack},
    ui, up,
};

/// When the first of the notifications was received, in microseconds since 1970: the same makes the same backlog.
const RECEIVED_AT: &str = "1794265200000000";

/// What so many workers took for the backlog.
struct Measured {
    workers: u32,
    notifications: u64,
    summaries: u64,
    rows: u64,
    drained: Drained,
}

/// Runs the demonstration.
///
/// # Errors
/// Anything was lost, something does not start, or the user has asked to stop before the end.
pub(crate) fn run(options: &ScaleDemo) -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    let binaries = up::build_either(options.debug, &bench::PROGRAMS)?;
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("scale-demo"))?;
    let site = ui::timed("migrate", || Site::new(&stack, binaries, options.quick, &[]))?;
    let all = options.workers.iter().map(|workers| measure(&site, *workers, options.backlog_users()));
    let all = all.collect::<Result<Vec<_>>>()?;
    println!("\n{}", table(&all, thread::available_parallelism()?.get()));
    check_rows(&all)?;
    ui::timed("stop everything", || {
        drop(stack);
        Ok(())
    })
}

/// Fills the queue, and lets so many workers empty it into empty tables.
fn measure(site: &Site<'_>, workers: u32, users: u32) -> Result<Measured> {
    psql::empty(site)?;
    let users = users.to_string();
    let filled = ui::timed("fill the queue", || {
        fill(site, &["--type", "mix", "--count", &users, "--received-at", RECEIVED_AT])
    })?;
    let what = format!("{workers} worker(s) store {} summaries", filled.summaries);
    let drained = ui::timed(what, || drain(site, workers as usize, &[], filled.summaries))?;
    let rows = psql::filled_tables(site)?.iter().map(|table| rows(site, table)).sum::<Result<u64>>()?;
    Ok(Measured { workers, notifications: filled.notifications, summaries: filled.summaries, rows, drained })
}

fn rows(site: &Site<'_>, table: &str) -> Result<u64> {
    let count = format!("SELECT count(*) FROM garmin_wellness.{table}");
    Ok(site.postgres().query(DATABASE, &count)?.parse()?)
}

impl Measured {
    /// Seconds from the first batch to the last one.
    fn seconds(&self) -> f64 {
        self.summaries as f64 / self.drained.summaries_a_second
    }

    /// Seconds of processors' time, of workers, PostgreSQL and RabbitMQ.
    fn processors(&self) -> [f64; 3] {
        let Drained { worker_microseconds, postgres_microseconds, rabbitmq_microseconds, .. } = self.drained;
        [worker_microseconds, postgres_microseconds, rabbitmq_microseconds]
            .map(|microseconds| microseconds * self.summaries as f64 / 1e6)
    }

    fn title(&self, processors: usize) -> String {
        let [notifications, summaries, rows] =
            [self.notifications, self.summaries, self.rows].map(|number| Cell::Count(number as f64));
        format!(
            "A backlog of {notifications} notifications with {summaries} summaries, which became {rows} rows each time, on \
             {processors} processors."
        )
    }

    fn cells(&self, first: &Self) -> Vec<Cell> {
        let seconds = self.seconds();
        let [worker, postgres, rabbitmq] = self.processors();
        vec![
            Cell::Count(f64::from(self.workers)),
            Cell::Seconds(seconds),
            Cell::Count(self.notifications as f64 / seconds),
            Cell::Count(self.drained.summaries_a_second),
            Cell::ratio(self.drained.summaries_a_second, first.drained.summaries_a_second),
            Cell::Seconds(worker),
            Cell::Seconds(postgres),
            Cell::Seconds(rabbitmq),
            Cell::Ratio(self.drained.processors_busy),
            Cell::Bytes(self.drained.peak_memory as f64),
        ]
    }
}

/// The rates, beside the first one.
fn table(all: &[Measured], processors: usize) -> Table {
    let mut table = Table::new(
        "scale",
        all.first().map_or_else(String::new, |first| first.title(processors)),
        vec![
            "workers",
            "emptied in",
            "notifications/s",
            "summaries/s",
            "of the first",
            "workers' CPU",
            "PostgreSQL's CPU",
            "RabbitMQ's CPU",
            "processors busy",
            "peak memory of a worker",
        ],
    );
    table.rows = all.iter().map(|measured| measured.cells(&all[0])).collect();
    table
}

/// The same backlog becomes the same rows, however many workers store it.
fn check_rows(all: &[Measured]) -> Result<()> {
    let Some(first) = all.first() else { return Ok(()) };
    for Measured { workers, rows, .. } in all {
        ensure!(
            *rows == first.rows,
            "{workers} worker(s) made {rows} rows of what {} made {} of",
            first.workers,
            first.rows
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(workers: u32, rows: u64, summaries_a_second: f64) -> Measured {
        let drained = Drained {
            summaries_a_second,
            worker_microseconds: 100.0,
            postgres_microseconds: 200.0,
            rabbitmq_microseconds: 50.0,
            processors_busy: 1.75,
            peak_memory: 1 << 20,
        };
        Measured { workers, notifications: 1_000, summaries: 10_000, rows, drained }
    }

    #[test]
    fn the_table_compares_with_the_first_and_says_how_busy_the_processors_were() {
        let all = [measured(1, 9_000, 5_000.0), measured(2, 9_000, 8_000.0)];
        let text = table(&all, 4).to_string();
        assert!(
            text.contains("1,000 notifications with 10,000 summaries, which became 9,000 rows"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "| 2 | 1.25 s | 800 | 8,000 | 1.60 | 1.00 s | 2.00 s | 0.50 s | 1.75 | 1.00 MiB |\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn rows_that_are_lost_are_told() {
        assert!(check_rows(&[measured(1, 9_000, 1.0), measured(2, 9_000, 1.0)]).is_ok());
        let error = check_rows(&[measured(1, 9_000, 1.0), measured(2, 8_999, 1.0)]).unwrap_err();
        assert_eq!(error.to_string(), "2 worker(s) made 8999 rows of what 1 made 9000 of");
    }
}
