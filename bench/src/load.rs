//! POSTs over connections that stay open, each connection one after the other: as fast as they are answered.
//!
//! It shares the processors with what it measures, so it does as little as it can: one thread, the bytes of the request
//! made once, and of an answer only its status line and its end looked at.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::entries::Shape;

/// Where to POST, and how much.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The server
    #[arg(long)]
    address: SocketAddr,
    /// The path
    #[arg(long, default_value = "/api_client/garmin/epochs")]
    path: String,
    /// Bytes of a body, about: it is a notification of epochs
    #[arg(long)]
    bytes: usize,
    /// Connections, each with one request at a time
    #[arg(long)]
    connections: usize,
    /// Seconds that are measured
    #[arg(long)]
    seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// A process whose time on processors is measured; may be repeated
    #[arg(long = "pid")]
    pids: Vec<u32>,
}

/// What came back in the time that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Loaded {
    body_bytes: usize,
    answers: usize,
    seconds: f64,
    p50_milliseconds: f64,
    p99_milliseconds: f64,
    p999_milliseconds: f64,
    /// Of each process that was named, in their order.
    cpu_seconds: Vec<f64>,
}

/// Runs the load in a thread of its own, so that it takes one processor at most.
///
/// # Errors
/// An answer is not 200, or a connection fails.
pub(crate) async fn run(load: Load) -> Result<Loaded> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure(&load))
    })
    .await?
}

async fn measure(load: &Load) -> Result<Loaded> {
    let body = one_body(load.bytes)?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        load.path,
        load.address,
        body.len()
    );
    let request: Arc<[u8]> = [head.as_bytes(), &body].concat().into();
    let measuring = Arc::new(AtomicBool::new(false));
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect(load.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        clients.spawn(client(stream, request.clone(), measuring.clone(), over.clone()));
    }
    sleep(Duration::from_secs_f64(load.warm_up)).await;
    let cpu_before = cpu_seconds(&load.pids)?;
    let begun = Instant::now();
    measuring.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs_f64(load.seconds)).await;
    measuring.store(false, Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_after = cpu_seconds(&load.pids)?;
    over.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    while let Some(client) = clients.join_next().await {
        latencies.append(&mut client??);
    }
    ensure!(!latencies.is_empty(), "nothing was answered in {seconds:.1} s");
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1000.0
    };
    Ok(Loaded {
        body_bytes: body.len(),
        answers: latencies.len(),
        seconds,
        p50_milliseconds: quantile(0.5),
        p99_milliseconds: quantile(0.99),
        p999_milliseconds: quantile(0.999),
        cpu_seconds: cpu_after.iter().zip(cpu_before).map(|(after, before)| after - before).collect(),
    })
}

/// A notification of epochs.
///
/// # Errors
/// The simulator sends none.
pub(crate) fn one_body(bytes: usize) -> Result<Vec<u8>> {
    let shape = Shape { key: "epochs", bytes, entries: usize::MAX, longer: 0, one_of: 1 };
    let body = shape.bodies(bytes as u64)?.next().context("no entries")?;
    Ok(body.json.into_bytes())
}

/// Asks and waits for the answer, until it is over; returns how long each answer took that came in the measured time.
async fn client(
    mut stream: TcpStream,
    request: Arc<[u8]>,
    measuring: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        stream.write_all(&request).await?;
        expect_ok(&mut stream).await?;
        if measuring.load(Ordering::Relaxed) {
            latencies.push(asked.elapsed());
        }
    }
    Ok(latencies)
}

/// Reads an answer without a body.
async fn expect_ok(stream: &mut TcpStream) -> Result<()> {
    let mut answer = [0; 1024];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        match stream.read(&mut answer[length..]).await? {
            0 => bail!("no answer, but this: {}", String::from_utf8_lossy(&answer[..length])),
            more => length += more,
        }
    }
    let answer = &answer[..length];
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "the answer is {}", String::from_utf8_lossy(answer));
    Ok(())
}

/// What processes have used of processors so far, all their threads together.
fn cpu_seconds(pids: &[u32]) -> Result<Vec<f64>> {
    pids.iter().map(|pid| process_cpu_seconds(*pid)).collect()
}

fn process_cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name in parentheses, may have spaces in it; utime and stime are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    // Linux has counted in hundredths of a second for programs since long (USER_HZ).
    Ok(ticks as f64 / 100.0)
}
