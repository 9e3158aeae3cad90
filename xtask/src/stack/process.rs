//! Running a program as part of a stack: recorded, in its own process group, its output in a file, stopped for sure.
//!
//! Its own group, because Ctrl-C in a terminal goes to every process of the foreground group: it must reach only
//! xtask, which then stops the rest in order.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{
    StackFolder,
    account::Account,
    identity::ProcessIdentity,
    state::{ProcessRecord, StopSignal},
    wait,
};
use crate::http;

/// What a program may know of our environment; anything else could change what it does.
const INHERITED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"];
/// How often a program is asked over HTTP whether it is ready: so often that its start-up can be told from it.
const HTTP_PAUSE: Duration = Duration::from_millis(2);
/// How much of a log an error quotes.
const TAIL_LINES: usize = 25;

/// What to run and how to stop it.
#[derive(Clone)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    account: Option<Account>,
    stop_signal: StopSignal,
    stop_limit: Duration,
}

impl Program {
    /// The program at `path`, called `name` in the record and in its log's file name (`<name>.log`). It is stopped by
    /// SIGTERM, and by SIGKILL after 30 s; its environment holds nothing but `PATH`, `HOME` and the like.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            account: None,
            stop_signal: StopSignal::Terminate,
            stop_limit: Duration::from_secs(30),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The same, started by another program that becomes it, such as nsenter.
    #[must_use]
    pub(crate) fn through(mut self, starter: PathBuf, arguments: &[&str]) -> Self {
        let program = std::mem::replace(&mut self.path, starter);
        let before = arguments.iter().map(OsString::from).chain([program.into_os_string()]);
        self.arguments.splice(0..0, before);
        self
    }

    /// Sets the time after which a program that was asked to stop is killed.
    #[must_use]
    pub fn stop_limit(mut self, limit: Duration) -> Self {
        self.stop_limit = limit;
        self
    }

    /// Sets the working folder; without it the stack's.
    pub(crate) fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    pub(crate) fn stop_signal(mut self, signal: StopSignal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Runs it to its end, its output in the log.
    ///
    /// # Errors
    /// It cannot be started, ends with another status than 0 (the log's end is in the error), or the user has asked to
    /// stop.
    pub fn run(self, folder: &StackFolder, limit: Duration) -> Result<()> {
        let mut process = Process::start(folder, self)?;
        let mut status = None;
        wait::until(&process.name.clone(), limit, || {
            status = process.ended()?;
            Ok(status.is_some())
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            _ => bail!(process.what_the_log_says("failed")),
        }
    }

    fn command(&self, folder: &StackFolder) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.as_deref().unwrap_or(folder.path()))
            .process_group(0);
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        command
    }
}

/// A running program. Dropping it stops it, unless its stack is persistent.
pub struct Process {
    name: String,
    child: Child,
    identity: ProcessIdentity,
    log: PathBuf,
    /// Where in the log this process's own output begins.
    log_start: u64,
    stop_signal: StopSignal,
    stop_limit: Duration,
    stack: StackFolder,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program and records it.
    ///
    /// # Errors
    /// It cannot be started or recorded.
    pub fn start(stack: &StackFolder, program: Program) -> Result<Self> {
        let log = stack.path().join(format!("{}.log", program.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let log_start = output.metadata()?.len();
        let child = program
            .command(stack)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        let process = Self {
            identity: ProcessIdentity::of(child.id())?,
            child,
            log,
            log_start,
            stop_signal: program.stop_signal,
            stop_limit: program.stop_limit,
            stack: stack.clone(),
            status: None,
            name: program.name,
        };
        let record = ProcessRecord {
            name: process.name.clone(),
            identity: process.identity,
            stop_signal: process.stop_signal,
        };
        stack.record(record)?;
        Ok(process)
    }

    /// What it is called in the record.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// The file with its output, which goes on when a program of the same name is started again.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let own = bytes.get(usize::try_from(self.log_start).unwrap_or(0)..).unwrap_or_default();
        let text = String::from_utf8_lossy(own);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// The most memory it has had resident so far, in bytes (`VmHWM`); `None` once it has ended.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.pid())
    }

    /// The memory it has resident now, in bytes (`VmRSS`); `None` once it has ended.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        memory(self.pid(), "VmRSS:")
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some(status) = self.child.try_wait()?
        {
            self.status = Some(status);
            // A helper of its own that outlived it must not keep ports or files.
            self.identity.kill_group_of_ended();
            self.stack.forget(self.identity)?;
        }
        Ok(self.status)
    }

    /// Waits until `condition` holds, which should be that the program is ready for use.
    ///
    /// # Errors
    /// It ended, or was not ready within `limit`: the end of its log is in the error.
    pub fn wait_ready(
        &mut self,
        limit: Duration,
        condition: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        self.wait_ready_with(wait::PAUSE, limit, condition)
    }

    fn wait_ready_with(
        &mut self,
        pause: Duration,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let what = format!("{} is ready", self.name);
        let waited = wait::until_with(pause, &what, limit, || {
            if self.ended()?.is_some() {
                bail!("{} ended while starting", self.name);
            }
            condition(self)
        });
        waited.with_context(|| self.what_the_log_says("did not start"))
    }

    /// Waits until a GET of `url` is answered 200.
    ///
    /// # Errors
    /// As [`Process::wait_ready`].
    pub fn wait_http(&mut self, url: &str, limit: Duration) -> Result<()> {
        self.wait_ready_with(HTTP_PAUSE, limit, |_| Ok(http::get(url).is_ok_and(|(status, _)| status == 200)))
    }

    /// Whether it is running.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.identity.is_alive()
    }

    /// Sends a signal, for example SIGHUP to have it read its configuration again.
    pub(crate) fn signal(&self, signal: Signal) {
        self.identity.signal(signal);
    }

    /// Asks it to stop, kills it if it does not within its limit, and says how it ended.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn stop(&mut self) -> Result<Option<ExitStatus>> {
        self.stop_signal.send(self.identity);
        if !wait::happens_within(self.stop_limit, || !self.identity.is_alive()) {
            eprintln!("{} did not stop within {} s: killed", self.name, self.stop_limit.as_secs());
        }
        self.kill()
    }

    /// Kills it and its process group at once (SIGKILL), and says how it ended.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn kill(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.identity.kill_group();
            self.child.wait()?;
        }
        self.ended()
    }

    fn what_the_log_says(&self, happened: &str) -> String {
        format!("{} {happened}; the end of {}:\n{}", self.name, self.log.display(), self.log_tail())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.stack.is_persistent()
            && let Err(error) = self.stop()
        {
            eprintln!("cannot stop {}: {error:#}", self.name);
        }
    }
}

/// The most memory a process has had resident so far, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
