//! How small the programs are and how quickly they start, and a receiver's memory under the worst that it may see.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use anyhow::Result;
use serde::de::IgnoredAny;

use super::{
    memory::{Memory, RECEIVER_LIMIT},
    site::Site,
    table::{Cell, Table},
};
use crate::{interrupt, stack::Service, ui};

/// Starts of each program.
const STARTS: usize = 10;
/// From the start of the process until it says that it is ready.
const GOAL: Duration = Duration::from_millis(500);
/// How long a program is left alone before it counts as idle.
const REST: Duration = Duration::from_secs(2);
const QUEUE: &str = "apollo.summaries";
/// `RECEIVER__MAX_IN_FLIGHT_BYTES`, which bounds what large bodies take beside a receiver's usual memory.
const IN_FLIGHT: u64 = 256 << 20;

/// Measures programs, then the receiver's memory.
///
/// # Errors
/// Something fails, or the user has asked to stop.
pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let mut table = Table::new(
        "footprint",
        format!(
            "Start-up from the start of the process until it is ready, PostgreSQL and RabbitMQ running and the database \
             migrated ({STARTS} starts; the goal is {} s), resident memory idle, and the programs' sizes.",
            GOAL.as_secs_f64()
        ),
        vec!["program", "start-up, median", "start-up at most", "idle memory", "size", "stripped"],
    );
    let worker = ui::timed("start a worker", || program(site, "apollo-worker", || site.worker(1, &[])))?;
    let receiver =
        ui::timed("start a receiver", || program(site, "apollo-receiver", || Ok(site.receiver(&[])?.0)))?;
    table.rows = vec![receiver, worker];
    Ok(vec![table, worst(site)?.table("worst")])
}

fn program(site: &Site<'_>, name: &str, start: impl Fn() -> Result<Service>) -> Result<Vec<Cell>> {
    let mut start_ups = (0..STARTS).map(|_| Ok(start()?.ready_after())).collect::<Result<Vec<_>>>()?;
    start_ups.sort_unstable();
    let idle = start()?;
    interrupt::check()?;
    thread::sleep(REST);
    let milliseconds = |start_up: Duration| Cell::Milliseconds(start_up.as_secs_f64() * 1000.0);
    let bytes = |bytes: Option<u64>| bytes.map_or(Cell::Missing, |bytes| Cell::Bytes(bytes as f64));
    let binary = site.binaries.join(name);
    Ok(vec![
        Cell::Text(name.to_owned()),
        milliseconds(start_ups[STARTS / 2]),
        milliseconds(start_ups[STARTS - 1]),
        bytes(idle.memory()),
        bytes(Some(fs::metadata(&binary)?.len())),
        bytes(stripped(&binary, site.stack.folder.path())),
    ])
}

/// The size without symbols, where there is a program to remove them.
fn stripped(binary: &Path, folder: &Path) -> Option<u64> {
    let copy = folder.join("stripped");
    let status = Command::new("strip").arg("-o").args([&copy, binary]).status().ok()?;
    status.success().then(|| fs::metadata(copy).ok()).flatten().map(|file| file.len())
}

/// What comes at once, and what a receiver may have resident meanwhile.
struct Storm {
    name: &'static str,
    bytes: &'static str,
    connections: &'static str,
    limit: u64,
}

const STORMS: [Storm; 2] = [
    Storm {
        name: "30 KB on each of 1,024 connections",
        bytes: "30000",
        connections: "1024",
        limit: RECEIVER_LIMIT,
    },
    Storm {
        name: "10 MB on each of 20 connections",
        bytes: "10000000",
        connections: "20",
        limit: RECEIVER_LIMIT + IN_FLIGHT,
    },
];

/// Each storm meets a receiver of its own and an empty queue, as nobody consumes what comes of it.
fn worst(site: &Site<'_>) -> Result<Memory> {
    let seconds = if site.quick { "2" } else { "10" };
    let mut memory = Memory::default();
    for Storm { name, bytes, connections, limit } in STORMS {
        site.stack.rabbitmq.address.purge("/", QUEUE)?;
        let (receiver, url) = site.receiver(&[])?;
        let address = url.trim_start_matches("http://");
        let load = ["--address", address, "--bytes", bytes, "--connections", connections];
        let arguments = [&load[..], &["--seconds", seconds, "--warm-up", "0"]].concat();
        ui::timed(name, || site.tool::<IgnoredAny>("load", arguments))?;
        memory.note_service(name, &receiver, limit);
    }
    Ok(memory)
}
