//! Garmin under chaos: the simulator pushes a plan and probes the receivers, each in a process of its own, and both keep a
//! record of what was acknowledged.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};

use super::site::Site;
use crate::stack::{
    process::{Process, Program},
    wait_until,
};

/// What is in doubt is repeated until it is acknowledged, with pauses of up to 5 s; a POST takes 30 s at most.
const SETTLE_LIMIT: Duration = Duration::from_secs(180);
/// What a simulated user sends in a day, roughly.
const NOTIFICATIONS_A_USER_DAY: f64 = 11.5;
const DAYS: f64 = 2.0;
/// As many households as are pushed at the same time have at most so many users.
const FEWEST_USERS: f64 = 200.0;
/// The simulator gives up after so many refusals of one notification; here never.
const ATTEMPTS: &str = "1000000";

/// How much is sent.
#[derive(Debug, Clone)]
pub(super) struct LoadOptions {
    /// How long there must be something to send.
    pub(super) lasts: Duration,
    /// POSTs a second.
    pub(super) rate: f64,
    pub(super) seed: u64,
    /// At most one sample in so many seconds in every series.
    pub(super) sample_interval: Option<u32>,
}

impl LoadOptions {
    /// The simulator's options that say what is sent: more than can be.
    pub(super) fn plan(&self) -> Vec<String> {
        let notifications = self.rate * self.lasts.as_secs_f64();
        let users = (2.0 * notifications / (NOTIFICATIONS_A_USER_DAY * DAYS)).max(FEWEST_USERS).ceil();
        let mut plan =
            vec![format!("--users={users}"), format!("--days={DAYS}"), format!("--seed={}", self.seed)];
        plan.extend(self.sample_interval.map(|seconds| format!("--sample-interval={seconds}")));
        plan
    }
}

/// The two processes.
pub(super) struct Load {
    push: Process,
    probe: Process,
    /// The simulator's options that say what is sent.
    pub(super) plan: Vec<String>,
    /// The record of the push.
    pub(super) acknowledged: PathBuf,
    /// The record of the probe.
    pub(super) probed: PathBuf,
    lines: u64,
    unread: BufReader<File>,
}

/// The result of `apollo-simulator push --json`, as far as the report needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Pushed {
    pub(super) notifications: u64,
    pub(super) summaries: BTreeMap<String, u64>,
    pub(super) bytes: u64,
    pub(super) refusals: BTreeMap<String, u64>,
}

/// What both have to tell in the end.
pub(super) struct Sent {
    pub(super) pushed: Pushed,
    /// How many probes got which answer.
    pub(super) probes: BTreeMap<String, u64>,
}

impl Load {
    /// Begins to send through nginx.
    pub(super) fn start(site: &Site, binaries: &Path, options: &LoadOptions) -> Result<Self> {
        let folder = &site.stack.folder;
        let edge = &site.apollo.nginx.address;
        let program = |command: &str, record: &Path| {
            Program::new(command, binaries.join("apollo-simulator"))
                .args([command, "--json", "--url", &edge.url(), "--ca-file"])
                .args([&edge.certificate_authority])
                .args([OsStr::new("--record"), record.as_os_str()])
                .stop_limit(SETTLE_LIMIT)
        };
        let (acknowledged, probed) =
            (folder.path().join("acknowledged.log"), folder.path().join("probed.log"));
        let plan = options.plan();
        let push = program("push", &acknowledged)
            .args(&plan)
            .args(["--garmin", &site.apollo.garmin.url])
            .args(["--rate", &options.rate.to_string()])
            .args(["--max-attempts", ATTEMPTS]);
        let push = Process::start(folder, push)?;
        let probe = Process::start(folder, program("probe", &probed))?;
        wait_until("the simulator sends", Duration::from_secs(30), || Ok(acknowledged.exists()))?;
        let unread = BufReader::new(File::open(&acknowledged)?);
        Ok(Self { push, probe, plan, acknowledged, probed, lines: 0, unread })
    }

    /// An error if it has ended: nothing would be proved any more.
    pub(super) fn check(&mut self) -> Result<()> {
        for process in [&mut self.push, &mut self.probe] {
            let ended = process.ended()?;
            ensure!(ended.is_none(), "{} ended too early: {}", process.name(), process.log_tail());
        }
        Ok(())
    }

    /// How many notifications have been acknowledged.
    pub(super) fn acknowledged(&mut self) -> u64 {
        while self.unread.skip_until(b'\n').is_ok_and(|length| length > 0) {
            self.lines += 1;
        }
        self.lines
    }

    /// Stops sending. What is in doubt is sent until it is acknowledged.
    ///
    /// # Errors
    /// That does not come to an end.
    pub(super) fn stop(&mut self) -> Result<Sent> {
        // Whatever their exit codes say, what they have printed is the result.
        self.push.stop()?;
        self.probe.stop()?;
        Ok(Sent { pushed: result(&self.push)?, probes: result(&self.probe)? })
    }
}

/// The line of JSON that it has printed.
fn result<T: DeserializeOwned>(process: &Process) -> Result<T> {
    let log = process.log_tail();
    let result = log.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    result.with_context(|| format!("{} has not said what it did: {log}", process.name()))
}
