//! A stack's folder, `target/stack/<name>/`, and its record of everything that runs on it.
//!
//! The record is what makes `kill -9` harmless: whatever a killed run left is found in it by the next run and ended,
//! see [`super::sweep()`]. So a process is recorded as soon as it has been started, and the folder comes into being
//! together with its record.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};

use super::{
    identity::ProcessIdentity,
    state::{ProcessRecord, StackState},
    sweep,
};
use crate::workspace;

/// A folder for the files and the record of a stack. Clones are the same folder; the last one to go removes it, unless
/// it has been made persistent.
#[derive(Clone)]
pub struct StackFolder(Arc<Inner>);

struct Inner {
    path: PathBuf,
    state: Mutex<StackState>,
}

impl StackFolder {
    /// A new folder with a name nobody else has: `prefix` and some random digits.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(prefix: &str) -> Result<Self> {
        Self::create_named(&format!("{prefix}-{:08x}", fastrand::u32(..)))
    }

    /// A new folder with exactly this name.
    ///
    /// # Errors
    /// It exists already, or it cannot be made.
    pub fn create_named(name: &str) -> Result<Self> {
        let all = all_stacks()?;
        // Made aside and then renamed, so that nobody ever finds the folder without its record.
        let aside = all.join(format!("{}{:08x}", sweep::UNFINISHED, fastrand::u32(..)));
        fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
        let state = StackState::of_this_process()?;
        state.write(&aside)?;
        // Apollo's programs read `.env` in their working folder or one above it. This empty one keeps them from a
        // developer's own.
        fs::write(aside.join(".env"), "")?;
        let path = all.join(name);
        if let Err(error) = fs::rename(&aside, &path) {
            fs::remove_dir_all(&aside)?;
            if path.exists() {
                bail!("{} exists already", path.display());
            }
            return Err(error).with_context(|| format!("cannot make {}", path.display()));
        }
        Ok(Self(Arc::new(Inner { path, state: Mutex::new(state) })))
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// A copy of the record.
    #[must_use]
    pub fn state(&self) -> StackState {
        self.0.lock().clone()
    }

    /// From now on the stack outlives this process.
    ///
    /// # Errors
    /// `stack.json` cannot be written.
    pub fn persist(&self) -> Result<()> {
        self.update(|state| state.persistent = true)
    }

    /// A new folder within this one.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn is_persistent(&self) -> bool {
        self.0.lock().persistent
    }

    /// Notes a process that has been started.
    pub(crate) fn record(&self, process: ProcessRecord) -> Result<()> {
        self.update(|state| state.processes.push(process))
    }

    /// Strikes out a process that has ended.
    pub(crate) fn forget(&self, identity: ProcessIdentity) -> Result<()> {
        self.update(|state| state.processes.retain(|process| process.identity != identity))
    }

    /// Changes the record, in memory and on disk.
    pub(crate) fn update(&self, change: impl FnOnce(&mut StackState)) -> Result<()> {
        let mut state = self.0.lock();
        change(&mut state);
        state.write(&self.0.path)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, StackState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.lock().clone();
        if !state.persistent
            && let Err(error) = remove(&self.path, &state)
        {
            eprintln!("cannot remove {}: {error:#}", self.path.display());
        }
    }
}

/// `target/stack`, which holds the folders of all stacks.
pub(crate) fn all_stacks() -> Result<PathBuf> {
    Ok(workspace::target_directory()?.join("stack"))
}

/// Removes a stack's folders. It does not matter if somebody else was quicker.
pub(crate) fn remove(path: &Path, state: &StackState) -> Result<()> {
    for folder in state.outside_folders.iter().map(PathBuf::as_path).chain([path]) {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
