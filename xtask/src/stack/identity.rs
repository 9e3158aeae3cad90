//! Which process is meant: a pid can be given again, a pid with its start time cannot.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process that can be told from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did (field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = Stat::of(pid).with_context(|| format!("there is no process {pid}"))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// The process that has this pid now, if that one has started it.
    pub(crate) fn child_of(parent: u32, pid: u32) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| stat.parent == parent)?;
        Some(Self { pid, start_time: stat.start_time })
    }

    /// Whether this very process is still running. One that has ended and was not yet collected by its parent is not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Stat::of(self.pid)
            .is_some_and(|stat| stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends a signal to this process, if it is still running.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), self.as_pid()) {
            // It may end between the look and the signal, which is what the signal is for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills this process, if it is still running, and the process group that it leads.
    pub(crate) fn kill_group(self) {
        if self.is_alive() {
            self.kill_group_of_ended();
            self.signal(Signal::KILL);
        }
    }

    /// Kills what is left of its group. Only for a child just collected, whose pid cannot have been given again yet.
    pub(crate) fn kill_group_of_ended(self) {
        if let Some(pid) = self.as_pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn as_pid(self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// Fields 3, 4 and 22 of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    state: char,
    parent: u32,
    start_time: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        Some(Self {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            start_time: fields.nth(17)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";
        assert_eq!(Stat::parse(stat), Some(Stat { state: 'S', parent: 1, start_time: 987_654 }));
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let this = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(this.is_alive());
        assert!(!ProcessIdentity { start_time: this.start_time + 1, ..this }.is_alive());
    }
}
