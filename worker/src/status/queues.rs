//! A look at the broker's queues: by declaring them passively, which takes no right that a worker has not and no
//! management API.
//!
//! All that AMQP tells is how many messages wait and how many consumers there are. How fast a queue grows is the
//! difference between two looks; what comes and goes meanwhile is not to be seen.

use super::figures::{Part, Queue};
use apollo_shared::broker::{Broker, ConnectError};
use apollo_shared::telemetry::with_causes;
use apollo_shared::topology::{DEAD, Lane, RETRY_SECONDS, retry};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long the broker may take, a new connection included.
const LIMIT: Duration = Duration::from_secs(3);

/// How long looks are remembered, to tell growth by.
const REMEMBERED: Duration = Duration::from_secs(30);

/// AMQP's code for what is not there.
const NOT_FOUND: u16 = 404;

/// See the [module](self).
pub(super) struct Queues {
    broker: Broker,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    connection: Option<Connection>,
    /// What waited where, at each look of late, oldest first.
    looks: VecDeque<(Instant, BTreeMap<String, u32>)>,
}

#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("no connection")]
    Connect(#[from] ConnectError),
    #[error("the connection to RabbitMQ failed")]
    Connection(#[from] lapin::Error),
    #[error("RabbitMQ did not answer within {} s", LIMIT.as_secs())]
    TimedOut,
}

impl Queues {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker: broker.declaring_only_what_is_missing(), watched: Mutex::default() }
    }

    /// All of Apollo's queues, those of the lanes first.
    pub(super) async fn look(&self) -> Part<Vec<Queue>> {
        let mut watched = self.watched.lock().await;
        let looked = timeout(LIMIT, watched.look(&self.broker)).await.unwrap_or(Err(LookError::TimedOut));
        match looked {
            Ok(queues) => Part::Known(queues),
            Err(error) => Part::Unknown { unknown: with_causes(&error) },
        }
    }
}

impl Watched {
    async fn look(&mut self, broker: &Broker) -> Result<Vec<Queue>, LookError> {
        let connection = match self.connection.take().filter(|connection| connection.status().connected()) {
            Some(connection) => connection,
            None => broker.connect().await?,
        };
        let mut queues = ask(&connection).await?;
        self.connection = Some(connection);
        self.compare(&mut queues, Instant::now());
        Ok(queues)
    }

    /// Tells how much each queue has grown since the oldest look that is remembered.
    fn compare(&mut self, queues: &mut [Queue], now: Instant) {
        self.looks.retain(|(at, _)| now.duration_since(*at) <= REMEMBERED);
        if let Some((at, before)) = self.looks.front() {
            let seconds = now.duration_since(*at).as_secs_f64();
            for queue in queues.iter_mut() {
                let both = queue.waiting.zip(before.get(&queue.name));
                queue.growth_per_second =
                    both.map(|(now, then)| (f64::from(now) - f64::from(*then)) / seconds);
            }
        }
        let waiting = queues.iter().filter_map(|queue| Some((queue.name.clone(), queue.waiting?)));
        self.looks.push_back((now, waiting.collect()));
    }
}

async fn ask(connection: &Connection) -> Result<Vec<Queue>, LookError> {
    let names = Lane::ALL.map(|lane| lane.queue().to_owned());
    let names = names.into_iter().chain([DEAD.to_owned()]).chain(RETRY_SECONDS.map(retry));
    let mut channel = connection.create_channel().await?;
    let mut queues = Vec::new();
    for name in names {
        let declared = declared(&channel, &name).await?;
        if declared.is_none() {
            // A channel does not outlive the question for a queue that is not there.
            channel = connection.create_channel().await?;
        }
        let (waiting, consumers) = declared.unzip();
        let consumers = consumers.unwrap_or_default();
        queues.push(Queue { name, waiting, consumers, growth_per_second: None });
    }
    channel.close(200, "seen".into()).await?;
    Ok(queues)
}

/// How many messages wait in a queue, and for how many consumers; nothing if it is not there.
async fn declared(channel: &Channel, name: &str) -> Result<Option<(u32, u32)>, LookError> {
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    match channel.queue_declare(name.into(), passive, FieldTable::default()).await {
        Ok(queue) => Ok(Some((queue.message_count(), queue.consumer_count()))),
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(refusal) if refusal.get_id() == NOT_FOUND => Ok(None),
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(waiting: u32) -> Vec<Queue> {
        vec![Queue { name: "q".into(), waiting: Some(waiting), consumers: 0, growth_per_second: None }]
    }

    #[test]
    fn growth_is_told_from_the_second_look_on_and_forgets_what_is_long_ago() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut growth = |second: u64, waiting: u32| {
            let mut queues = queues(waiting);
            watched.compare(&mut queues, start + Duration::from_secs(second));
            queues[0].growth_per_second
        };
        assert_eq!(growth(0, 1000), None);
        assert_eq!(growth(10, 900), Some(-10.0));
        assert_eq!(growth(20, 1200), Some(10.0));
        assert_eq!(growth(40, 900), Some(0.0), "since the look at 10 s");
        assert_eq!(growth(100, 5), None, "nobody has looked for a while");
    }
}
