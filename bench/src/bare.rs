//! The least that can be done with a POST before it is answered: its body published, and the confirm awaited.
//!
//! What Apollo's receiver is compared with, written as one would write it who needs no more: no checks, no limits, no
//! metrics, no spool. Requests publish in turn on the channels of a small pool. Of pools of 1, 4 and 16 channels the one of 4 was
//! the fastest, by about a tenth.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use apollo_shared::broker::{Broker, BrokerConfig};
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::topology::EXCHANGE;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use clap::Args;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation};
use tokio::net::TcpListener;

/// Where it listens, and how it publishes.
#[derive(Debug, Args)]
pub(crate) struct BareHandler {
    #[command(flatten)]
    broker: BrokerConfig,
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// Channels in the pool
    #[arg(long, default_value_t = 4)]
    channels: usize,
}

struct Pool {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

/// Serves until it is killed.
///
/// # Errors
/// It cannot listen, or the broker cannot be reached.
pub(crate) async fn run(options: BareHandler) -> Result<()> {
    let connection = Broker::new(&options.broker, "apollo-bench")?.connect().await?;
    let mut channels = Vec::new();
    for _ in 0..options.channels {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channels.push(channel);
    }
    let pool = Arc::new(Pool { channels, next: AtomicUsize::new(0) });
    let router = Router::new().route("/api_client/garmin/{endpoint}", post(take)).with_state(pool);
    let listener = TcpListener::bind(options.listen).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn take(State(pool): State<Arc<Pool>>, Path(endpoint): Path<String>, body: Bytes) -> StatusCode {
    let channel = &pool.channels[pool.next.fetch_add(1, Ordering::Relaxed) % pool.channels.len()];
    let envelope = Envelope::of_arrival(&endpoint, Microseconds::now(), None);
    let properties = envelope.to_properties("apollo-bench", FieldTable::default());
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let routing_key = format!("push.{endpoint}").into();
    let published = channel.basic_publish(EXCHANGE.into(), routing_key, options, &body, properties);
    let confirmation = match published.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    match confirmation {
        Ok(Confirmation::Ack(None)) => StatusCode::OK,
        Ok(_) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
