//! Everything is restarted in turn, under load, and nobody notices: two receivers and two workers, processes of their
//! own, behind nginx.

use super::outages::converged;
use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, SendReport, send};
use apollo_tests::Result;
use apollo_tests::launch::Launch;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_tests::wire::{Duplex, Pace, Place, statuses};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::future::ready;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xtask::stack::process::Process;
use xtask::stack::{Nginx, NginxOptions, StackFolder};

const PLAN: Plan = Plan { users: 24, days: 3, seed: 11, sample_interval_seconds: Some(1800) };

const OLD: &str = "the-old-secret-of-the-path";
const NEW: &str = "the-new-secret-of-the-path";

/// What is restarted.
struct Running {
    launch: Launch,
    process: Process,
}

impl Running {
    fn new(launch: Launch, folder: &StackFolder) -> Result<Self> {
        let process = launch.start(folder)?;
        Ok(Self { launch, process })
    }

    /// Stops it as an orchestrator does, and starts it again. It must end by itself, and as if nothing had happened.
    fn restart(&mut self, folder: &StackFolder) -> Result<()> {
        let status = tokio::task::block_in_place(|| self.process.stop())?;
        if !status.is_some_and(|status| status.success()) {
            return Err(format!("ended with {status:?}: {}", self.process.log_tail()).into());
        }
        self.process = self.launch.start(folder)?;
        Ok(())
    }
}

/// Plays Garmin, at the secret path, until everything is acknowledged.
fn push(nginx: &Nginx, secret: &str) -> Result<JoinHandle<Result<SendReport>>> {
    let options = SendOptions {
        concurrency: 8,
        ca_certificates: Some(fs::read(&nginx.address.certificate_authority)?),
        ..SendOptions::new(format!("{}/{secret}", nginx.address.url()).parse()?)
    };
    Ok(tokio::spawn(async move { Ok(send(&PLAN, &options, CancellationToken::new(), |_| {}).await?) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_and_workers_are_restarted_in_turn_and_garmin_does_not_notice() -> Result<()> {
    let site = Site::new().await?;
    let folder = StackFolder::create("rolling")?;
    let receiver = || Launch::receiver(&site).map(|launch| launch.env("RECEIVER__PUSH_TOKEN", OLD));
    let launches = [receiver()?, receiver()?];
    let nginx = Nginx::start(&folder, &NginxOptions::for_receivers(launches.iter().map(Launch::address)))?;
    let mut receivers = Vec::new();
    for launch in launches {
        receivers.push(Running::new(launch, &folder)?);
    }
    let mut workers =
        [Running::new(Launch::worker(&site)?, &folder)?, Running::new(Launch::worker(&site)?, &folder)?];

    let pushing = push(&nginx, OLD)?;
    let mut restarts = 0;
    while restarts < 2 || !pushing.is_finished() {
        for (receiver, worker) in receivers.iter_mut().zip(&mut workers) {
            // From the first restart on there are two secrets, so that Garmin can be told the new one.
            receiver.launch = receiver.launch.clone().env("RECEIVER__PUSH_TOKEN", format!("{OLD},{NEW}"));
            receiver.restart(&folder)?;
            worker.restart(&folder)?;
        }
        restarts += 1;
    }
    let report = pushing.await??;
    println!("{restarts} rounds of restarts during {} POSTs", report.progress.posts);
    assert!(report.progress.refusals.is_empty(), "{:?}", report.progress.refusals);
    assert!(report.complete);
    converged(&site, PLAN).await?;

    for receiver in &mut receivers {
        receiver.launch = receiver.launch.clone().env("RECEIVER__PUSH_TOKEN", NEW);
        receiver.restart(&folder)?;
    }
    let place = Place::nginx(&nginx.address)?;
    // Once for each receiver.
    for _ in 0..2 {
        assert_eq!((answer(&place, NEW).await?, answer(&place, OLD).await?), ("200".into(), "404".into()));
    }
    Ok(())
}

/// What a notification gets at this secret path.
async fn answer(place: &Place, secret: &str) -> Result<String> {
    let request = format!(
        "POST /{secret}/api_client/garmin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 14\r\n\r\n\
         {{\"dailies\":[]}}"
    );
    Ok(statuses(&place.exchange(request.as_bytes(), Pace::AtOnce).await?))
}

/// Begins a POST of which half of the body is missing.
async fn begin(place: &Place, body: &str) -> Result<Box<dyn Duplex>> {
    let mut upload = place.connect().await?;
    let head = format!(
        "POST /api_client/garmin/dailies HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    upload.write_all(head.as_bytes()).await?;
    let mut begun = [0; 25];
    upload.read_exact(&mut begun).await?;
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    upload.write_all(&body.as_bytes()[..body.len() / 2]).await?;
    Ok(upload)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_being_uploaded_is_finished_before_the_receiver_stops() -> Result<()> {
    let site = Site::new().await?;
    let folder = StackFolder::create("uploading")?;
    // Without a spool it is ready only when the broker is there, and nothing can wait elsewhere.
    let launch = Launch::receiver(&site)?.env("RECEIVER__SPOOL_MAX_BYTES", "0");
    let body = format!(r#"{{"dailies":[{{"userId":"u","note":"{}"}}]}}"#, "x".repeat(8 * 1024 * 1024));
    for (stopped, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let mut receiver = launch.start(&folder)?;
        let mut upload = begin(&Place::plain(launch.address()), &body).await?;
        let pid = Pid::from_raw(receiver.pid().try_into()?).ok_or("no process")?;
        kill_process(pid, signal)?;
        let stopping = format!("{} received", if signal == Signal::TERM { "SIGTERM" } else { "SIGINT" });
        let is_stopping = async || fs::read_to_string(receiver.log()).ok()?.contains(&stopping).then_some(());
        eventually("it has heard the signal", is_stopping).await?;

        upload.write_all(&body.as_bytes()[body.len() / 2..]).await?;
        let mut answer = String::new();
        upload.read_to_string(&mut answer).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let ended = eventually("it has ended", || ready(receiver.ended().ok().flatten())).await?;
        assert!(ended.success());
        assert_eq!(site.broker().await?.waiting("apollo.summaries").await? as usize, stopped + 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_reads_its_configuration_again_under_load_and_nothing_is_lost() -> Result<()> {
    let site = Site::new().await?;
    let folder = StackFolder::create("reloading")?;
    let launch = Launch::receiver(&site)?.env("RECEIVER__PUSH_TOKEN", OLD);
    let nginx = Nginx::start(&folder, &NginxOptions::for_receiver(launch.address()))?;
    let (_receiver, _worker) = (launch.start(&folder)?, Launch::worker(&site)?.start(&folder)?);
    let pushing = push(&nginx, OLD)?;
    for _ in 0..3 {
        let before = nginx.workers();
        nginx.reload();
        let renewed = async || nginx.workers().iter().any(|worker| !before.contains(worker)).then_some(());
        eventually("nginx has new workers", renewed).await?;
    }
    // A connection that is idle is closed by a reload, and a POST may be on its way on it just then.
    assert!(pushing.await??.complete);
    converged(&site, PLAN).await
}
