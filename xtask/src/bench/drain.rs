//! Workers that empty a queue which was filled beforehand, and what it takes them.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::site::{Settings, Site};
use crate::{
    interrupt,
    metrics::Metrics,
    stack::{DATABASE, Service},
    ui,
};

/// How often the workers' counters are read: each time costs them about as much as a row.
const PAUSE: Duration = Duration::from_millis(50);
/// Without any progress for this long there will be none.
const STALLED: Duration = Duration::from_secs(60);

/// The result of `apollo-bench fill`.
#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    pub(crate) notifications: u64,
    pub(crate) summaries: u64,
    pub(crate) bytes: u64,
    user_ids: Vec<String>,
}

/// What workers took.
#[derive(Debug)]
pub(crate) struct Drained {
    /// From the first batch to the last one.
    pub(crate) summaries_a_second: f64,
    /// Processors' time of the workers for each summary, in microseconds.
    pub(crate) worker_microseconds: f64,
    /// That of PostgreSQL.
    pub(crate) postgres_microseconds: f64,
    /// That of RabbitMQ.
    pub(crate) rabbitmq_microseconds: f64,
    /// How many processors these three kept busy on average, from the start of the workers on.
    pub(crate) processors_busy: f64,
    /// The most that one worker had resident, in bytes.
    pub(crate) peak_memory: u64,
}

/// Fills the queue of the summaries while nobody consumes it. Its users are put on record, as those of a study that has
/// begun are.
pub(crate) fn fill(site: &Site<'_>, arguments: &[&str]) -> Result<Filled> {
    let broker = site.stack.rabbitmq.url("/");
    let filled: Filled = site.tool("fill", [&["--rabbitmq-url", &broker], arguments].concat())?;
    let file = site.stack.folder.path().join("user_ids.txt");
    fs::write(&file, filled.user_ids.join("\n"))?;
    let script = format!(
        "CREATE TEMPORARY TABLE known (user_id text);\n\
         \\copy known FROM '{}'\n\
         INSERT INTO garmin_oauth.user_id (user_id) SELECT user_id FROM known ON CONFLICT DO NOTHING;\n\
         CHECKPOINT;\n",
        file.display()
    );
    site.postgres().run_script(DATABASE, &script)?;
    Ok(filled)
}

/// Lets `workers` workers empty the queue, which holds so many `summaries`.
///
/// # Errors
/// They stop making progress, or the user has asked to stop.
pub(crate) fn drain(
    site: &Site<'_>,
    workers: usize,
    settings: Settings<'_>,
    summaries: u64,
) -> Result<Drained> {
    let rabbitmq = site.stack.rabbitmq.pid().context("RabbitMQ has ended")?;
    let postgres_before = processor_time_of_children(site.stack.postgres.pid())?;
    let rabbitmq_before = processor_time(rabbitmq)?;
    let begun = Instant::now();
    let workers: Vec<Service> =
        (1..=workers).map(|number| site.worker(number, settings)).collect::<Result<_>>()?;
    let pages: Vec<String> = workers.iter().map(Service::metrics).collect();
    let (first, last) = until_done(&pages, summaries)?;
    let time: Duration =
        workers.iter().map(|worker| processor_time(worker.identity().pid)).sum::<Result<Duration>>()?;
    let postgres = processor_time_of_children(site.stack.postgres.pid())?.saturating_sub(postgres_before);
    let rabbitmq = processor_time(rabbitmq)?.saturating_sub(rabbitmq_before);
    let busy = time + postgres + rabbitmq;
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6 / summaries as f64;
    Ok(Drained {
        summaries_a_second: (last.done - first.done) as f64 / (last.at - first.at).as_secs_f64().max(1e-3),
        worker_microseconds: microseconds(time),
        postgres_microseconds: microseconds(postgres),
        rabbitmq_microseconds: microseconds(rabbitmq),
        processors_busy: busy.as_secs_f64() / begun.elapsed().as_secs_f64(),
        peak_memory: workers.iter().filter_map(Service::peak_memory).max().unwrap_or_default(),
    })
}

/// How far the workers were at a moment.
#[derive(Clone, Copy)]
struct Progress {
    at: Instant,
    done: u64,
}

/// The first moment at which something was done, and the first at which everything was.
fn until_done(pages: &[String], summaries: u64) -> Result<(Progress, Progress)> {
    let bar = ui::countdown(summaries);
    let mut first: Option<Progress> = None;
    let mut last = Progress { at: Instant::now(), done: 0 };
    while last.done < summaries {
        interrupt::check()?;
        let done = Metrics::fetch(pages)?.sum("apollo_worker_summaries_total", &[]) as u64;
        if done > last.done {
            last = Progress { at: Instant::now(), done };
            first.get_or_insert(last);
            bar.set_position(done);
        } else if last.at.elapsed() > STALLED {
            bail!(
                "nothing has happened for {} s: {done} of {summaries} summaries are stored",
                STALLED.as_secs()
            );
        }
        thread::sleep(PAUSE);
    }
    bar.finish_and_clear();
    Ok((first.unwrap_or(last), last))
}

/// Processors' time that a process has taken so far, in all of its threads.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let fields = stat(pid).with_context(|| format!("process {pid} has ended"))?;
    Ok(ticks(&fields, [11, 12]))
}

/// The same for the children of a process, those that have ended included.
fn processor_time_of_children(pid: u32) -> Result<Duration> {
    let ended = ticks(&stat(pid).with_context(|| format!("process {pid} has ended"))?, [13, 14]);
    let processes = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let running: Duration = processes
        .filter_map(stat)
        .filter(|fields| fields.get(1).and_then(|parent| parent.parse().ok()) == Some(pid))
        .map(|fields| ticks(&fields, [11, 12]))
        .sum();
    Ok(ended + running)
}

/// The fields of `/proc/PID/stat` behind the program's name (proc(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], places: [usize; 2]) -> Duration {
    let ticks: u64 = places.iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum();
    // Linux has counted in hundredths of a second for programs since long (USER_HZ).
    Duration::from_millis(ticks * 10)
}
