//! What the program does: one function a command.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use apollo_simulator::plan::{Notification, Plan};
use apollo_simulator::sender::{self, SendOptions, SendReport};
use apollo_simulator::verify;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

use crate::{PushArguments, VerifyArguments, output};

/// How long an unreachable database is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The exit code of a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

pub(crate) async fn push(arguments: PushArguments) -> Result<ExitCode> {
    let plan = arguments.plan.plan();
    let json = arguments.json;
    let options = options(arguments)?;
    let bar = output::bar(u64::from(plan.users) * u64::from(plan.days), "user-days");
    let report = sender::send(&plan, &options, cancelled_by_ctrl_c(), |progress| {
        output::show_progress(&bar, progress)
    })
    .await?;
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        output::print_sent(&report);
    }
    output::explain_incomplete(&report);
    Ok(match report {
        SendReport { complete: true, .. } => ExitCode::SUCCESS,
        SendReport { given_up: true, .. } => ExitCode::FAILURE,
        _ => ExitCode::from(INTERRUPTED),
    })
}

pub(crate) async fn verify(arguments: VerifyArguments) -> Result<ExitCode> {
    let plan = arguments.plan.plan();
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect(&arguments.database_url)
        .await
        .context("the database cannot be reached: is --database-url right, and PostgreSQL running?")?;
    let bar = output::bar(plan.users.into(), "users");
    let report = verify::verify_with_progress(&pool, &plan, |users| bar.set_position(users)).await?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        output::print_verified(&report);
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn generate(plan: &Plan, key: Option<&str>) -> Result<ExitCode> {
    match print_notifications(plan, key) {
        // Whoever reads this, `head` for one, has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.map(|()| ExitCode::SUCCESS).context("the notifications cannot be written"),
    }
}

/// A line of `generate`.
#[derive(Serialize)]
struct Line<'a> {
    endpoint: Option<&'static str>,
    body: &'a RawValue,
}

fn print_notifications(plan: &Plan, key: Option<&str>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let wanted = |notification: &Notification| key.is_none_or(|key| notification.summaries.contains_key(key));
    for notification in plan.groups().flat_map(|group| group.notifications()).filter(wanted) {
        let line =
            Line { endpoint: notification.endpoint, body: serde_json::from_slice(&notification.body)? };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn options(arguments: PushArguments) -> Result<SendOptions> {
    let ca_certificates = match &arguments.ca_file {
        Some(file) => Some(
            std::fs::read(file).with_context(|| format!("--ca-file {} cannot be read", file.display()))?,
        ),
        None => None,
    };
    Ok(SendOptions {
        client_id: arguments.client_id,
        ca_certificates,
        rate: arguments.rate,
        concurrency: arguments.concurrency.into(),
        max_attempts: Some(arguments.max_attempts),
        ..SendOptions::new(arguments.url)
    })
}

/// The first Ctrl-C lets POSTs that are under way finish; a second one does not wait for them.
fn cancelled_by_ctrl_c() -> CancellationToken {
    let cancellation = CancellationToken::new();
    let cancelled = cancellation.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("stopping: waiting for the POSTs that are under way (Ctrl-C again to leave at once)");
            cancelled.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
    cancellation
}
