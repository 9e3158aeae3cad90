//! How each kind of fault is begun and ended.

use std::{
    fs,
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{
    kind::Action,
    schedule::{Fault, Link, Place},
    site::Site,
};
use crate::stack::{DATABASE, Freeze, ProcessIdentity, Proxy, Traffic};

/// A program has noticed by then that its connections are closed.
const CLOSED_AFTER: Duration = Duration::from_millis(200);

/// What ends a fault.
pub(super) enum Undo {
    Nothing,
    Start(Place),
    OnTime(OnTime),
    Pass(Link, Option<usize>),
    CutLost(Link, Option<usize>),
    CalmMemory,
    CalmDisk,
    RelieveDisk(Place),
    TakeWrites,
}

/// Something that a thread of its own puts right, whatever else takes its time: no request may be held for long.
pub(super) struct OnTime {
    earlier: Sender<()>,
    thread: JoinHandle<()>,
}

impl OnTime {
    fn after(lasts: Duration, restore: impl FnOnce() + Send + 'static) -> Self {
        let (earlier, over) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _ = over.recv_timeout(lasts);
            restore();
        });
        Self { earlier, thread }
    }

    /// Puts it right now, if it is not right yet.
    fn end(self) {
        drop(self.earlier);
        // It cannot panic.
        let _ = self.thread.join();
    }
}

/// Begins a fault, and says what ends it. `notes` learns of anything that did not go as it must.
pub(super) fn begin(fault: &Fault, site: &mut Site, notes: &mut Vec<String>) -> Result<Undo> {
    match (fault.kind.action, fault.place) {
        (Action::Kill, place) => kill(site, place)?,
        (Action::Stop, place) => stop(site, place, notes)?,
        (Action::Freeze, place) => {
            let freeze = Freeze::of(site.process(place)?);
            return Ok(Undo::OnTime(OnTime::after(fault.lasts, || freeze.thaw())));
        }
        (Action::ExhaustDescriptors, place) => {
            let process = site.process(place)?;
            // So that it needs new connections, and none is there for it.
            set_all(site, place, Traffic::Refuse);
            thread::sleep(CLOSED_AFTER);
            let before = set_descriptors(process, None)?;
            set_all(site, place, Traffic::Pass);
            return Ok(Undo::OnTime(OnTime::after(fault.lasts, move || {
                // It may have ended meanwhile.
                let _ = set_descriptors(process, Some(before));
            })));
        }
        (Action::FillDisk, place) => {
            set_all(site, place, Traffic::Refuse);
            site.disk.as_ref().context("there is no small disk")?.fill()?;
            return Ok(Undo::RelieveDisk(place));
        }
        (action, Place::Link(link, number)) => return Ok(trouble(site, action, link, number, fault.traffic)),
        (action, _) => return ask(site, action),
    }
    Ok(Undo::Start(fault.place))
}

/// What is done by asking a server for it.
fn ask(site: &Site, action: Action) -> Result<Undo> {
    let broker = &site.stack.rabbitmq;
    Ok(match action {
        Action::AlarmMemory => {
            broker.control(&["set_vm_memory_high_watermark", "absolute", "1"])?;
            Undo::CalmMemory
        }
        Action::AlarmDisk => {
            broker.control(&["set_disk_free_limit", "1000000000000000"])?;
            Undo::CalmDisk
        }
        Action::ReadOnly => {
            take_writes(site, false)?;
            Undo::TakeWrites
        }
        _ => {
            site.apollo.nginx.reload();
            Undo::Nothing
        }
    })
}

/// Ends a fault.
pub(super) fn end(undo: Undo, site: &mut Site) -> Result<()> {
    let broker = &site.stack.rabbitmq;
    match undo {
        Undo::Nothing => Ok(()),
        Undo::Start(place) => start(site, place),
        Undo::OnTime(restoration) => {
            restoration.end();
            Ok(())
        }
        Undo::Pass(link, number) => {
            set(site.link(link, number), Traffic::Pass);
            Ok(())
        }
        Undo::CutLost(link, number) => {
            site.link(link, number).iter().for_each(Proxy::cut_lost);
            Ok(())
        }
        // The values of the stack's own configuration.
        Undo::CalmMemory => broker.control(&["set_vm_memory_high_watermark", "0.4"]),
        Undo::CalmDisk => broker.control(&["set_disk_free_limit", "50MB"]),
        Undo::RelieveDisk(place) => {
            set_all(site, place, Traffic::Pass);
            site.disk.as_ref().context("there is no small disk")?.relieve()
        }
        Undo::TakeWrites => take_writes(site, true),
    }
}

fn kill(site: &mut Site, place: Place) -> Result<()> {
    match place {
        Place::Receiver(number) => site.apollo.receivers[number].kill(),
        Place::Worker(number) => site.apollo.workers[number].kill(),
        Place::Broker => site.stack.rabbitmq.kill(),
        _ => site.stack.postgres.kill(),
    }
}

fn stop(site: &mut Site, place: Place, notes: &mut Vec<String>) -> Result<()> {
    let stopped = match place {
        Place::Receiver(number) => site.apollo.receivers[number].stop(),
        Place::Worker(number) => site.apollo.workers[number].stop(),
        Place::Broker => return site.stack.rabbitmq.stop(),
        _ => return site.stack.postgres.stop(),
    };
    notes.extend(stopped.err().map(|error| format!("{error:#}")));
    Ok(())
}

fn start(site: &mut Site, place: Place) -> Result<()> {
    match place {
        Place::Receiver(number) => site.apollo.receivers[number].start_again(),
        Place::Worker(number) => site.apollo.workers[number].start_again(),
        Place::Broker => site.stack.rabbitmq.restart(),
        _ => site.stack.postgres.restart(),
    }
}

fn set(proxies: &[Proxy], traffic: Traffic) {
    for proxy in proxies {
        proxy.set(traffic);
        if traffic == Traffic::Refuse {
            proxy.cut();
        }
    }
}

/// All that leads from a program to its servers.
fn set_all(site: &Site, place: Place, traffic: Traffic) {
    for (link, number) in place.links() {
        set(site.link(link, Some(number)), traffic);
    }
}

fn trouble(site: &Site, action: Action, link: Link, number: Option<usize>, traffic: Traffic) -> Undo {
    let proxies = site.link(link, number);
    match action {
        Action::Cut => proxies.iter().for_each(Proxy::cut),
        Action::Lose => {
            proxies.iter().for_each(Proxy::lose);
            return Undo::CutLost(link, number);
        }
        _ => {
            set(proxies, traffic);
            return Undo::Pass(link, number);
        }
    }
    Undo::Nothing
}

/// Has new sessions take writes or not, and ends those that there are, as a failover does.
fn take_writes(site: &Site, writes: bool) -> Result<()> {
    let postgres = &site.stack.postgres.address;
    let setting = if writes { "off" } else { "on" };
    postgres.execute(
        "postgres",
        &format!("ALTER DATABASE {DATABASE} SET default_transaction_read_only = {setting}"),
    )?;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'");
    postgres.execute("postgres", &end)
}

/// Sets how many descriptors a process may have open; without a number no more than it has. Returns what it was.
fn set_descriptors(process: ProcessIdentity, number: Option<u64>) -> Result<u64> {
    let (current, maximum) = descriptor_limits(process.pid)?;
    let open = fs::read_dir(format!("/proc/{}/fd", process.pid))?.count() as u64;
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: Some(number.unwrap_or(open)), maximum: Some(maximum) };
    prlimit(Some(pid.context("a process has a pid")?), Resource::Nofile, limit)
        .with_context(|| format!("cannot limit the descriptors of process {}", process.pid))?;
    Ok(current)
}

/// The soft and the hard limit.
fn descriptor_limits(pid: u32) -> Result<(u64, u64)> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.into_iter().flat_map(str::split_whitespace).map_while(|word| word.parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("process {pid} has no limit of open files"))
}
