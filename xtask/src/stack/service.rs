//! One of Apollo's own programs, which can be stopped, killed and started again in its place.

use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    ProcessIdentity, StackFolder,
    process::{Process, Program},
};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A receiver or a worker. Its addresses stay when it is started again.
pub struct Service {
    program: Program,
    admin_port: u16,
    process: Process,
    stack: StackFolder,
    ready_after: Duration,
    /// It was stopped or killed from here.
    is_down: bool,
}

impl Service {
    /// Starts it and waits until it is ready. `program` must have been told to serve its admin listener on
    /// `admin_port` of 127.0.0.1.
    ///
    /// # Errors
    /// It ends, or does not become ready; the end of its log is in the error.
    pub(crate) fn start(stack: &StackFolder, program: Program, admin_port: u16) -> Result<Self> {
        let begun = Instant::now();
        let process = Process::start(stack, program.clone())?;
        let ready_after = Duration::ZERO;
        let mut service =
            Self { program, admin_port, process, stack: stack.clone(), ready_after, is_down: false };
        let ready = service.admin("health/ready");
        service.process.wait_http(&ready, START_LIMIT)?;
        service.ready_after = begun.elapsed();
        stack.update(|state| {
            state.urls.insert(format!("{} metrics", service.name()), service.metrics());
        })?;
        Ok(service)
    }

    /// What it is called in the record, for example `worker-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Where its metrics are.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.admin("metrics")
    }

    /// How long its first start took, until it said that it was ready.
    #[must_use]
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The memory it has resident now, in bytes.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.process.memory()
    }

    /// The most memory it has had resident since its last start, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        self.process.peak_memory()
    }

    /// Which process it is, another one after each start.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.process.identity()
    }

    /// How it ended, if it has done so without being asked.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn ended_by_itself(&mut self) -> Result<Option<ExitStatus>> {
        if self.is_down { Ok(None) } else { self.process.ended() }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// It had to be killed, or ended with another status than 0.
    pub fn stop(&mut self) -> Result<()> {
        self.is_down = true;
        match self.process.stop()? {
            Some(status) if status.success() => Ok(()),
            status => {
                bail!("{} did not stop in order ({status:?}): {}", self.name(), self.process.log_tail())
            }
        }
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn kill(&mut self) -> Result<()> {
        self.is_down = true;
        self.process.kill().map(drop)
    }

    /// Starts it once more, when it has ended, and waits until it lives. It becomes ready when what it needs is there.
    ///
    /// # Errors
    /// It ends at once, or serves nothing; the end of its log is in the error.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = Process::start(&self.stack, self.program.clone())?;
        self.is_down = false;
        let live = self.admin("health/live");
        self.process.wait_http(&live, START_LIMIT)
    }

    fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.admin_port)
    }
}
