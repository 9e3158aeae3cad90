//! Waiting until everything that was acknowledged is stored.
//!
//! RabbitMQ's own counts of its queues are some seconds old, so they alone cannot say when the work was done. The
//! programs' counters can: messages confirmed to the receiver, messages that the workers are done with. But what workers
//! fetch comes back to them as further notifications, and how many those are is known only in the end. So all queues must
//! be empty, and no counter must have moved for longer than RabbitMQ's counts are old; the time is that of the last move.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::HumanCount;

use crate::{
    metrics::Metrics,
    stack::{Apollo, QueueCounts, Stack, wait_until},
    ui,
};

/// Where messages stay that cannot be handled.
const DEAD: &str = "apollo.dead";
/// Where messages wait that are put off, such as pings of those who have not consented yet.
const RETRY: &str = "apollo.retry.";
/// RabbitMQ's counts are up to two seconds old.
const SETTLED: Duration = Duration::from_secs(3);
/// Without any progress for this long there will be none.
const STALLED: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What is waited for.
pub(super) struct Drain<'a> {
    pub(super) stack: &'a Stack,
    pub(super) apollo: &'a Apollo,
    /// How many messages had been confirmed to the receiver before the first notification.
    pub(super) before: u64,
    /// Whether what is put off counts as well.
    pub(super) with_put_off: bool,
}

/// How many messages have been confirmed to the receiver so far.
pub(super) fn confirmed(apollo: &Apollo) -> Result<u64> {
    let metrics = Metrics::fetch(&apollo.receiver_metrics())?;
    Ok(metrics.sum("apollo_receiver_publish_confirm_seconds_count", &[]) as u64)
}

impl Drain<'_> {
    /// Waits, with a progress bar, and returns when the last message was done with.
    pub(super) fn wait(&self) -> Result<Instant> {
        let bar = ui::countdown(0);
        let mut last = self.progress()?;
        let (mut progressed, mut finished) = (Instant::now(), Instant::now());
        wait_until("the queues are empty", LIMIT, || {
            let now = self.progress()?;
            if now.finished != last.finished {
                finished = Instant::now();
            }
            if (now.finished, now.unfinished) != (last.finished, last.unfinished) {
                progressed = Instant::now();
            }
            last = now;
            bar.set_length(bar.length().unwrap_or_default().max(now.left()));
            bar.set_position(bar.length().unwrap_or_default() - now.left());
            bar.set_message(format!("{} messages left", HumanCount(now.left())));
            if progressed.elapsed() > STALLED {
                bail!(
                    "nothing has happened for {} s: {} messages are in the queues, and the workers are not done with {}; \
                     see the logs in {}",
                    STALLED.as_secs(),
                    now.queued,
                    now.unfinished,
                    self.stack.folder.path().display()
                );
            }
            Ok(now.left() == 0 && progressed.elapsed() > SETTLED)
        })?;
        bar.finish_and_clear();
        Ok(finished)
    }

    fn progress(&self) -> Result<Progress> {
        let workers = Metrics::fetch(&self.apollo.worker_metrics())?;
        let finished = |lane| -> u64 {
            let outcomes = ["stored", "dead"].into_iter();
            let labels = outcomes.map(|outcome| [("lane", lane), ("outcome", outcome)]);
            labels.map(|labels| workers.sum("apollo_worker_messages_total", &labels) as u64).sum()
        };
        let (summaries, pulls) = (finished("summaries"), finished("pull"));
        let queues = self.stack.rabbitmq.address.queues("/")?;
        let counted = |queue: &&QueueCounts| {
            queue.name != DEAD && (self.with_put_off || !queue.name.starts_with(RETRY))
        };
        Ok(Progress {
            queued: queues.iter().filter(counted).map(|queue| queue.messages).sum(),
            // What came twice, or was fetched, is counted beside what the receiver published.
            unfinished: (confirmed(self.apollo)? - self.before).saturating_sub(summaries),
            // What is put off comes back time and again.
            finished: if self.with_put_off { summaries + pulls } else { summaries },
        })
    }
}

/// How far the workers have come.
#[derive(Clone, Copy)]
struct Progress {
    /// Messages in the queues, as RabbitMQ says.
    queued: u64,
    /// Confirmed to the receiver, but not counted by a worker as stored or dead.
    unfinished: u64,
    /// Stored or dead; of what is fetched only where nothing of it is left out.
    finished: u64,
}

impl Progress {
    fn left(self) -> u64 {
        self.queued.max(self.unfinished)
    }
}
