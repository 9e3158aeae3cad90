//! What a lane does when its work fails: no message is lost, none is blamed for what it has nothing to do with.

use apollo_shared::admin::Readiness;
use apollo_shared::broker::{Broker as BrokerAddress, BrokerConfig};
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::telemetry::traces::Tracing;
use apollo_shared::topology::{DEAD, Lane};
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::config::LaneConfig;
use apollo_worker::lane::{Handled, Handler, InHand, LaneRunner, StuckError};
use apollo_worker::message::Message;
use apollo_worker::metrics::Metrics;
use clap::{Args as _, FromArgMatches as _};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xtask::stack::Proxy;

/// Long enough for another thread to do what it does at once.
const A_WHILE: Duration = Duration::from_millis(300);

/// What becomes of a batch.
#[derive(Clone, Copy)]
enum Fate {
    Panics,
    GoesBack,
    HasNoEnd,
    IsDone,
    /// It is done as the connections are lost, which lapin has seen and its futures have not.
    IsCutOff,
}

/// Gives each batch the next fate; the last one is everybody's from then on.
struct Scripted {
    fates: Vec<Fate>,
    batches: AtomicUsize,
    /// Between the lane and the broker.
    proxy: Proxy,
}

impl Handler for Scripted {
    fn lane(&self) -> Lane {
        Lane::Summaries
    }

    async fn prepare(&self, _: &CancellationToken) -> bool {
        true
    }

    async fn handle(&self, _: Arc<Vec<Message>>, _: &CancellationToken) -> Handled {
        let batch = self.batches.fetch_add(1, Ordering::SeqCst);
        match self.fates[batch.min(self.fates.len() - 1)] {
            Fate::Panics => panic!("a defect"),
            Fate::GoesBack => Handled::GivenBack,
            Fate::HasNoEnd => Handled::Stuck,
            Fate::IsDone => Handled::Done(Vec::new()),
            Fate::IsCutOff => {
                self.proxy.cut();
                std::thread::sleep(A_WHILE);
                // The runtime hears of it, and wakes lapin's own thread, which tells lapin's tasks; but nothing else runs on
                // this one meanwhile, as on a machine that is too busy.
                tokio::task::yield_now().await;
                std::thread::sleep(A_WHILE);
                Handled::Done(Vec::new())
            }
        }
    }
}

/// A lane whose batches meet these fates, at a site whose queue holds one message.
struct RunningLane {
    site: Site,
    envelope: Envelope,
    handler: Arc<Scripted>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StuckError>>,
}

impl RunningLane {
    async fn start(fates: &[Fate]) -> Result<Self> {
        let site = Site::new().await?;
        let envelope = Envelope { attempt: 3, ..Envelope::of_arrival("dailies", Microseconds::now(), None) };
        site.broker().await?.publish(&envelope, br#"{"dailies": []}"#).await?;
        let (proxy, rabbitmq_url) = site.rabbitmq_proxy()?;
        let handler = Arc::new(Scripted { fates: fates.to_vec(), batches: AtomicUsize::new(0), proxy });
        let defaults = LaneConfig::augment_args(clap::Command::new("lane")).get_matches_from(["lane"]);
        let runner = LaneRunner {
            handler: Arc::clone(&handler),
            broker: address(&rabbitmq_url)?,
            config: LaneConfig::from_arg_matches(&defaults)?,
            metrics: Arc::new(Metrics::new()?),
            tracing: Tracing::default(),
            readiness: Readiness::default(),
            in_hand: InHand::default(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(runner.run(stop.clone()));
        Ok(Self { site, envelope, handler, stop, task })
    }

    async fn has_handled(&self, batches: usize) -> Result<()> {
        let enough = async || (self.handler.batches.load(Ordering::SeqCst) >= batches).then_some(());
        eventually("the batches are handled", enough).await
    }

    /// Ends the lane politely. Returns its site.
    async fn stop(self) -> Result<Site> {
        self.stop.cancel();
        self.task.await??;
        Ok(self.site)
    }
}

fn address(rabbitmq_url: &str) -> Result<BrokerAddress> {
    let arguments = ["broker", "--rabbitmq-url", rabbitmq_url];
    let matches = BrokerConfig::augment_args(clap::Command::new("broker")).get_matches_from(arguments);
    Ok(BrokerAddress::new(&BrokerConfig::from_arg_matches(&matches)?, "test")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_outlives_a_panic() -> Result<()> {
    let lane = RunningLane::start(&[Fate::Panics, Fate::Panics, Fate::IsDone]).await?;
    lane.has_handled(3).await?;
    let site = lane.stop().await?;
    assert_eq!(site.broker().await?.waiting("apollo.summaries").await?, 0, "it was acknowledged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_back_to_its_queue_uses_up_neither_deliveries_nor_attempts() -> Result<()> {
    let lane = RunningLane::start(&[Fate::GoesBack, Fate::IsDone]).await?;
    let (broker, envelope) = (lane.site.broker().await?, lane.envelope.clone());
    let retry = "apollo.retry.60";
    let away = async || (broker.waiting(retry).await.ok()? == 1).then_some(());
    eventually("the message waits for its next turn", away).await?;
    let _site = lane.stop().await?;
    assert_eq!(broker.waiting("apollo.summaries").await?, 0, "there are two of it");
    let message = broker.take(retry).await?.ok_or("the message")?;
    assert_eq!((message.envelope, message.routing_key.as_str()), (envelope, "push.dailies"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_whose_work_has_no_end_gives_up() -> Result<()> {
    let lane = RunningLane::start(&[Fate::HasNoEnd]).await?;
    assert!(lane.task.await?.is_err());
    let broker = lane.site.broker().await?;
    let again = async || (broker.waiting("apollo.summaries").await.ok()? == 1).then_some(());
    eventually("the message is in its queue again", again).await
}

/// In a runtime of one thread, which the handler blocks: so the acknowledgement comes after lapin's thread has ended, and
/// before its task has heard of it, and lapin never answers it.
#[tokio::test]
async fn a_lane_that_loses_its_connection_as_it_acknowledges_serves_on() -> Result<()> {
    let lane = RunningLane::start(&[Fate::IsCutOff, Fate::IsCutOff, Fate::IsDone]).await?;
    lane.has_handled(3).await?;
    let site = lane.stop().await?;
    assert_eq!(site.broker().await?.waiting("apollo.summaries").await?, 0, "it was acknowledged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_not_acknowledged_before_its_dead_letter_is_confirmed() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    // Nothing takes dead letters any more; a lane that starts anew declares the binding anew.
    let connection = Connection::connect(&site.rabbitmq_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_unbind(DEAD.into(), DEAD.into(), "#".into(), FieldTable::default()).await?;
    let envelope = Envelope::of_arrival("dailies", Microseconds::now(), None);
    let body = json!({"dailies": [{"userId": 7}]});
    broker.publish(&envelope, body.to_string().as_bytes()).await?;
    worker.has_stored(1).await?;
    let letters = broker.take_all(DEAD).await?;
    assert_eq!(letters.len(), 1, "the letter was lost, or published twice");
    assert_eq!(letters[0].envelope.message_id, envelope.message_id);
    Ok(())
}
