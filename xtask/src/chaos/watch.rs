//! What is sampled while things break, because it would be gone afterwards: a program that is started again begins to
//! count anew.

use std::{
    collections::BTreeMap,
    fs,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::site::Site;
use crate::stack::{RabbitMqAddress, StackFolder, peak_memory};

const PAUSE: Duration = Duration::from_millis(500);

/// The samples of a storm.
#[derive(Debug, Default, Clone)]
pub(super) struct Samples {
    /// The most memory that each program has had resident, in bytes.
    pub(super) peak_memory: BTreeMap<String, u64>,
    /// Messages that the broker delivered again; those of the last half a second before it ended are missing.
    pub(super) redeliveries: u64,
    redelivered_before: u64,
}

/// A thread that samples.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Samples>,
}

impl Watch {
    /// Begins.
    pub(super) fn start(site: &Site) -> Self {
        let (folder, broker) = (site.stack.folder.clone(), site.stack.rabbitmq.address.clone());
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut samples = Samples::default();
            loop {
                samples.take(&folder, &broker);
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return samples;
                }
            }
        });
        Self { stop, thread }
    }

    /// Ends, with a last sample before.
    pub(super) fn stop(self) -> Result<Samples> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("sampling panicked"))
    }
}

impl Samples {
    fn take(&mut self, folder: &StackFolder, broker: &RabbitMqAddress) {
        for process in folder.state().processes {
            // The broker's process is a script around the Erlang machine.
            let pid = match process.name.as_str() {
                "rabbitmq" => erlang_machine(folder),
                name if name.starts_with("receiver") || name.starts_with("worker") => {
                    Some(process.identity.pid)
                }
                _ => None,
            };
            if let Some(bytes) = pid.and_then(peak_memory) {
                let peak = self.peak_memory.entry(process.name).or_default();
                *peak = bytes.max(*peak);
            }
        }
        // While it is away there is nothing to count.
        if let Ok(queues) = broker.queues("/") {
            self.count_redeliveries(queues.iter().map(|queue| queue.redeliveries).sum());
        }
    }

    /// The broker's count begins anew when it is started.
    fn count_redeliveries(&mut self, now: u64) {
        self.redeliveries += now.checked_sub(self.redelivered_before).unwrap_or(now);
        self.redelivered_before = now;
    }
}

fn erlang_machine(folder: &StackFolder) -> Option<u32> {
    fs::read_to_string(folder.path().join("rabbitmq/pid")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redeliveries_add_up_over_restarts_of_the_broker() {
        let mut samples = Samples::default();
        for count in [0, 5, 7, 2, 2, 3] {
            samples.count_redeliveries(count);
        }
        assert_eq!(samples.redeliveries, 10);
    }
}
