//! `apollo-simulator`: pushes what Garmin would push, and checks what became of it.

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

/// Plays Garmin: pushes the health data of users who do not exist, and checks that the database holds all of it.
///
/// The same --users, --days and --seed (and --sample-interval) always make the same notifications, so `verify` knows what
/// `push` has sent.
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
    /// Compare a database with a plan that was pushed completely.
    ///
    /// Every row and column of the plan's users is compared; rows of other users count as differences. Ends with exit
    /// code 0 if there is no difference, 1 if there is, 2 if the database could not be asked.
    Verify(VerifyArguments),
    /// Print a plan's notifications, one JSON object {"endpoint", "body"} a line, in the order of sending.
    Generate(GenerateArguments),
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
    /// Print the result as one JSON object.
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
        Command::Verify(arguments) => commands::verify(arguments).await,
        Command::Generate(arguments) => commands::generate(&arguments.plan.plan(), arguments.key.as_deref()),
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
