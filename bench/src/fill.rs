//! Messages for the workers, as a receiver would have published them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use anyhow::{Result, ensure};
use apollo_shared::broker::{Broker, BrokerConfig, close};
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::topology::EXCHANGE;
use apollo_simulator::plan::Plan;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, PublisherConfirm};
use serde::Serialize;
use uuid::Uuid;

use crate::entries::{Body, Shape};

/// Messages that may wait for their confirms.
const UNCONFIRMED: usize = 1000;

/// What the queue is filled with.
#[derive(Debug, Args)]
pub(crate) struct Fill {
    #[command(flatten)]
    broker: BrokerConfig,
    /// Summaries in all; of the mix, users who send two days each
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// The top-level key of a type, or `mix` for all of them as the simulator sends them
    #[arg(long = "type", default_value = "mix")]
    key: String,
    /// Bytes of a notification, about; the mix has its own
    #[arg(long, default_value_t = 30_000)]
    bytes: usize,
    /// Entries of a notification at most; the mix has its own
    #[arg(long, default_value_t = 100)]
    entries: usize,
    /// Seconds by which each summary is longer than without this: a greater version of it
    #[arg(long, default_value_t = 0)]
    longer: u64,
    /// Leaves out all but one of so many summaries
    #[arg(long, default_value_t = 1)]
    one_of: usize,
    /// When the first notification was received, in microseconds since 1970; each of the next is one microsecond later.
    /// The same once more makes the same messages
    #[arg(long)]
    received_at: i64,
}

/// What was put into the queue.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Filled {
    notifications: u64,
    summaries: u64,
    bytes: u64,
    seconds: f64,
    /// Whom the notifications are about.
    user_ids: BTreeSet<String>,
}

/// Fills the queue; returns when all of it is confirmed.
///
/// # Errors
/// The broker cannot be reached or refuses.
pub(crate) async fn run(options: Fill) -> Result<Filled> {
    let connection = Broker::new(&options.broker, "apollo-bench")?.connect().await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let begun = Instant::now();
    let mut queue = Queue { channel, unconfirmed: VecDeque::new(), filled: Filled::default() };
    let bar = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template("    {human_pos} notifications ({elapsed})")?);
    for body in bodies(&options)? {
        queue.put(&options, body).await?;
        bar.inc(1);
    }
    queue.confirm_down_to(0).await?;
    bar.finish_and_clear();
    queue.filled.seconds = begun.elapsed().as_secs_f64();
    close(connection).await;
    Ok(queue.filled)
}

fn bodies(options: &Fill) -> Result<Box<dyn Iterator<Item = Body> + Send + '_>> {
    if options.key == "mix" {
        let plan = Plan { users: u32::try_from(options.count)?, ..Plan::default() };
        return Ok(Box::new(plan.groups().flat_map(|household| {
            let mut user_ids = household.user_ids();
            household.notifications().map(move |notification| Body {
                json: String::from_utf8_lossy(&notification.body).into_owned(),
                entries: notification.summaries.values().sum(),
                user_ids: std::mem::take(&mut user_ids),
            })
        })));
    }
    let Fill { key, bytes, entries, longer, one_of, count, .. } = options;
    let shape = Shape { key, bytes: *bytes, entries: *entries, longer: *longer, one_of: *one_of };
    Ok(Box::new(shape.bodies(*count)?))
}

struct Queue {
    channel: Channel,
    unconfirmed: VecDeque<PublisherConfirm>,
    filled: Filled,
}

impl Queue {
    async fn put(&mut self, options: &Fill, Body { json, entries, user_ids }: Body) -> Result<()> {
        let place = self.filled.notifications;
        let properties = envelope(options, place).to_properties("apollo-bench", FieldTable::default());
        let routing_key = format!("push.{}", options.key);
        let confirm = self
            .channel
            .basic_publish(
                EXCHANGE.into(),
                routing_key.into(),
                BasicPublishOptions::default(),
                json.as_bytes(),
                properties,
            )
            .await?;
        self.unconfirmed.push_back(confirm);
        self.filled.notifications += 1;
        self.filled.summaries += entries;
        self.filled.bytes += json.len() as u64;
        self.filled.user_ids.extend(user_ids);
        self.confirm_down_to(UNCONFIRMED).await
    }

    async fn confirm_down_to(&mut self, most: usize) -> Result<()> {
        while self.unconfirmed.len() > most
            && let Some(confirm) = self.unconfirmed.pop_front()
        {
            ensure!(matches!(confirm.await?, Confirmation::Ack(_)), "the broker refused a message");
        }
        Ok(())
    }
}

/// As a receiver makes it, but the same for the same options.
fn envelope(options: &Fill, place: u64) -> Envelope {
    let received_at = Microseconds(options.received_at.saturating_add_unsigned(place));
    let message_id = Uuid::from_u64_pair(received_at.0.unsigned_abs(), place);
    Envelope { message_id, ..Envelope::of_arrival(&options.key, received_at, None) }
}
