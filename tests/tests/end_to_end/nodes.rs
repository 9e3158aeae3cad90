//! Several broker nodes, and nodes that are dead or frozen.

use super::outages::{converged, plan, push};
use apollo_shared::broker::{Broker, BrokerConfig};
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use xtask::stack::{RabbitMq, StackFolder, free_ports, of_tests, rabbitmq};

const DAILIES: &str = "/api_client/garmin/dailies";

fn daily(steps: usize) -> String {
    json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200 + steps, "steps": steps}]})
        .to_string()
}

/// Takes connections and never answers. Counts those taken and those that have ended.
async fn hanging() -> Result<(u16, Arc<AtomicUsize>, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (taken, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counters = (Arc::clone(&taken), Arc::clone(&ended));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counters.0.fetch_add(1, Ordering::Relaxed);
            let ended = Arc::clone(&counters.1);
            tokio::spawn(async move {
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    Ok((port, taken, ended))
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_dead_or_hang_are_passed_over_once() -> Result<()> {
    let mut site = Site::new().await?;
    let [dead] = free_ports()?;
    let (hanging, taken, ended) = hanging().await?;
    let live = site.receiver_rabbitmq_url();
    let nodes = format!("amqp://u:p@127.0.0.1:{dead},amqp://u:p@127.0.0.1:{hanging},{live}");

    let config = BrokerConfig { url: nodes.as_str().into(), ca_file: None };
    let broker = Broker::new(&config, "test")?.declaring_only_what_is_missing();
    for _ in 0..4 {
        drop(broker.connect().await?);
    }
    let tried = taken.load(Ordering::Relaxed);
    assert!(tried <= 1, "the node that hangs was tried {tried} times");
    let left = async || (ended.load(Ordering::Relaxed) == tried).then_some(());
    eventually("an attempt that hung is given up with its socket", left).await?;

    site.addresses.receiver_broker = nodes;
    let receiver = site.receiver(&[]).await?;
    receiver.accept(DAILIES, daily(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_broker_does_not_answer_is_not_ready_from_its_first_moment() -> Result<()> {
    let mut site = Site::new().await?;
    let (hanging, ..) = hanging().await?;
    site.addresses.worker_broker = format!("amqp://u:p@127.0.0.1:{hanging}");
    let worker = site.starting_worker(&[]).await?;
    worker.gives_reason("summaries: connecting to RabbitMQ").await
}

/// A process that stands still until this is dropped.
struct Frozen(u32);

impl Frozen {
    fn new(pid: u32) -> Result<Self> {
        signal(pid, "STOP")?;
        Ok(Self(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = signal(self.0, "CONT");
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status()?;
    status.success().then_some(()).ok_or_else(|| format!("kill -{name} {pid}: {status}").into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_noticed_by_its_missing_heartbeats_and_all_goes_on_afterwards() -> Result<()> {
    let folder = StackFolder::create("frozen")?;
    let rabbitmq = RabbitMq::start(&folder)?;
    let mut site = Site::on(of_tests()?.postgres, rabbitmq.address.clone()).await?;
    site.addresses.receiver_broker.push_str("?heartbeat=2");
    site.addresses.worker_broker.push_str("?heartbeat=2");
    let (receiver, worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    receiver.accept(DAILIES, daily(0)).await?;
    worker.has_stored(1).await?;

    let frozen = Frozen::new(rabbitmq.pid().ok_or("RabbitMQ has no pid")?)?;
    // Each gets an answer while the broker stands still, and a 200 only if it is safe.
    let answers = join_all((1..=8).map(|steps| receiver.post(DAILIES, daily(steps)))).await;
    receiver.shows("apollo_receiver_broker_connected", 0.0).await?;
    worker.gives_reason("summaries").await?;
    drop(frozen);

    receiver.connected().await?;
    worker.ready().await?;
    let mut kept = 1;
    for (answer, steps) in answers.into_iter().zip(1..) {
        match answer?.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => receiver.accept(DAILIES, daily(steps)).await?,
            status => return Err(format!("answered {status}").into()),
        }
        kept += 1;
    }
    let stored = async || {
        let sql = "SELECT count(DISTINCT steps) FROM garmin_wellness.daily_summary";
        (site.count(sql).await.ok()? == kept).then_some(())
    };
    eventually("all of them are stored", stored).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_leads_the_queues_may_be_killed_under_load() -> Result<()> {
    let folder = StackFolder::create("cluster")?;
    let mut cluster = RabbitMq::start_cluster(&folder, 3)?;
    let mut site = Site::on(of_tests()?.postgres, cluster[0].address.clone()).await?;
    let nodes = |user| {
        let urls: Vec<String> = cluster.iter().map(|node| node.address.url_of(user, site.name())).collect();
        urls.join(",")
    };
    let (of_receiver, of_worker) = (nodes(rabbitmq::RECEIVER), nodes(rabbitmq::WORKER));
    (site.addresses.receiver_broker, site.addresses.worker_broker) = (of_receiver, of_worker);
    let workers = (site.worker(&[]).await?, site.worker(&[]).await?);
    let receiver = site.receiver(&[]).await?;
    let plan = plan(60);
    let pushing = tokio::spawn(push(plan, receiver.url().to_owned()));

    let stored = "SELECT count(*) FROM garmin_raw.notification";
    eventually("some is stored", async || (site.count(stored).await.ok()? >= 60).then_some(())).await?;
    let leader = cluster[0].address.leader(site.name(), "apollo.summaries")?;
    let place = cluster.iter().position(|node| Some(&node.address.node) == leader.as_ref());
    cluster[place.ok_or("no node leads")?].kill()?;

    assert!(pushing.await??.complete, "Garmin gave up on some");
    converged(&site, plan).await?;
    drop(workers);
    Ok(())
}
