//! `apollo-worker`: the service, and the commands that operators give.

mod backfill;
mod confirm;
mod database;
mod dead_letters;
mod files;
mod garmin;
mod input;
mod invite;
mod keys;
mod output;
mod pull;
mod replay;
mod status;
mod subjects;
mod tokens;

use crate::app::Worker;
use crate::config::{AdminConfig, DatabaseConfig, WorkerConfig};
use crate::metrics::Metrics;
use crate::store::{self, schema};
use apollo_shared::telemetry::{self, LogConfig};
use apollo_shared::{admin, shutdown};
use backfill::Backfill;
use clap::{Args, Parser, Subcommand};
use dead_letters::DeadLetters;
use files::Files;
use invite::InviteOptions;
use keys::Keys;
use pull::PullOptions;
use replay::ReplayOptions;
use sqlx::postgres::PgConnectOptions;
use status::StatusOptions;
use subjects::Subjects;
use tokens::Tokens;

/// Stores what Apollo's receiver took from Garmin in PostgreSQL.
///
/// Every setting is an environment variable (or the option beside it); a file .env is read if there is one.
#[derive(Debug, Parser)]
#[command(name = "apollo-worker", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    log: LogConfig,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service: takes notifications from RabbitMQ and stores them, until SIGTERM or Ctrl-C
    Serve(Box<WorkerConfig>),
    /// Brings the database's schema to this program's version, as the database's owner; safe to run many times, and by
    /// many at once
    Migrate(Migrate),
    /// Reads notifications of the past from garmin_raw again, into tables that did not exist when they came, or
    /// were damaged since; safe at any time, beside running workers, and many times
    Replay(Box<ReplayOptions>),
    /// Shows what could not be handled (the queue apollo.dead), gives it another try, or drops it
    #[command(subcommand, name = "dead-letters")]
    DeadLetters(DeadLetters),
    /// Writes activity files to disk, counts them, and reads those again that could not be read
    #[command(subcommand)]
    Files(Files),
    /// Prints links that let participants consent, each as one subject and until it expires; with
    /// RECEIVER__INVITATIONS=required nobody can consent without one
    Invite(InviteOptions),
    /// Pulls what a participant's devices have uploaded without waiting for a ping, with a pull token of Garmin's portal
    Pull(Box<PullOptions>),
    /// Imports, migrates and counts the tokens that let Apollo call Garmin for users
    #[command(subcommand)]
    Tokens(Tokens),
    /// Shows the study's subjects, and ends a subject's participation
    #[command(subcommand)]
    Subjects(Subjects),
    /// Asks Garmin for the history of participants, paced and resumable; shows how far that is
    Backfill(Box<Backfill>),
    /// Makes keys for SECRETS__KEYS, shows which are in use, and replaces old ones
    #[command(subcommand)]
    Keys(Keys),
    /// Asks a running worker whether it is ready; exit code 0 if so, else 1 and the reasons
    Health(AdminConfig),
    /// Shows how everything is: queues, lanes, lag, notifications, participants; exit code 0 if all is well, 1 if something
    /// needs a person
    Status(Box<StatusOptions>),
    /// Prints every metric that a worker shows at /metrics: type, labels, meaning
    Metrics,
}

/// A failure that the command has told already: only its exit code is left to be given.
#[derive(Debug, thiserror::Error)]
#[error("see above")]
pub struct Told;

#[derive(Debug, Args)]
struct Migrate {
    #[command(flatten)]
    database: DatabaseConfig,
    /// The role that workers connect as: if there is one of this name, it is granted what serving needs, and no more
    #[arg(
        long = "database-worker-role",
        env = "DATABASE__WORKER_ROLE",
        value_name = "DATABASE__WORKER_ROLE",
        default_value = "apollo_worker",
        help_heading = "PostgreSQL"
    )]
    worker_role: String,
    #[command(subcommand)]
    action: Option<MigrateAction>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum MigrateAction {
    /// Goes forward to this program's version (what `migrate` alone does)
    Up,
    /// Goes back, dropping what later versions brought: their tables with all data in them
    Down {
        /// The version to go back to; 0 for an empty database
        #[arg(long)]
        to: i64,
    },
    /// Shows the version of the database and of this program
    Status,
}

/// Carries the command out.
///
/// # Errors
/// What went wrong, for the terminal.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::start(&cli.log);
    match cli.command {
        Command::Serve(config) => {
            let stop = shutdown::on_signal()?;
            Ok(Worker::build(*config).await?.run(stop).await?)
        }
        Command::Migrate(Migrate { database, worker_role, action }) => {
            let options = store::connect_options(&database.url)?;
            migrate(&options, &worker_role, action.unwrap_or(MigrateAction::Up)).await
        }
        Command::Replay(options) => replay::run(*options).await,
        Command::DeadLetters(dead_letters) => dead_letters::run(dead_letters).await,
        Command::Files(files) => files::run(files).await,
        Command::Invite(options) => invite::run(options),
        Command::Pull(options) => pull::run(*options).await,
        Command::Tokens(tokens) => tokens::run(tokens).await,
        Command::Subjects(subjects) => subjects::run(subjects).await,
        Command::Backfill(backfill) => backfill::run(*backfill).await,
        Command::Keys(keys) => keys::run(keys).await,
        Command::Health(AdminConfig { listen }) => {
            admin::check(listen).await?;
            println!("ready");
            Ok(())
        }
        Command::Status(options) => status::run(*options).await,
        Command::Metrics => {
            print!("{}", Metrics::new()?.table());
            Ok(())
        }
    }
}

async fn migrate(options: &PgConnectOptions, worker_role: &str, action: MigrateAction) -> anyhow::Result<()> {
    let (before, after) = match action {
        MigrateAction::Up => schema::migrate(options, worker_role).await?,
        MigrateAction::Down { to } => schema::migrate_down(options, to).await?,
        MigrateAction::Status => {
            let found = schema::version(&mut schema::connect(options).await?).await?;
            println!("the schema is at version {found}; this program's is {}", schema::known_version());
            return Ok(());
        }
    };
    match before == after {
        true => println!("the schema is at version {after} already"),
        false => println!("the schema was at version {before} and is now at {after}"),
    }
    Ok(())
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
