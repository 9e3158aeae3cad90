//! `stack.json`: what a stack is made of, for those who come after it (tests, `down`, the sweep).

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{
    identity::ProcessIdentity, nginx::NginxAddress, postgres::PostgresAddress, rabbitmq::RabbitMqAddress,
};

/// The name of the file within a stack's folder.
pub const STACK_FILE: &str = "stack.json";

/// The content of `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackState {
    /// The process that started the stack and will stop it.
    pub owner: ProcessIdentity,
    /// The namespace in which all process ids here have a meaning: a container that shares the checkout has another.
    pub pid_namespace: PathBuf,
    /// Whether the stack outlives its owner (`cargo xtask up`).
    pub persistent: bool,
    /// What runs, in the order in which it was started.
    pub processes: Vec<ProcessRecord>,
    /// Folders elsewhere that belong to the stack and go with it.
    pub outside_folders: Vec<PathBuf>,
    /// Where PostgreSQL listens, once it does.
    pub postgres: Option<PostgresAddress>,
    /// Where RabbitMQ listens, once it does.
    pub rabbitmq: Option<RabbitMqAddress>,
    /// Where nginx listens, once it does.
    pub nginx: Option<NginxAddress>,
    /// Addresses worth showing, by what they are.
    pub urls: BTreeMap<String, String>,
}

/// One process of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// What it is, for people: `postgres`, `worker-1`.
    pub name: String,
    /// Which process.
    pub identity: ProcessIdentity,
    /// How it is asked to stop.
    pub stop_signal: StopSignal,
}

/// How a program is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopSignal {
    /// SIGTERM, as most programs like it.
    Terminate,
    /// SIGINT: PostgreSQL's fast shutdown, which does not wait for its clients.
    Interrupt,
    /// SIGKILL, to its whole process group: for what has nothing to save, and would leave its children behind.
    Kill,
}

impl StopSignal {
    /// Sends it, if the process is still running.
    pub(crate) fn send(self, to: ProcessIdentity) {
        match self {
            Self::Terminate => to.signal(Signal::TERM),
            Self::Interrupt => to.signal(Signal::INT),
            Self::Kill => to.kill_group(),
        }
    }
}

impl StackState {
    /// A stack of this process in which nothing runs yet.
    pub(crate) fn of_this_process() -> Result<Self> {
        Ok(Self {
            owner: ProcessIdentity::of(std::process::id())?,
            pid_namespace: pid_namespace()?,
            persistent: false,
            processes: Vec::new(),
            outside_folders: Vec::new(),
            postgres: None,
            rabbitmq: None,
            nginx: None,
            urls: BTreeMap::new(),
        })
    }

    /// Whether its processes can be seen from here.
    pub(crate) fn is_of_this_namespace(&self) -> Result<bool> {
        Ok(self.pid_namespace == pid_namespace()?)
    }

    /// Reads `stack.json`.
    ///
    /// # Errors
    /// The file cannot be read or is not of this shape.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no stack.json", file.display()))
    }

    /// Writes `stack.json` into `folder`; a reader sees the old content or the new, never a part.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let new = folder.join("stack.json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&new, folder.join(STACK_FILE)))
            .with_context(|| format!("cannot write {}", folder.join(STACK_FILE).display()))
    }
}

fn pid_namespace() -> Result<PathBuf> {
    fs::read_link("/proc/self/ns/pid").context("cannot read /proc/self/ns/pid")
}
