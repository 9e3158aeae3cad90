//! A simulated Garmin, `apollo-simulator garmin`: where participants of a demonstration have their accounts.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    StackFolder,
    process::{Process, Program},
};

/// What its address is called among a stack's.
pub(crate) const GARMIN: &str = "simulated Garmin";
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running simulated Garmin.
pub struct Garmin {
    /// Its address.
    pub url: String,
    /// The variables with which the receiver and the worker find it.
    pub(crate) environment: BTreeMap<String, String>,
    _process: Process,
}

/// What it prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    url: String,
    env: BTreeMap<String, String>,
}

impl Garmin {
    /// Starts it on a free port; `plan` are the simulator's options that say whose accounts there are.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub(crate) fn start(stack: &StackFolder, binaries: &Path, plan: &[String]) -> Result<Self> {
        let authority = stack.path().join("garmin-ca.pem");
        let program = Program::new("garmin", binaries.join("apollo-simulator"))
            .args(["garmin", "--json", "--listen", "127.0.0.1:0", "--ca-out"])
            .args([&authority])
            .args(plan);
        let mut process = Process::start(stack, program)?;
        process.wait_ready(START_LIMIT, |process| Ok(ready(&process.log_tail()).is_some()))?;
        let Ready { url, env } = ready(&process.log_tail()).context("the simulated Garmin is not ready")?;
        stack.update(|state| {
            state.urls.insert(GARMIN.to_owned(), url.clone());
        })?;
        Ok(Self { url, environment: env, _process: process })
    }
}

fn ready(log: &str) -> Option<Ready> {
    log.lines().rev().find_map(|line| serde_json::from_str(line.trim()).ok())
}
