//! `apollo-simulator`, which plays Garmin and knows what the database must hold.

use std::{collections::BTreeMap, ffi::OsStr, fmt, path::Path};

use anyhow::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{stack::StackFolder, tool};

/// The result of `apollo-simulator push --json`, as far as tables need it.
#[derive(Debug, Deserialize)]
pub(crate) struct Pushed {
    pub(crate) notifications: u64,
    pub(crate) summaries: BTreeMap<String, u64>,
    pub(crate) pings: u64,
    pub(crate) repeated: u64,
    pub(crate) bytes: u64,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) complete: bool,
    /// From the first POST to the last answer.
    pub(crate) seconds: f64,
    pub(crate) latency: Latency,
}

impl Pushed {
    /// Summaries acknowledged, of all types.
    pub(crate) fn summaries_total(&self) -> u64 {
        self.summaries.values().sum()
    }
}

/// The result of `apollo-simulator verify --json`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Verified {
    /// Rows that are expected and there.
    pub(crate) compared: u64,
    pub(crate) missing: u64,
    pub(crate) unexpected: u64,
    pub(crate) different: u64,
    pub(crate) of_others: u64,
    /// Activity files that are expected and there.
    pub(crate) files: u64,
    pub(crate) files_missing: u64,
    pub(crate) files_different: u64,
    /// Some of the differences.
    pub(crate) differences: Vec<serde_json::Value>,
}

impl Verified {
    /// Whether the database holds exactly what it must.
    pub(crate) fn is_clean(&self) -> bool {
        let rows = self.missing + self.unexpected + self.different + self.of_others;
        rows + self.files_missing + self.files_different == 0
    }
}

/// The result of `apollo-simulator consent --json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Consented {
    pub(crate) participants: u64,
    outcomes: BTreeMap<String, u64>,
    pub(crate) latency: Latency,
    first_problem: Option<String>,
}

impl Consented {
    /// How many accounts were linked.
    pub(crate) fn linked(&self) -> u64 {
        self.outcomes.get("linked").copied().unwrap_or_default()
    }

    /// Whether everybody's account was linked.
    pub(crate) fn all_linked(&self) -> bool {
        self.linked() == self.participants
    }
}

impl fmt::Display for Consented {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.outcomes)?;
        self.first_problem.iter().try_for_each(|problem| write!(formatter, "; {problem}"))
    }
}

/// How long Garmin waits for a 200, or a participant from the form to the outcome.
#[derive(Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// Runs a command of the simulator in the folder `binaries`, its progress bar visible, and reads its result.
///
/// # Errors
/// As [`tool::run`].
pub(crate) fn run<T: DeserializeOwned>(
    binaries: &Path,
    stack: &StackFolder,
    command: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<T> {
    tool::run(&binaries.join("apollo-simulator"), stack, &[command, "--json"], arguments)
}
