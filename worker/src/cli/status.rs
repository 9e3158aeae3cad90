//! `apollo-worker status`.

mod text;

use super::{Told, output};
use crate::config::{AdminConfig, DatabaseConfig};
use crate::status::figures::Status;
use crate::status::{Observer, Worker};
use crate::store;
use apollo_shared::broker::{Broker, BrokerConfig};
use apollo_shared::shutdown;
use clap::Args;
use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

/// Between two looks at the queues, so that it can be told how fast they grow.
const MOMENT: Duration = Duration::from_millis(1200);

/// Between two pictures with --watch.
const INTERVAL: Duration = Duration::from_secs(2);

/// Moves to the upper left corner and clears all that is below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What to show, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    apollo-worker status                       how is it? (the exit code says it too)\n  \
    apollo-worker status --watch               the same, again and again, until Ctrl-C\n  \
    apollo-worker status --json | jq .needs    for programs\n\n\
    Queues are told by RabbitMQ, participants, notifications and history by PostgreSQL: with the settings that workers \
    have, and whether one runs or not. Lanes and lag are told by the worker behind WORKER__ADMIN_LISTEN, if there is one. \
    In a browser the same is on that address: http://127.0.0.1:8002/")]
pub(super) struct StatusOptions {
    /// Shows it again every two seconds, until Ctrl-C; with --json, an object a line
    #[arg(long)]
    watch: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    broker: BrokerConfig,
    #[command(flatten)]
    admin: AdminConfig,
}

/// Prints it, once or until it is told to stop.
pub(super) async fn run(options: StatusOptions) -> anyhow::Result<()> {
    let pool = store::pool(store::connect_options(&options.database.url)?, 1);
    let broker = Broker::new(&options.broker, "apollo-worker status")?;
    let observer = Observer::new(Worker::At(options.admin.listen), pool, broker);
    let stop = shutdown::on_signal()?;
    observer.look().await;
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(pause(&options))).await.is_none() {
            return Ok(());
        }
        let Some(status) = stop.run_until_cancelled(observer.look()).await else { return Ok(()) };
        output::print(picture(&status, &options)?.as_bytes())?;
        if !options.watch {
            return if status.needs.is_empty() { Ok(()) } else { Err(Told.into()) };
        }
    }
}

const fn pause(options: &StatusOptions) -> Duration {
    if options.watch { INTERVAL } else { MOMENT }
}

fn picture(status: &Status, options: &StatusOptions) -> anyhow::Result<String> {
    let is_terminal = stdout().is_terminal();
    Ok(match (options.json, options.watch) {
        (true, true) => format!("{}\n", serde_json::to_string(status)?),
        (true, false) => format!("{}\n", serde_json::to_string_pretty(status)?),
        (false, watch) => {
            let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let text = text::text(status, colours);
            match (watch, is_terminal) {
                (true, true) => format!("{CLEAR}{text}"),
                (true, false) => format!("{text}\n"),
                (false, _) => text,
            }
        }
    })
}
