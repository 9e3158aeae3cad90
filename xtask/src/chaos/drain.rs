//! Waiting until everything that was acknowledged has gone all the way: no spool, no queue holds anything.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use indicatif::HumanCount;

use super::site::Site;
use crate::{metrics::Metrics, stack::wait_until, ui};

/// Where messages stay that cannot be handled.
const DEAD: &str = "apollo.dead";
/// Where messages wait that are put off: above all pings of the files of those who have not consented, for a day.
const RETRY: &str = "apollo.retry.";
/// Without any progress for this long there will be none.
const STALLED: Duration = Duration::from_secs(90);
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// RabbitMQ's counts are up to two seconds old.
const SETTLED: Duration = Duration::from_secs(3);

/// How it ended.
#[derive(Debug)]
pub(super) struct Drained {
    /// Until everything was empty.
    pub(super) took: Duration,
    /// Messages that are still in spools or queues, because nothing happened any more.
    pub(super) left: u64,
    /// Messages in apollo.dead.
    pub(super) dead: u64,
}

/// Waits, with a progress bar.
pub(super) fn wait(site: &Site) -> Result<Drained> {
    let began = Instant::now();
    let mut held = Held::default();
    let (mut since, mut progress) = (began, began);
    let bar = ui::countdown(0);
    wait_until("the queues are empty", LIMIT, || {
        // Not everything may answer yet.
        let now = Held::of(site).unwrap_or_default();
        if now != held {
            (held, since) = (now, Instant::now());
            progress = since;
        }
        bar.set_length(bar.length().unwrap_or_default().max(held.messages()));
        bar.set_position(bar.length().unwrap_or_default() - held.messages());
        bar.set_message(format!("{} messages left", HumanCount(held.messages())));
        let empty = held.is_known && held.messages() == 0;
        Ok((empty && since.elapsed() >= SETTLED) || progress.elapsed() >= STALLED)
    })?;
    bar.finish_and_clear();
    ensure!(held.is_known, "the receivers or RabbitMQ do not say what they hold");
    if held.messages() > 0 {
        note_state(site)?;
    }
    Ok(Drained { took: since.duration_since(began), left: held.messages(), dead: held.dead })
}

/// Writes down what RabbitMQ says of everything, beside the logs.
fn note_state(site: &Site) -> Result<()> {
    for page in ["queues", "channels", "consumers", "connections"] {
        let state = site.stack.rabbitmq.address.get(&format!("api/{page}"))?;
        let file = site.stack.folder.path().join(format!("rabbitmq-{page}.log"));
        fs::write(file, serde_json::to_vec_pretty(&state)?)?;
    }
    Ok(())
}

/// What has not arrived yet.
#[derive(Debug, Default, PartialEq)]
struct Held {
    is_known: bool,
    spooled: u64,
    queued: u64,
    dead: u64,
}

impl Held {
    fn of(site: &Site) -> Result<Self> {
        let receivers = Metrics::fetch(&site.apollo.receiver_metrics())?;
        let queues = site.stack.rabbitmq.address.queues("/")?;
        let sum = |is_meant: fn(&str) -> bool| {
            let meant = queues.iter().filter(|queue| is_meant(&queue.name));
            meant.map(|queue| queue.messages).sum()
        };
        Ok(Self {
            is_known: true,
            spooled: receivers.sum("apollo_receiver_spool_messages", &[]) as u64,
            queued: sum(|queue| queue != DEAD && !queue.starts_with(RETRY)),
            dead: sum(|queue| queue == DEAD),
        })
    }

    fn messages(&self) -> u64 {
        self.spooled + self.queued
    }
}
