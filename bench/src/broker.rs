//! The broker alone: one process that publishes without a pause, so many messages unconfirmed at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use apollo_shared::broker::{Broker, BrokerConfig, close};
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::topology::EXCHANGE;
use clap::Args;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, PublisherConfirm};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::load::one_body;

/// What is published.
#[derive(Debug, Args)]
pub(crate) struct BrokerAlone {
    #[command(flatten)]
    broker: BrokerConfig,
    /// Bytes of a message, about: it is a notification of epochs
    #[arg(long)]
    bytes: usize,
    /// Seconds that are measured
    #[arg(long)]
    seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Channels, each of which publishes
    #[arg(long, default_value_t = 4)]
    channels: usize,
    /// Messages of a channel that may wait for their confirms
    #[arg(long, default_value_t = 64)]
    unconfirmed: usize,
}

/// What was confirmed in the time that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Published {
    messages: u64,
    seconds: f64,
}

/// The time that is measured.
#[derive(Debug, Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// Publishes, and returns how much was confirmed.
///
/// # Errors
/// The broker cannot be reached or refuses.
pub(crate) async fn run(options: BrokerAlone) -> Result<Published> {
    let connection = Broker::new(&options.broker, "apollo-bench")?.connect().await?;
    let begin = Instant::now() + Duration::from_secs_f64(options.warm_up);
    let window = Window { begin, end: begin + Duration::from_secs_f64(options.seconds) };
    let body = one_body(options.bytes)?;
    let mut publishers = JoinSet::new();
    for _ in 0..options.channels {
        let channel = confirming(&connection).await?;
        publishers.spawn(publish(channel, body.clone(), options.unconfirmed, window));
    }
    let mut messages = 0;
    while let Some(published) = publishers.join_next().await {
        messages += published??;
    }
    close(connection).await;
    Ok(Published { messages, seconds: options.seconds })
}

async fn confirming(connection: &Connection) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn publish(channel: Channel, body: Vec<u8>, most: usize, window: Window) -> Result<u64> {
    let mut unconfirmed: VecDeque<PublisherConfirm> = VecDeque::new();
    let mut confirmed = 0;
    while Instant::now() < window.end {
        let envelope = Envelope::of_arrival("epochs", Microseconds::now(), None);
        let properties = envelope.to_properties("apollo-bench", FieldTable::default());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let published =
            channel.basic_publish(EXCHANGE.into(), "push.epochs".into(), options, &body, properties);
        unconfirmed.push_back(published.await?);
        if unconfirmed.len() >= most
            && let Some(oldest) = unconfirmed.pop_front()
        {
            ensure!(oldest.await? == Confirmation::Ack(None), "the broker refused a message");
            let now = Instant::now();
            confirmed += u64::from(window.begin <= now && now < window.end);
        }
    }
    for confirm in unconfirmed {
        confirm.await?;
    }
    Ok(confirmed)
}
