//! `apollo-simulator`: pushes what Garmin would push, checks what became of it, and is the Garmin at which participants
//! consent.

mod commands;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use apollo_simulator::expectation::SUMMARY_TYPES;
use apollo_simulator::plan::Plan;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use reqwest::Url;

/// Plays Garmin: pushes the health data of users who do not exist, checks that the database holds all of it, and lets
/// those users consent.
///
/// The same --users, --days and --seed (and --sample-interval) always make the same users and notifications, so `verify`
/// knows what `push` has sent, and `consent` whom `garmin` knows.
#[derive(Debug, Parser)]
#[command(name = "apollo-simulator", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Push a plan's notifications to a receiver, repeating what is not answered 200.
    ///
    /// Users of one household are pushed one notification after the other, households at the same time. Ends with exit
    /// code 0 if all of it was acknowledged, 1 if that was given up, 2 if nothing could be sent, 130 after Ctrl-C.
    Push(PushArguments),
    /// Ask a receiver several times a second whether it still acknowledges, until Ctrl-C.
    ///
    /// Each question is a small notification of a user of its own, apollo-probe, whom no plan has, and none waits for the
    /// answer to another. The record tells when each 200 came, and so how long there was none.
    Probe(ProbeArguments),
    /// Compare a database with a plan that was pushed completely, or with the record of what was acknowledged of it.
    ///
    /// Every row and column of the plan's users is compared; rows of other users count as differences. Ends with exit
    /// code 0 if there is no difference, 1 if there is, 2 if the database could not be asked.
    Verify(VerifyArguments),
    /// Print a plan's notifications, one JSON object {"endpoint", "body"} a line, in the order of sending.
    Generate(GenerateArguments),
    /// Be the Garmin at which participants consent and from which data is fetched: OAuth provider, consent page and API,
    /// until Ctrl-C.
    ///
    /// Its accounts are the plan's users. It prints the variables that make a receiver and a worker use it, for their .env
    /// file. Everything it knows is in memory: tokens and callback URLs that it has given out end with it.
    Garmin(commands::GarminArguments),
    /// Play participants: open the consent page, agree on the page of `apollo-simulator garmin`, wait for the outcome.
    ///
    /// They are the plan's first users, as P-0001, P-0002 and so on. Ends with exit code 0 if everybody's account was
    /// linked, 1 if not, 2 if nobody could be sent on the way, 130 after Ctrl-C.
    Consent(ConsentArguments),
}

/// What to make.
#[derive(Debug, Clone, Args)]
struct PlanArguments {
    /// How many users.
    #[arg(long, default_value_t = Plan::default().users, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// How many days each of them records.
    #[arg(long, default_value_t = Plan::default().days, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Everything random follows from it.
    #[arg(long, default_value_t = Plan::default().seed)]
    seed: u64,
    /// At most one sample in so many seconds in every series, for smaller bodies [default: as devices do].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    sample_interval: Option<u32>,
}

#[derive(Debug, Args)]
struct PushArguments {
    /// The receiver as Garmin would call it, with the secret part of its path if it has one: https://host/SECRET
    #[arg(long)]
    url: Url,
    #[command(flatten)]
    plan: PlanArguments,
    /// At most so many POSTs a second [default: as fast as they are answered].
    #[arg(long, value_name = "POSTS_A_SECOND")]
    rate: Option<f64>,
    /// How many households are pushed at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    concurrency: u16,
    /// Give up when one notification was refused so often. With pauses of up to five seconds, 60 is some five minutes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: u32,
    /// One more certificate authority to trust, or several, in a PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Send this in the header garmin-client-id.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Tell this simulated Garmin (the url that `apollo-simulator garmin` prints) of each notification before it is sent:
    /// its activity files can then be fetched there.
    #[arg(long, value_name = "URL")]
    garmin: Option<Url>,
    /// Send pings, which only say where the data can be fetched: all of it is kept at the simulated Garmin.
    #[arg(long, requires = "garmin")]
    ping: bool,
    /// Write a line to this new file for each notification as it is acknowledged, for `verify`. After Ctrl-C what was refused
    /// is then repeated until it is acknowledged, so that nothing is in doubt.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ProbeArguments {
    /// The receiver as Garmin would call it, with the secret part of its path if it has one: https://host/SECRET
    #[arg(long)]
    url: Url,
    /// The pause between two of them.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Write a line to this new file for each 200: its number, and when it came in milliseconds since 1970.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// One more certificate authority to trust, or several, in a PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print how many got which answer as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// The worker's database: postgres://user@host:port/name
    #[arg(long)]
    database_url: String,
    #[command(flatten)]
    plan: PlanArguments,
    /// The record of the push, which need not have come to the plan's end.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Compare the activity files too, of the plan's first so many users: those who have consented, with a push --garmin.
    #[arg(long, value_name = "PARTICIPANTS", default_value_t = 0, hide_default_value = true)]
    files: u32,
    /// Rows of this user do not count as differences; may be given several times.
    #[arg(long, value_name = "USER_ID")]
    leave_out: Vec<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct GenerateArguments {
    #[command(flatten)]
    plan: PlanArguments,
    /// Only those that hold summaries under this top-level key of Garmin's.
    #[arg(long = "type", value_name = "KEY", value_parser = PossibleValuesParser::new(keys()))]
    key: Option<String>,
}

#[derive(Debug, Args)]
struct ConsentArguments {
    /// The receiver as participants call it (its RECEIVER__PUBLIC_URL).
    #[arg(long)]
    url: Url,
    /// How many participants.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    participants: u32,
    #[command(flatten)]
    plan: PlanArguments,
    /// How many of them are on their way at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    concurrency: u16,
    /// How long after the one before each begins at the earliest, as the edge gives one address no more than some pages a
    /// second.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    apart: u64,
    /// How long each waits for the outcome.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    patience: u64,
    /// One more certificate authority to trust, or several, in a PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The top-level keys of all types.
fn keys() -> impl Iterator<Item = &'static str> {
    SUMMARY_TYPES.iter().flat_map(|summary_type| summary_type.keys).copied()
}

impl PlanArguments {
    fn plan(&self) -> Plan {
        Plan {
            users: self.users,
            days: self.days,
            seed: self.seed,
            sample_interval_seconds: self.sample_interval,
        }
    }
}

/// The exit code when the question itself could not be answered, to be told from the answer "no", which is 1.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse().command).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(FAILED)
    })
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Push(arguments) => commands::push(arguments).await,
        Command::Probe(arguments) => commands::probe(arguments).await,
        Command::Verify(arguments) => commands::verify(arguments).await,
        Command::Generate(arguments) => commands::generate(&arguments.plan.plan(), arguments.key.as_deref()),
        Command::Garmin(arguments) => commands::garmin(arguments).await,
        Command::Consent(arguments) => commands::consent(arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }
}
