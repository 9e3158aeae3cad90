//! `apollo-bench`: what `cargo xtask bench` loads Apollo with, and what it compares Apollo with.
//!
//! Each command does one thing and prints its result as JSON.

mod bare;
mod broker;
mod entries;
mod fill;
mod load;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The parts of `cargo xtask bench` that need an event loop of their own. Each prints its result as JSON.
#[derive(Debug, Parser)]
#[command(name = "apollo-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Puts notifications into the queue of the summaries, as a receiver would
    Fill(fill::Fill),
    /// POSTs notifications as fast as they are answered
    Load(load::Load),
    /// Serves POSTs with nothing but a publish and its confirm
    BareHandler(bare::BareHandler),
    /// Publishes to the broker as fast as it confirms
    Broker(broker::BrokerAlone),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Fill(options) => fill::run(options).await.and_then(|result| print(&result)),
        Command::Load(options) => load::run(options).await.and_then(|result| print(&result)),
        Command::BareHandler(options) => bare::run(options).await,
        Command::Broker(options) => broker::run(options).await.and_then(|result| print(&result)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(result: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}
