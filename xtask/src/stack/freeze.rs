//! A process that stands still (SIGSTOP) with all that it has started: as on a machine that swaps, or whose disk hangs.

use std::fs;

use rustix::process::Signal;

use super::identity::ProcessIdentity;

/// Frozen processes. They go on when told, or when this is dropped.
pub(crate) struct Freeze(Vec<ProcessIdentity>);

impl Freeze {
    /// Freezes a process and its descendants, from the root on: what stands still starts nothing more.
    pub(crate) fn of(root: ProcessIdentity) -> Self {
        let mut frozen = vec![root];
        let mut next = 0;
        while let Some(process) = frozen.get(next).copied() {
            process.signal(Signal::STOP);
            frozen.extend(children(process.pid));
            next += 1;
        }
        Self(frozen)
    }

    /// Lets them go on.
    pub(crate) fn thaw(self) {}
}

impl Drop for Freeze {
    fn drop(&mut self) {
        for process in self.0.iter().rev() {
            process.signal(Signal::CONT);
        }
    }
}

fn children(parent: u32) -> Vec<ProcessIdentity> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| ProcessIdentity::child_of(parent, pid)).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn state(pid: u32) -> char {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    #[test]
    fn children_stand_still_with_their_parent_and_go_on_with_it() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 600 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut started = [0; 8];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut started).unwrap();
        let root = ProcessIdentity::of(shell.id()).unwrap();

        let freeze = Freeze::of(root);
        let family: Vec<u32> = freeze.0.iter().map(|process| process.pid).collect();
        assert_eq!(family.len(), 2, "the shell and its sleep");
        let all = |expected: fn(char) -> bool| {
            super::super::wait::happens_within(std::time::Duration::from_secs(10), || {
                family.iter().all(|pid| expected(state(*pid)))
            })
        };
        assert!(all(|state| state == 'T'));
        freeze.thaw();
        assert!(all(|state| state == 'S'));

        for pid in family.iter().rev() {
            ProcessIdentity::of(*pid).unwrap().signal(Signal::KILL);
        }
        shell.wait().unwrap();
    }
}
