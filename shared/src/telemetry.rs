//! Logs: one line an event, pretty for a person or JSON for a machine. And traces, where they are asked for.
//!
//! Never logged or traced: bodies, tokens, secrets, the secret path segment, and the user ids of participants.

mod context;
mod export;
mod repetition;
pub mod traces;

use clap::{Args, ValueEnum};
pub use context::TraceContext;
use repetition::Repetition;
use std::error::Error;
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// How to log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs (RUST_LOG filters, as in RUST_LOG=warn,apollo_worker=debug)")]
pub struct LogConfig {
    /// How log lines look.
    #[arg(long = "log-format", env = "LOG__FORMAT", value_name = "LOG__FORMAT", default_value = "pretty")]
    pub format: LogFormat,
}

/// The looks of a log line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For a person at a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// lapin logs a returned message whole, body included, under this target.
const SILENCED: &str = "lapin::returned_messages=off";

/// Starts logging to standard error. Call it once, first of all.
pub fn start(config: &LogConfig) {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new("info,lapin=error,sqlx::postgres::notice=warn"));
    let filter = match SILENCED.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Pretty => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let repetition = Repetition::default();
    repetition.report();
    tracing_subscriber::registry().with(lines).with(repetition).with(filter).init();
}

/// An error and its causes on one line, for where it is handled. A cause that the text before it repeats
/// already (lapin's errors do) is left out.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be read")]
    struct Unreadable(#[source] Repeating);

    #[derive(Debug, thiserror::Error)]
    #[error("input: {0}")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn causes_are_told_once() {
        let error = Unreadable(Repeating(io::Error::other("disk on fire")));
        assert_eq!(with_causes(&error), "the file cannot be read: input: disk on fire");
    }
}
