//! What a worker's counters have gained of late: snapshots of them, some seconds apart, for some minutes.

use super::figures::Lag;
use prometheus::proto::{Metric, MetricFamily};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Between two snapshots.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// The time over which lag is told.
const LAG_WINDOW: Duration = Duration::from_secs(300);

/// The time over which rates are told.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Counters at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    at: Instant,
    /// Upper bounds of the buckets in seconds, and how many notifications took no longer.
    lag: Vec<(f64, u64)>,
    /// Messages that came to their end, by lane.
    messages: BTreeMap<String, u64>,
}

/// The snapshots of the longest window, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Snapshot>);

impl Snapshot {
    pub(super) fn of(families: &[MetricFamily], at: Instant) -> Self {
        let mut lag: Vec<(f64, u64)> = Vec::new();
        for metric in metrics(families, "apollo_worker_lag_seconds") {
            let buckets = metric.get_histogram().get_bucket();
            lag.resize(buckets.len(), (f64::INFINITY, 0));
            for (sum, bucket) in lag.iter_mut().zip(buckets) {
                *sum = (bucket.upper_bound(), sum.1 + bucket.cumulative_count());
            }
        }
        let mut messages = BTreeMap::new();
        for metric in metrics(families, "apollo_worker_messages_total") {
            if ["stored", "dead"].contains(&label(metric, "outcome")) {
                let sum: &mut u64 = messages.entry(label(metric, "lane").to_owned()).or_default();
                *sum += metric.get_counter().get_value() as u64;
            }
        }
        Self { at, lag, messages }
    }
}

impl Recent {
    /// Begins with what a program begins with: nothing.
    pub(super) fn starting(at: Instant) -> Self {
        Self(VecDeque::from([Snapshot { at, lag: Vec::new(), messages: BTreeMap::new() }]))
    }

    pub(super) fn add(&mut self, snapshot: Snapshot) {
        let now = snapshot.at;
        self.0.push_back(snapshot);
        // The youngest of those that are old enough stays.
        while self.0.get(1).is_some_and(|next| now.duration_since(next.at) >= LAG_WINDOW) {
            self.0.pop_front();
        }
    }

    /// The youngest snapshot that is a window older than `now`; the oldest there is if none is.
    fn before(&self, now: Instant, window: Duration) -> Option<&Snapshot> {
        let old_enough = |snapshot: &&Snapshot| now.duration_since(snapshot.at) >= window;
        self.0.iter().rev().find(old_enough).or(self.0.front())
    }

    /// The lag until `now`.
    pub(super) fn lag(&self, now: &Snapshot) -> Lag {
        let before = self.before(now.at, LAG_WINDOW);
        let earlier = |place: usize| before.and_then(|before| before.lag.get(place)).map_or(0, |it| it.1);
        let gained: Vec<(f64, u64)> = now
            .lag
            .iter()
            .enumerate()
            .map(|(place, (bound, count))| (*bound, count.saturating_sub(earlier(place))))
            .collect();
        Lag {
            window_seconds: before
                .map_or(0.0, |before| now.at.duration_since(before.at).as_secs_f64().round()),
            notifications: gained.last().map_or(0, |(_, count)| *count),
            p50_seconds: quantile(0.5, &gained),
            p99_seconds: quantile(0.99, &gained),
        }
    }

    /// The messages of a lane that came to their end until `now`, a second.
    pub(super) fn messages_per_second(&self, lane: &str, now: &Snapshot) -> f64 {
        let Some(before) = self.before(now.at, RATE_WINDOW) else { return 0.0 };
        let count = |snapshot: &Snapshot| snapshot.messages.get(lane).copied().unwrap_or_default();
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        if seconds > 0.0 { count(now).saturating_sub(count(before)) as f64 / seconds } else { 0.0 }
    }
}

/// The metrics of a name.
pub(super) fn metrics<'a>(families: &'a [MetricFamily], name: &str) -> impl Iterator<Item = &'a Metric> {
    families.iter().filter(move |family| family.name() == name).flat_map(|family| family.get_metric())
}

/// The value of a metric's label.
pub(super) fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

/// A quantile of cumulative buckets as Prometheus reads it: within a bucket everything is spread evenly.
fn quantile(quantile: f64, buckets: &[(f64, u64)]) -> Option<f64> {
    let total = buckets.last().map(|(_, count)| *count).filter(|total| *total > 0)?;
    let rank = quantile * total as f64;
    let place = buckets.iter().position(|(_, count)| *count as f64 >= rank)?;
    let (above, up_to) = buckets[place];
    let (below, before) = place.checked_sub(1).map_or((0.0, 0), |place| buckets[place]);
    if above.is_infinite() {
        return Some(below);
    }
    Some(below + (above - below) * (rank - before as f64) / (up_to - before) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(start: Instant, second: u64, counts: [u64; 3]) -> Snapshot {
        let bounds = [1.0, 2.0, f64::INFINITY];
        Snapshot {
            at: start + Duration::from_secs(second),
            lag: bounds.into_iter().zip(counts).collect(),
            messages: BTreeMap::from([("summaries".to_owned(), counts[2])]),
        }
    }

    #[test]
    fn lag_is_that_of_the_last_five_minutes() {
        let start = Instant::now();
        let mut recent = Recent::starting(start);
        let first = recent.lag(&snapshot(start, 60, [100, 100, 100]));
        assert_eq!((first.window_seconds, first.notifications), (60.0, 100));
        assert_eq!(first.p50_seconds, Some(0.5));

        for (second, fast) in [(60, 100), (300, 100), (360, 100)] {
            recent.add(snapshot(start, second, [fast, fast, fast]));
        }
        let later = recent.lag(&snapshot(start, 400, [100, 300, 300]));
        assert_eq!((later.window_seconds, later.notifications), (340.0, 200), "what was before is left out");
        assert_eq!(later.p50_seconds, Some(1.5));
        assert_eq!(later.p99_seconds, Some(1.99));
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let start = Instant::now();
        let mut recent = Recent::starting(start);
        recent.add(snapshot(start, 10, [0, 0, 1000]));
        recent.add(snapshot(start, 50, [0, 0, 1000]));
        let rate =
            |second, count| recent.messages_per_second("summaries", &snapshot(start, second, [0, 0, count]));
        assert_eq!(rate(20, 1000), 50.0, "since the start of the program");
        assert_eq!(rate(80, 1700), 10.0, "since the snapshot at 10 s");
        assert_eq!(rate(110, 1000), 0.0);
    }

    #[test]
    fn nothing_has_no_quantile_and_what_is_beyond_all_bounds_has_the_last() {
        assert_eq!(quantile(0.5, &[]), None);
        assert_eq!(quantile(0.5, &[(1.0, 0), (f64::INFINITY, 0)]), None);
        assert_eq!(quantile(0.5, &[(1.0, 0), (f64::INFINITY, 4)]), Some(1.0));
    }
}
