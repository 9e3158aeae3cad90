//! Clearing up after runs that could not do it themselves (`kill -9`, a crash, a power cut).
//!
//! A process is ended only if its pid *and* its start time are those of the record, so that nobody else's is ever hit. A
//! stack of another container is left alone: whether its owner lives cannot be seen from here.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail, ensure};

use super::{
    folder,
    state::{STACK_FILE, StackState},
    wait,
};

/// How the name of a folder begins that is not a stack yet.
pub(crate) const UNFINISHED: &str = ".new-";
/// Longer than it can take from making a folder to giving it its name.
const UNFINISHED_FOR: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Ends what dead runs left behind under `target/stack` and removes their folders.
///
/// # Errors
/// `target/stack` cannot be read. What cannot be removed is told on stderr and left for the next sweep.
pub fn sweep() -> Result<()> {
    let all = folder::all_stacks()?;
    if !all.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if let Err(error) = sweep_one(&path) {
            eprintln!("cannot clear up {}: {error:#}", path.display());
        }
    }
    Ok(())
}

/// Ends every process of a stack, the last started first, and removes its folders.
pub(crate) fn end(path: &Path, state: &StackState) -> Result<()> {
    ensure!(
        state.is_of_this_namespace()?,
        "{} belongs to another container: stop it there, or remove the folder if that container is gone",
        path.display()
    );
    for process in state.processes.iter().rev() {
        process.stop_signal.send(process.identity);
        if !wait::happens_within(STOP_LIMIT, || !process.identity.is_alive()) {
            process.identity.kill_group();
        }
    }
    if let Some(left) = state.processes.iter().find(|process| !ends(process.identity)) {
        bail!("process {} ({}) cannot be ended", left.identity.pid, left.name);
    }
    folder::remove(path, state)
}

fn ends(identity: super::ProcessIdentity) -> bool {
    wait::happens_within(Duration::from_secs(5), || !identity.is_alive())
}

fn sweep_one(path: &Path) -> Result<()> {
    let file = path.join(STACK_FILE);
    let is_unfinished =
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) || !file.exists();
    if is_unfinished {
        let age = SystemTime::now().duration_since(fs::metadata(path)?.modified()?).unwrap_or_default();
        if age > UNFINISHED_FOR {
            fs::remove_dir_all(path)?;
        }
        return Ok(());
    }
    let state = StackState::read(&file)?;
    if state.persistent || !state.is_of_this_namespace()? || state.owner.is_alive() {
        return Ok(());
    }
    end(path, &state)
}
