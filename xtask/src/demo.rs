//! `cargo xtask demo`: the main job, on real input, checked row for row.

mod drain;
mod figures;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use serde::de::DeserializeOwned;

use self::{drain::Drain, figures::Figures};
use crate::{
    cli::Demo,
    interrupt,
    metrics::Metrics,
    simulator::{self, Consented, Pushed, Verified},
    stack::{self, Apollo, DATABASE, Layout, Purpose, Stack},
    ui, up,
};

/// Milliseconds: each participant asks for three pages, and nginx gives one address 20 a second.
const PARTICIPANTS_APART: &str = "160";

/// Runs the demonstration.
///
/// # Errors
/// Anything was lost or differs, something does not start, or the user has asked to stop before the end.
pub(crate) fn run(options: &Demo) -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    up::build(&["apollo-receiver", "apollo-worker", "apollo-simulator"])?;
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("demo"))?;
    let what = format!("migrate; start a simulated Garmin, nginx, receiver, {} worker(s)", options.workers);
    let apollo = ui::timed(what, || {
        let layout = Layout::plain(&stack, options.workers as usize, plan(options))?;
        Apollo::start(&stack, &up::release_folder()?, layout)
    })?;
    let figures = measure(options, &stack, &apollo)?;
    print!("\n{figures}");
    let verdict = figures.verdict();
    if !options.exit {
        stay_up(&stack);
    }
    ui::timed("stop everything", || {
        drop((apollo, stack));
        Ok(())
    })?;
    verdict
}

fn measure(options: &Demo, stack: &Stack, apollo: &Apollo) -> Result<Figures> {
    let simulator = Simulator { options, stack };
    let authority = apollo.nginx.address.certificate_authority.display().to_string();
    let edge = ["--url", &apollo.nginx.address.url(), "--ca-file", &authority];
    let participants = options.participants().to_string();
    let crowd = ["--participants", &participants, "--apart", PARTICIPANTS_APART];
    let consented: Consented = ui::timed(format_args!("{participants} participants consent"), || {
        simulator.run("consent", &[&edge[..], &crowd].concat())
    })?;
    ensure!(consented.all_linked(), "not every participant's account was linked: {consented}");
    let before = drain::confirmed(apollo)?;
    let start = Instant::now();
    let through_garmin = ["--garmin", &apollo.garmin.url];
    let (verb, ping) = if options.ping { ("ping", &["--ping"][..]) } else { ("push", &[][..]) };
    let what = format!("{verb} {} day(s) of {} users through nginx", options.days, options.users);
    let pushed: Pushed =
        ui::timed(what, || simulator.run("push", &[&edge[..], &through_garmin, ping].concat()))?;
    // Where not everybody has consented, the pings of others' files are put off for a day, until they might have.
    let drain = Drain { stack, apollo, before, with_put_off: options.everybody_consents() };
    let drained_at = ui::timed("wait until the queues are empty", || drain.wait())?;
    let metrics = Metrics::fetch(&apollo.worker_metrics())?;
    let verified: Verified = ui::timed("compare the database with the simulator's expectation", || {
        let database = stack.postgres.url(DATABASE);
        simulator.run("verify", &["--database-url", &database, "--files", &participants])
    })?;
    let programs = apollo.receivers.iter().chain(&apollo.workers);
    let mut peak_memory: Vec<_> =
        programs.map(|program| (program.name().to_owned(), program.peak_memory())).collect();
    peak_memory.push(("RabbitMQ".to_owned(), stack.rabbitmq.peak_memory()));
    let end_to_end = drained_at.duration_since(start);
    Ok(Figures { consented, pushed, verified, metrics, end_to_end, peak_memory })
}

/// The simulator's options that say whom it simulates.
fn plan(options: &Demo) -> Vec<String> {
    let options =
        [("--users", options.users.into()), ("--days", options.days.into()), ("--seed", options.seed)];
    options.into_iter().flat_map(|(name, value): (&str, u64)| [name.to_owned(), value.to_string()]).collect()
}

/// `apollo-simulator`, for one plan.
struct Simulator<'a> {
    options: &'a Demo,
    stack: &'a Stack,
}

impl Simulator<'_> {
    fn run<T: DeserializeOwned>(&self, command: &str, arguments: &[&str]) -> Result<T> {
        let arguments = arguments.iter().map(ToString::to_string).chain(plan(self.options));
        simulator::run(&up::release_folder()?, &self.stack.folder, command, arguments)
    }
}

fn stay_up(stack: &Stack) {
    up::how_to_use(&stack.folder.state());
    ui::step("it stays up until Ctrl-C");
    while interrupt::caught().is_none() {
        thread::sleep(Duration::from_millis(100));
    }
}

impl Figures {
    /// An error if anything was lost or differs.
    fn verdict(&self) -> Result<()> {
        if !self.pushed.complete {
            bail!("not every notification was acknowledged");
        }
        let dead = self.dead_letters();
        if dead > 0 {
            bail!(
                "{dead} messages or entries became dead letters, though the simulator sends none that should"
            );
        }
        if !self.verified.is_clean() {
            bail!("the database is not what it must be: see the rows above");
        }
        Ok(())
    }
}
