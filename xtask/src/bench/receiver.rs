//! The receiver beside a bare handler, which only publishes and awaits the confirm, and beside the broker alone.
//!
//! All three publish the same notifications to the same queue, which is emptied before each of them. Receiver and bare
//! handler take turns, twice; what is shown is the sum of both turns, and of the latencies the mean.

use std::{net::TcpStream, time::Duration};

use anyhow::Result;
use serde::Deserialize;

use super::{
    site::Site,
    table::{Cell, Table},
};
use crate::{
    interrupt,
    stack::{
        address, free_ports,
        process::{Process, Program},
    },
    ui,
};

/// Bytes of a notification: of three entries, of a hundred, and of a thousand.
const BODIES: [usize; 3] = [1_000, 30_000, 300_000];
const CONNECTIONS: [usize; 4] = [1, 64, 256, 1024];
const TURNS: usize = 2;
const QUEUE: &str = "apollo.summaries";
const START_LIMIT: Duration = Duration::from_secs(60);

/// See `apollo-bench load`.
#[derive(Deserialize)]
struct Loaded {
    answers: f64,
    seconds: f64,
    p50_milliseconds: f64,
    p99_milliseconds: f64,
    p999_milliseconds: f64,
    cpu_seconds: Vec<f64>,
}

/// See `apollo-bench broker`.
#[derive(Deserialize)]
struct Published {
    messages: f64,
    seconds: f64,
}

/// What is measured.
struct Subject {
    address: String,
    pid: u32,
    turns: Vec<Loaded>,
}

pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    // The bare handler declares the queue, which a receiver waits for.
    let (bare, bare_address) = bare_handler(site)?;
    let (apollo, url) = site.receiver(&[])?;
    let mut rates = Table::new(
        "receiver",
        "POSTs a second that were answered 200, each after the confirm of a quorum queue; beside a bare handler and the \
         broker alone.",
        vec![
            "body",
            "connections",
            "Apollo POSTs/s",
            "bare POSTs/s",
            "of bare",
            "broker alone msgs/s",
            "of broker",
            "Apollo CPU µs a POST",
            "bare CPU µs a POST",
        ],
    );
    let mut latencies = Table::new(
        "receiver-latency",
        "How long these answers took.",
        vec![
            "body",
            "connections",
            "Apollo p50",
            "bare p50",
            "Apollo p99",
            "bare p99",
            "Apollo p999",
            "bare p999",
        ],
    );
    for bytes in BODIES {
        let broker = broker_alone(site, bytes)?;
        let all: &[usize] = if site.quick { &[64] } else { &CONNECTIONS };
        for &connections in all {
            ui::step(format_args!("{bytes} bytes over {connections} connections"));
            let mut apollo = Subject::new(url.trim_start_matches("http://"), apollo.identity().pid);
            let mut bare = Subject::new(&bare_address, bare.pid());
            for _ in 0..TURNS {
                apollo.load(site, bytes, connections)?;
                bare.load(site, bytes, connections)?;
            }
            let row = [Cell::Bytes(bytes as f64), Cell::Count(connections as f64)];
            rates.rows.push([&row[..], &rates_of(&apollo, &bare, broker)].concat());
            latencies.rows.push([&row[..], &latencies_of(&apollo, &bare)].concat());
        }
    }
    Ok(vec![rates, latencies])
}

fn rates_of(apollo: &Subject, bare: &Subject, broker: f64) -> [Cell; 7] {
    [
        Cell::Count(apollo.rate()),
        Cell::Count(bare.rate()),
        Cell::ratio(apollo.rate(), bare.rate()),
        Cell::Count(broker),
        Cell::ratio(apollo.rate(), broker),
        Cell::Count(apollo.cpu_microseconds()),
        Cell::Count(bare.cpu_microseconds()),
    ]
}

fn latencies_of(apollo: &Subject, bare: &Subject) -> [Cell; 6] {
    let of = |subject: &Subject, quantile: fn(&Loaded) -> f64| Cell::Milliseconds(subject.mean(quantile));
    [
        of(apollo, |turn| turn.p50_milliseconds),
        of(bare, |turn| turn.p50_milliseconds),
        of(apollo, |turn| turn.p99_milliseconds),
        of(bare, |turn| turn.p99_milliseconds),
        of(apollo, |turn| turn.p999_milliseconds),
        of(bare, |turn| turn.p999_milliseconds),
    ]
}

impl Subject {
    fn new(address: &str, pid: u32) -> Self {
        Self { address: address.to_owned(), pid, turns: Vec::new() }
    }

    fn load(&mut self, site: &Site<'_>, bytes: usize, connections: usize) -> Result<()> {
        let mut arguments = timing(site);
        arguments.extend([
            format!("--address={}", self.address),
            format!("--bytes={bytes}"),
            format!("--connections={connections}"),
            format!("--pid={}", self.pid),
        ]);
        empty_queue(site)?;
        self.turns.push(site.tool("load", arguments)?);
        Ok(())
    }

    fn answers(&self) -> f64 {
        self.turns.iter().map(|turn| turn.answers).sum()
    }

    fn rate(&self) -> f64 {
        self.answers() / self.turns.iter().map(|turn| turn.seconds).sum::<f64>()
    }

    fn cpu_microseconds(&self) -> f64 {
        self.turns.iter().flat_map(|turn| &turn.cpu_seconds).sum::<f64>() / self.answers() * 1e6
    }

    fn mean(&self, of_turn: impl Fn(&Loaded) -> f64) -> f64 {
        self.turns.iter().map(of_turn).sum::<f64>() / self.turns.len() as f64
    }
}

/// The baseline, and where it listens.
fn bare_handler(site: &Site<'_>) -> Result<(Process, String)> {
    let [port] = free_ports()?;
    let program = Program::new("bare-handler", site.binaries.join("apollo-bench"))
        .args(["bare-handler", "--listen", &address(port)])
        .env("RABBITMQ__URL", broker_url(site));
    let mut process = Process::start(&site.stack.folder, program)?;
    process.wait_ready(START_LIMIT, |_| Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
    Ok((process, address(port)))
}

/// Messages a second.
fn broker_alone(site: &Site<'_>, bytes: usize) -> Result<f64> {
    ui::step(format_args!("{bytes} bytes to the broker alone"));
    let mut arguments = timing(site);
    arguments.extend([format!("--rabbitmq-url={}", broker_url(site)), format!("--bytes={bytes}")]);
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        empty_queue(site)?;
        let published: Published = site.tool("broker", &arguments)?;
        turns.push(published.messages / published.seconds);
    }
    Ok(turns.iter().sum::<f64>() / turns.len() as f64)
}

fn timing(site: &Site<'_>) -> Vec<String> {
    let (warm_up, seconds) = if site.quick { (0.1, 0.3) } else { (1.0, 5.0) };
    vec![format!("--warm-up={warm_up}"), format!("--seconds={seconds}")]
}

fn broker_url(site: &Site<'_>) -> String {
    site.stack.rabbitmq.url("/")
}

/// So that its depth, and what the broker does for it, is the same for all.
fn empty_queue(site: &Site<'_>) -> Result<()> {
    interrupt::check()?;
    site.stack.rabbitmq.address.purge("/", QUEUE)
}
