//! Running cargo and our own programs in the foreground: their output visible, Ctrl-C respected.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    interrupt,
    stack::{ProcessIdentity, ProcessRecord, StackFolder, StopSignal},
    workspace,
};

/// How long a program that got Ctrl-C from the terminal itself may take to stop on its own.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Runs cargo with its output visible.
///
/// # Errors
/// It ends with another status than 0, or the user has asked to stop.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(arguments);
    let status = run_to_end(&mut command)?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

/// Whether a cargo subcommand, such as `nextest`, is installed.
pub(crate) fn has(subcommand: &str) -> bool {
    let mut command = workspace::cargo();
    command.args([subcommand, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program in our own process group, so that Ctrl-C in the terminal reaches it too, and waits for its end.
///
/// # Errors
/// It cannot be started, or the user has asked to stop; it has ended then.
pub(crate) fn run_to_end(command: &mut Command) -> Result<ExitStatus> {
    let status = wait(&mut spawn(command)?)?;
    interrupt::check()?;
    Ok(status)
}

/// Runs a program that uses a stack, as [`run_to_end`] does. It stands in the stack's record meanwhile, so that it does
/// not outlive a killed xtask for long.
///
/// # Errors
/// It cannot be started or recorded, or the user has asked to stop; it has ended then.
pub(crate) fn run_on_stack(command: &mut Command, name: &str, stack: &StackFolder) -> Result<ExitStatus> {
    let mut child = spawn(command)?;
    let identity = ProcessIdentity::of(child.id())?;
    let recorded =
        stack.record(ProcessRecord { name: name.to_owned(), identity, stop_signal: StopSignal::Terminate });
    let status = wait(&mut child)?;
    recorded?;
    stack.forget(identity)?;
    interrupt::check()?;
    Ok(status)
}

fn spawn(command: &mut Command) -> Result<Child> {
    interrupt::check()?;
    let name = command.get_program().to_owned();
    command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot run {}", name.display()))
}

/// Waits for a child's end. Once the user has asked to stop, so is the child.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut ask_at = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Some(interrupted) = interrupt::caught() {
            // A second Ctrl-C would make cargo and its test runners give up at once, so they get a moment first.
            let patience =
                if interrupt::came_from_terminal(&interrupted) { PATIENCE } else { Duration::ZERO };
            let due = *ask_at.get_or_insert_with(|| Instant::now() + patience);
            if Instant::now() >= due {
                terminate(child);
                ask_at = Some(Instant::now() + PATIENCE);
            }
        }
        thread::sleep(PAUSE);
    }
}

fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It is our child and not collected yet, so the pid is still its own.
        let _ = kill_process(pid, Signal::TERM);
    }
}
