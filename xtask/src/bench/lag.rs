//! From received to committed: how much goes through a whole Apollo, and how long a notification takes at less than that.
//!
//! The simulator posts its mix straight to one receiver, and two workers store it, all with their defaults. What makes
//! the notifications shares the machine with what takes them, so the capacity is that of everything together.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{
    backlog,
    memory::{Memory, RECEIVER_LIMIT, WORKER_LIMIT},
    site::Site,
    table::{Cell, Table},
};
use crate::{
    metrics::Metrics,
    simulator::{self, Pushed},
    stack::{Service, wait_until},
    ui,
};

const WORKERS: usize = 2;
/// Households pushed at the same time: enough that none has to wait for another's answer.
const CONCURRENCY: &str = "64";
/// Users of the first push, which warms up and tells how many more make up the wanted time.
const FIRST_USERS: u32 = 100;
const DAYS: u32 = 2;
const LAG: &str = "apollo_worker_lag_seconds";
const STORED: &str = "apollo_worker_summaries_total";
const LIMIT: Duration = Duration::from_secs(600);

/// Measures capacity, lag, backlogs, and the memory of it all.
///
/// # Errors
/// Something was lost, fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let mut memory = Memory::default();
    let lag = pushes(site, &mut memory)?;
    let backlog = backlog::measure(site, &mut memory)?;
    memory.note("all of this", "RabbitMQ", site.stack.rabbitmq.peak_memory(), None);
    Ok(vec![lag, backlog, memory.table("memory")])
}

fn pushes(site: &Site<'_>, memory: &mut Memory) -> Result<Table> {
    let [full, window] = if site.quick { [3.0, 3.0] } else { [40.0, 30.0] };
    let mut apollo = Apollo::start(site)?;
    let first = ui::timed("warm up", || apollo.push(FIRST_USERS, DAYS, None))?;
    let a_user = first.pushed.notifications as f64 / f64::from(FIRST_USERS);
    let users = |rate: f64, seconds: f64| (rate * seconds / a_user).max(1.0) as u32;
    let fastest =
        ui::timed("as fast as it goes", || apollo.push(users(first.stored_a_second(), full), DAYS, None))?;
    let capacity = fastest.stored_a_second();
    let mut pushes = vec![("as fast as it goes", fastest)];
    for (name, share) in [("50 % of that", 0.5), ("90 % of that", 0.9)] {
        let rate = capacity * share;
        pushes.push((name, ui::timed(name, || apollo.push(users(rate, window), DAYS, Some(rate)))?));
    }
    memory.note_service("pushes", &apollo.receiver, RECEIVER_LIMIT);
    for worker in &apollo.workers {
        memory.note_service("pushes", worker, WORKER_LIMIT);
    }
    Ok(table(&pushes))
}

/// A receiver, workers, and what has been pushed to them.
pub(super) struct Apollo<'a> {
    site: &'a Site<'a>,
    url: String,
    receiver: Service,
    workers: Vec<Service>,
    /// Of the last plan: each has other users.
    seed: u32,
}

impl<'a> Apollo<'a> {
    pub(super) fn start(site: &'a Site<'a>) -> Result<Self> {
        let workers = (1..=WORKERS).map(|number| site.worker(number, &[])).collect::<Result<_>>()?;
        let (receiver, url) = site.receiver(&[])?;
        Ok(Self { site, url, receiver, workers, seed: 0 })
    }

    /// Pushes so many days of so many users, at most so many notifications a second, and waits until all of it is stored.
    pub(super) fn push(&mut self, users: u32, days: u32, rate: Option<f64>) -> Result<Push> {
        self.seed += 1;
        let plan = [("--users", users), ("--days", days), ("--seed", self.seed)];
        let mut arguments = ["--url", &self.url, "--concurrency", CONCURRENCY].map(str::to_owned).to_vec();
        arguments.extend(plan.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]));
        arguments.extend(rate.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
        let pages: Vec<String> = self.workers.iter().map(Service::metrics).collect();
        let before = Metrics::fetch(&pages)?;
        let begun = Instant::now();
        let pushed: Pushed = simulator::run(&self.site.binaries, &self.site.stack.folder, "push", arguments)?;
        ensure!(pushed.complete, "not every notification was acknowledged");
        let summaries = pushed.summaries_total() as f64;
        wait_until("everything is stored", LIMIT, || {
            Ok(Metrics::fetch(&pages)?.since(&before).sum(STORED, &[]) >= summaries)
        })?;
        let stored_in = begun.elapsed();
        let since = Metrics::fetch(&pages)?.since(&before);
        let stored = since.sum(STORED, &[]);
        ensure!(stored == summaries, "{summaries} summaries were pushed, and {stored} are stored");
        let dead = since.sum("apollo_worker_dead_letters_total", &[]);
        ensure!(dead == 0.0, "{dead} of what the simulator sends became dead letters");
        let lag = [0.5, 0.99, 1.0].map(|share| since.quantile(LAG, share));
        Ok(Push { asked: rate, pushed, stored_in, lag })
    }
}

/// A push, and what came of it.
pub(super) struct Push {
    /// Notifications a second.
    asked: Option<f64>,
    pub(super) pushed: Pushed,
    /// From the first POST to the last commit.
    stored_in: Duration,
    /// Half, 99 in 100 and all of the notifications were stored within so many seconds.
    lag: [Option<f64>; 3],
}

impl Push {
    /// Notifications a second, until the last was stored.
    fn stored_a_second(&self) -> f64 {
        self.pushed.notifications as f64 / self.stored_in.as_secs_f64()
    }

    fn cells(&self, name: &str) -> Vec<Cell> {
        let Self { asked, pushed, stored_in, lag } = self;
        let posts = pushed.notifications as f64 / pushed.seconds;
        let summaries = pushed.summaries_total() as f64 / stored_in.as_secs_f64();
        let mut cells = vec![
            Cell::Text(name.to_owned()),
            Cell::Count(pushed.notifications as f64),
            asked.map_or(Cell::Missing, Cell::Count),
            Cell::Count(posts),
            Cell::Count(self.stored_a_second()),
            Cell::Count(summaries),
            Cell::Milliseconds(pushed.latency.p50_ms),
            Cell::Milliseconds(pushed.latency.p99_ms),
        ];
        let milliseconds = |seconds: f64| Cell::Milliseconds(seconds * 1000.0);
        cells.extend(lag.map(|seconds| seconds.map_or(Cell::Missing, milliseconds)));
        cells
    }
}

fn table(pushes: &[(&str, Push)]) -> Table {
    let title = format!(
        "From received to committed: the simulator's mix to one receiver and {WORKERS} workers. Stored a second: from the \
         first POST to the last commit. Lag: from the receiver's taking a notification to the commit that stored it, of \
         all notifications of the push."
    );
    let columns = vec![
        "load",
        "notifications",
        "asked POSTs/s",
        "POSTs/s",
        "stored/s",
        "summaries/s",
        "POST p50",
        "POST p99",
        "lag p50",
        "lag p99",
        "lag below",
    ];
    let mut table = Table::new("lag", title, columns);
    table.rows = pushes.iter().map(|(name, push)| push.cells(name)).collect();
    table
}
