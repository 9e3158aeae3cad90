//! What the program does: one function a command.

mod garmin;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apollo_simulator::participant::ParticipantOptions;
use apollo_simulator::participant::crowd::{consent_all, participants};
use apollo_simulator::plan::{Notification, Plan};
use apollo_simulator::probe::{self, ProbeOptions};
use apollo_simulator::record::Record;
use apollo_simulator::sender::{self, SendOptions, SendReport};
use apollo_simulator::uploading::{Mode, Uploading};
use apollo_simulator::verify::{self, Scope};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgPoolOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) use garmin::{GarminArguments, garmin};

use crate::{ConsentArguments, ProbeArguments, PushArguments, VerifyArguments, output};

/// How long an unreachable database is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What Ctrl-C is answered with while POSTs are under way.
const FINISHING_POSTS: &str =
    "stopping: waiting for the POSTs that are under way (Ctrl-C again to leave at once)";

/// The exit code of a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

pub(crate) async fn push(arguments: PushArguments) -> Result<ExitCode> {
    let plan = arguments.plan.plan();
    let json = arguments.json;
    let options = options(arguments)?;
    let bar = output::bar(u64::from(plan.users) * u64::from(plan.days), "user-days");
    let report = sender::send(&plan, &options, cancelled_by_ctrl_c(FINISHING_POSTS), |progress| {
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

/// Runs until it is asked to stop, which is how a probe ends well.
pub(crate) async fn probe(arguments: ProbeArguments) -> Result<ExitCode> {
    let options = ProbeOptions {
        send: SendOptions {
            ca_certificates: read_ca_file(arguments.ca_file.as_deref())?,
            ..SendOptions::new(arguments.url)
        },
        pause: Duration::from_millis(arguments.every),
        record: arguments.record,
    };
    let answers = probe::probe(&options, cancelled_by_ctrl_c(FINISHING_POSTS)).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&answers)?);
    } else {
        output::print_answers(&answers);
    }
    Ok(ExitCode::SUCCESS)
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
    let record = arguments.record.as_deref().map(Record::read).transpose()?;
    let scope = Scope { record, left_out: arguments.leave_out, files_of: arguments.files };
    let report = verify::verify_scope(&pool, &plan, &scope, |users| bar.set_position(users)).await?;
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

pub(crate) async fn consent(arguments: ConsentArguments) -> Result<ExitCode> {
    let plan = arguments.plan.plan();
    ensure!(
        arguments.participants <= plan.users,
        "--participants {} is more than the plan has users: raise --users, here and for `apollo-simulator garmin`",
        arguments.participants
    );
    let options = ParticipantOptions {
        ca_certificates: read_ca_file(arguments.ca_file.as_deref())?,
        patience: Duration::from_secs(arguments.patience),
        apart: Duration::from_millis(arguments.apart),
        ..ParticipantOptions::new(&arguments.url)?
    };
    let everybody = participants(user_ids(&plan).take(arguments.participants as usize));
    let cancellation = cancelled_by_ctrl_c("stopping: participants are left where they are");
    let bar = output::bar(arguments.participants.into(), "participants");
    let concurrency = arguments.concurrency.into();
    let report = consent_all(&options, &everybody, concurrency, cancellation.clone(), |report| {
        bar.set_position(report.finished());
    })
    .await;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        output::print_consents(&report);
    }
    Ok(match report.all_linked() {
        true => ExitCode::SUCCESS,
        false if cancellation.is_cancelled() => ExitCode::from(INTERRUPTED),
        false => ExitCode::FAILURE,
    })
}

/// Garmin's ids of the plan's users, in order.
fn user_ids(plan: &Plan) -> impl Iterator<Item = String> + use<> {
    plan.groups().flat_map(|group| group.user_ids())
}

fn read_ca_file(file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let read = |file: &Path| {
        std::fs::read(file).with_context(|| format!("--ca-file {} cannot be read", file.display()))
    };
    file.map(read).transpose()
}

fn options(arguments: PushArguments) -> Result<SendOptions> {
    let mode = if arguments.ping { Mode::Ping } else { Mode::Push };
    Ok(SendOptions {
        uploading: arguments.garmin.map(|garmin| Uploading { garmin, mode }),
        client_id: arguments.client_id,
        ca_certificates: read_ca_file(arguments.ca_file.as_deref())?,
        rate: arguments.rate,
        concurrency: arguments.concurrency.into(),
        max_attempts: Some(arguments.max_attempts),
        record: arguments.record,
        ..SendOptions::new(arguments.url)
    })
}

/// The first Ctrl-C (or SIGTERM) ends the work, which may have to wait for something; a second one does not let it.
fn cancelled_by_ctrl_c(notice: &'static str) -> CancellationToken {
    let cancellation = CancellationToken::new();
    let cancelled = cancellation.clone();
    tokio::spawn(async move {
        if asked_to_stop().await.is_ok() {
            eprintln!("{notice}");
            cancelled.cancel();
        }
        if asked_to_stop().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
    cancellation
}

/// Waits for Ctrl-C, or for SIGTERM, by which service managers end a program.
async fn asked_to_stop() -> io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}
