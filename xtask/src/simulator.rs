//! `apollo-simulator`, which plays Garmin and knows what the database must hold.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{cargo, stack::StackFolder};

/// The result of `apollo-simulator verify --json`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Verified {
    /// Rows that are expected and there.
    pub(crate) compared: u64,
    pub(crate) missing: u64,
    pub(crate) unexpected: u64,
    pub(crate) different: u64,
    pub(crate) of_others: u64,
    /// Some of the differences.
    pub(crate) differences: Vec<serde_json::Value>,
}

impl Verified {
    /// Whether the database holds exactly what it must.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing + self.unexpected + self.different + self.of_others == 0
    }
}

/// Runs a command of the simulator in the folder `binaries`, its progress bar visible, and reads its result.
///
/// # Errors
/// It cannot be run, or says nothing; the user has asked to stop.
pub(crate) fn run<T: DeserializeOwned>(
    binaries: &Path,
    stack: &StackFolder,
    command: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<T> {
    let result = stack.path().join(format!("{command}.json"));
    let mut simulator = Command::new(binaries.join("apollo-simulator"));
    simulator
        .args([command, "--json"])
        .args(arguments)
        // A file, because a pipe that nobody reads yet would stop a long result.
        .stdout(File::create(&result)?);
    let status = cargo::run_on_stack(&mut simulator, "simulator", stack)?;
    let json = fs::read(&result)?;
    // What it found stands in the result, whatever its exit code says of it.
    ensure!(!json.is_empty(), "apollo-simulator {command} failed: {status}");
    serde_json::from_slice(&json).with_context(|| format!("the result of apollo-simulator {command}"))
}
