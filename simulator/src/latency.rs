//! How long acknowledged POSTs took.

use std::time::Duration;

use serde::Serialize;

/// The latency of every acknowledged POST, in milliseconds. Four bytes each, so millions of them cost little.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<f32>);

/// What is worth saying about latencies, in milliseconds; zero if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Half were no slower.
    pub p50_ms: f32,
    /// 99 in 100 were no slower.
    pub p99_ms: f32,
    /// The slowest.
    pub max_ms: f32,
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.push(latency.as_secs_f32() * 1_000.0);
    }

    pub(crate) fn summary(mut self) -> LatencySummary {
        self.0.sort_by(f32::total_cmp);
        LatencySummary {
            p50_ms: self.quantile(0.50),
            p99_ms: self.quantile(0.99),
            max_ms: self.quantile(1.0),
        }
    }

    /// The smallest latency that is not below that share of all (which are in order).
    fn quantile(&self, share: f64) -> f32 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_latencies_that_occurred() {
        let mut latencies = Latencies::default();
        for milliseconds in (1..=200).rev() {
            latencies.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(latencies.summary(), LatencySummary { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 });
    }

    #[test]
    fn no_latencies_are_no_error() {
        assert_eq!(Latencies::default().summary(), LatencySummary::default());
    }
}
