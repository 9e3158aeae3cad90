//! Programs of ours that do one thing and tell the result as JSON on stdout.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

use crate::{cargo, stack::StackFolder};

/// Runs a command of a program, its progress bar visible, and reads its result.
///
/// # Errors
/// It cannot be run, or says nothing; the user has asked to stop.
pub(crate) fn run<T: DeserializeOwned>(
    program: &Path,
    stack: &StackFolder,
    command: &[&str],
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<T> {
    let name = format!("{} {}", program.file_name().unwrap_or_default().display(), command[0]);
    let result = stack.path().join(format!("{}.json", command[0]));
    let mut process = Command::new(program);
    process
        .args(command)
        .args(arguments)
        // A file, because a pipe that nobody reads yet would stop a long result.
        .stdout(File::create(&result)?);
    let status = cargo::run_on_stack(&mut process, &name, stack)?;
    let json = fs::read(&result)?;
    // What it found stands in the result, whatever its exit code says of it.
    ensure!(!json.is_empty(), "{name} failed: {status}");
    serde_json::from_slice(&json).with_context(|| format!("the result of {name}"))
}
