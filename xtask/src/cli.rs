//! The command line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    bench, chaos, demo, docs, fuzz, instructions,
    interrupt::{self, Interrupted},
    sbom, scale_demo, stack, test, up,
};

/// Runs and tests Apollo on this machine.
///
/// All services are private: PostgreSQL, RabbitMQ and nginx are started on free loopback ports with their files under
/// target/stack/, and stopped again. Services that are on this machine already are neither needed nor touched. What is
/// missing is installed from Debian's packages, and said so first.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the whole system in the background and prints how to use it
    ///
    /// PostgreSQL, RabbitMQ, nginx with TLS, one receiver, two workers and a simulated Garmin, built for release. They run until
    /// `cargo xtask down`, which removes their data too.
    Up,
    /// Stops what `up` started, and removes its data
    Down,
    /// Pushes a burst of simulated notifications through the whole system and checks every row
    ///
    /// Starts everything, lets a few participants consent and the simulator play Garmin for some users and days, waits until
    /// the queues are empty, compares the database with what the simulator expects row for row, and prints a table of what
    /// it saw. With --ping everybody consents, and the workers fetch everything from the simulated Garmin. The exit code is
    /// not 0 if anything was lost or differs. It stays up to look around until Ctrl-C, or stops with --exit.
    Demo(Demo),
    /// Measures how near Apollo comes to the limits that its broker and its database set on this machine
    ///
    /// Each figure stands beside a baseline that was measured in the same run, because machines are noisy: look at the
    /// ratios. Prints Markdown tables, and writes them to target/bench/ as JSON, with plots. All sections take about half
    /// an hour; docs/performance.md tells how to read them.
    Bench(Bench),
    /// Breaks a whole Apollo under load, and proves that nothing was lost
    ///
    /// Starts everything with two receivers and two workers, lets the simulator push through nginx, and meanwhile kills,
    /// stops and freezes programs, cuts, delays and loses their connections, fills a disk, and so on. Then it waits until
    /// all spools and queues are empty and compares every row with what was answered 200. The exit code is not 0 if
    /// anything is lost or wrong; the logs are kept then. docs/chaos.md tells how to read the report.
    Chaos(Chaos),
    /// Shows what more workers bring on this machine
    ///
    /// Fills the queue while no worker runs, then lets one worker empty it, then two, then four, each from the same backlog
    /// into empty tables, and prints how fast each was and what it took of the processors' time of workers, PostgreSQL and
    /// RabbitMQ. When all processors are busy, or PostgreSQL's are, more workers bring nothing: docs/scaling.md tells what to
    /// do then. The exit code is not 0 if anything was lost.
    ScaleDemo(ScaleDemo),
    /// Writes docs/data.md, the reference of all tables and views, and docs/metrics.md, that of all metrics, anew
    ///
    /// From a private PostgreSQL that is migrated for it, and from what the programs say of themselves. `cargo xtask test` fails
    /// when one is out of date.
    Docs,
    /// Looks for bytes that make a parser panic, break a promise, or use much time or memory
    ///
    /// Coverage-guided (libFuzzer), on the stable toolchain. `cargo xtask test` runs a short version of it. What is
    /// found on the way stays in target/fuzz/ for the next run; a finding is written there too, and the command to see
    /// it again is printed.
    Fuzz(Fuzz),
    /// Counts the instructions that parsing and merging take, and compares them with those kept in the repository
    ///
    /// Under valgrind's callgrind, because counts do not depend on how busy a machine is, as times do. The exit code is
    /// not 0 if one differs by more than 5 %, up or down; `cargo xtask test` checks that too. Whoever has made the worker
    /// do less writes the new counts down with --write, in the same commit.
    Instructions(Instructions),
    /// Writes the software bills of materials of both programs to target/sbom/, in CycloneDX's JSON
    ///
    /// All crates that they are made of, with versions, licences, checksums and where they come from, for your own scanners.
    /// The first time, cargo-cyclonedx is installed below target/tools/.
    Sbom,
    /// Runs all tests, as continuous integration does
    ///
    /// Formatting, clippy, rustdoc, cargo deny (where it is installed), docs/data.md and docs/metrics.md, fuzzing for a moment, the counts of instructions, then all unit, property and end-to-end tests
    /// with cargo-nextest where it is installed, with cargo test otherwise. The stack that end-to-end tests need is
    /// started before them and stopped after them.
    Test(Test),
}

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure; all of it if nothing is named
    pub(crate) sections: Vec<BenchSection>,
    /// Of the section worker, measure only these top-level keys, or `mix`; separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// A setting of the programs that are measured, such as WORKER__CONCURRENCY=4, to compare it with the default
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
    /// Measure briefly, to see that it works: the figures are worth little
    #[arg(long)]
    pub(crate) quick: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "NAME=VALUE".to_owned())
}

/// A part of what can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchSection {
    /// POSTs a second, beside a handler that does no more than publish.
    Receiver,
    /// Summaries a second of every type, beside psql.
    Worker,
    /// The same into tables that are large already, and what comes again.
    Large,
    /// From received to committed at half and nearly all of the capacity, a backlog, and the memory of it all.
    Lag,
    /// Start-up, sizes of the programs, memory idle and under the worst that a receiver may see.
    Footprint,
    /// Bytes of a summary of every type, and series as arrays beside a row a sample.
    Storage,
}

/// What to scale.
#[derive(Debug, Args)]
pub(crate) struct ScaleDemo {
    /// Numbers of workers, separated by commas; the others are compared with the first
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2,4",
          value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) workers: Vec<u32>,
    /// Simulated users, whose notifications of two days are the backlog: about 24 with 440 summaries each
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) users: u32,
    /// A tenth of the backlog, to see that it works: the figures are worth little
    #[arg(long)]
    pub(crate) quick: bool,
    /// Take programs that are built for debugging instead of those for release
    #[arg(long)]
    pub(crate) debug: bool,
}

impl ScaleDemo {
    /// Whose notifications are the backlog.
    pub(crate) fn backlog_users(&self) -> u32 {
        if self.quick { self.users.div_ceil(10) } else { self.users }
    }
}

/// The size of a demonstration.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Simulated participants; a thousand send about 220,000 summaries a day
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) users: u32,
    /// Days that each of them sends
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) days: u32,
    /// How many of them consent in the beginning, at a simulated Garmin, so that their data is linked with subjects and
    /// their activity files are fetched
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "ping")]
    participants: u32,
    /// Send pings, which only say where the data can be fetched
    #[arg(long)]
    pub(crate) ping: bool,
    /// Other data for another seed, the same for the same
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Workers that store in parallel
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) workers: u32,
    /// Stop everything at the end instead of waiting for Ctrl-C
    #[arg(long)]
    pub(crate) exit: bool,
}

impl Demo {
    /// How many consent: with pings everybody, as nothing can be fetched without.
    pub(crate) fn participants(&self) -> u32 {
        if self.ping { self.users } else { self.participants.min(self.users) }
    }

    pub(crate) fn everybody_consents(&self) -> bool {
        self.participants() == self.users
    }
}

/// What to break.
#[derive(Debug, Args)]
pub(crate) struct Chaos {
    /// How long to break things; some minutes more are needed before and after
    #[arg(long, default_value_t = 2.0, value_parser = minutes)]
    pub(crate) minutes: f64,
    /// The same faults in the same order for the same, and the same notifications [default: any]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Make only these kinds of faults, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) faults: Vec<String>,
    /// List the kinds of faults, and do nothing
    #[arg(long)]
    pub(crate) list_faults: bool,
    /// Notifications a second
    #[arg(long, default_value_t = 40.0, value_name = "POSTS_A_SECOND", value_parser = rate)]
    pub(crate) rate: f64,
    /// Write the report to this file as JSON too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Break programs that are built for debugging instead of those for release
    #[arg(long)]
    pub(crate) debug: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    between(text, 0.1, 60.0 * 24.0)
}

fn rate(text: &str) -> Result<f64, String> {
    between(text, 0.1, 1000.0)
}

fn between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("a number from {least} to {most}"))
}

/// What to fuzz.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// notification (a whole body, in the worker), split (a body, in the receiver), or the top-level key of a type,
    /// whose entries are fuzzed; all of them if none is named
    pub(crate) targets: Vec<String>,
    /// How long to fuzz each
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Only try this input, on the one target named
    #[arg(long, value_name = "FILE")]
    pub(crate) reproduce: Option<PathBuf>,
}

/// What to do with the counts.
#[derive(Debug, Args)]
pub(crate) struct Instructions {
    /// Keep these counts from now on: worker/examples/instructions.json is written anew
    #[arg(long)]
    pub(crate) write: bool,
}

/// Which tests to run.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run only tests whose names contain one of these, without fmt, clippy and the like
    pub(crate) filter: Vec<String>,
}

/// The program: parses, runs, prints the error if there is one.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => {
                eprintln!("==> {interrupted}: everything has been stopped");
                ExitCode::from(u8::try_from(128 + interrupted.signal).unwrap_or(1))
            }
            None => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: Command) -> Result<()> {
    interrupt::listen()?;
    stack::sweep()?;
    match command {
        Command::Up => up::up(),
        Command::Down => up::down(),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Chaos(options) => chaos::command(&options),
        Command::ScaleDemo(options) => scale_demo::run(&options),
        Command::Docs => docs::write(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Sbom => sbom::run(),
        Command::Test(options) => test::run(&options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
