//! Waiting until everything that was acknowledged is stored.
//!
//! RabbitMQ's own count of a queue is a second old, so it alone cannot say when the work was done. The programs' counters
//! can: messages confirmed to the receiver, messages that the workers are done with. Both must agree that nothing is
//! left; the time is that of the counters. What the receiver published before Garmin began to push, about consents, is not
//! among them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::HumanCount;

use crate::{
    metrics::Metrics,
    stack::{Apollo, Stack, wait_until},
    ui,
};

const QUEUE: &str = "apollo.summaries";
/// Without any progress for this long there will be none.
const STALLED: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How many messages have been confirmed to the receiver so far.
pub(super) fn confirmed(apollo: &Apollo) -> Result<f64> {
    let metrics = Metrics::fetch(&apollo.receiver_metrics())?;
    Ok(metrics.sum("apollo_receiver_publish_confirm_seconds_count", &[]))
}

/// Waits, with a progress bar, and returns when the last message was stored; `before` of those that were confirmed are no
/// notifications.
pub(super) fn wait(stack: &Stack, apollo: &Apollo, before: f64) -> Result<Instant> {
    let total = left(stack, apollo, before)?;
    let bar = ui::countdown(total.queued.max(total.unfinished));
    let mut done_since = None;
    let mut last_progress = (total, Instant::now());
    wait_until("the queues are empty", LIMIT, || {
        let left = left(stack, apollo, before)?;
        if left != last_progress.0 {
            last_progress = (left, Instant::now());
        }
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(left.queued.max(left.unfinished)));
        bar.set_message(format!("{} messages left", HumanCount(left.queued.max(left.unfinished))));
        done_since = if left.unfinished == 0 { done_since.or(Some(Instant::now())) } else { None };
        if last_progress.1.elapsed() > STALLED && left.queued.max(left.unfinished) > 0 {
            bail!(
                "nothing has happened for {} s: {} messages are in {QUEUE}, and the workers are not done with {}; see the \
                 logs in {}",
                STALLED.as_secs(),
                left.queued,
                left.unfinished,
                stack.folder.path().display()
            );
        }
        Ok(left.queued == 0 && left.unfinished == 0)
    })?;
    bar.finish_and_clear();
    Ok(done_since.unwrap_or_else(Instant::now))
}

/// Messages that are not stored yet.
#[derive(Clone, Copy, PartialEq)]
struct Left {
    /// In the queue, as RabbitMQ says.
    queued: u64,
    /// Confirmed to the receiver, but not counted by a worker as stored or dead.
    unfinished: u64,
}

fn left(stack: &Stack, apollo: &Apollo, before: f64) -> Result<Left> {
    let confirmed = confirmed(apollo)? - before;
    let workers = Metrics::fetch(&apollo.worker_metrics())?;
    let finished: f64 = ["stored", "dead"]
        .iter()
        .map(|outcome| {
            workers.sum("apollo_worker_messages_total", &[("lane", "summaries"), ("outcome", outcome)])
        })
        .sum();
    Ok(Left {
        queued: stack.rabbitmq.queue_depth("/", QUEUE)?.unwrap_or(0),
        // What came twice is counted twice.
        unfinished: (confirmed - finished).max(0.0) as u64,
    })
}
