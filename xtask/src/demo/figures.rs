//! What a demonstration has measured, and the table of it.

use std::{fmt, time::Duration};

use indicatif::{HumanBytes, HumanCount};

use crate::{
    metrics::Metrics,
    simulator::{Consented, Pushed, Verified},
};

/// Everything that the table shows.
pub(super) struct Figures {
    pub(super) consented: Consented,
    pub(super) pushed: Pushed,
    pub(super) verified: Verified,
    /// Of all workers together.
    pub(super) metrics: Metrics,
    /// From the first POST until the last message was stored.
    pub(super) end_to_end: Duration,
    /// In bytes, by program.
    pub(super) peak_memory: Vec<(String, Option<u64>)>,
}

impl Figures {
    /// How many messages and entries could not be handled.
    pub(super) fn dead_letters(&self) -> u64 {
        self.metrics.sum("apollo_worker_dead_letters_total", &[]) as u64
    }

    /// How often Garmin was asked for what pings announced, by its answer.
    fn fetched(&self) -> impl Iterator<Item = (String, u64)> {
        [("pull", "pulls"), ("activity_file", "activity files")].into_iter().flat_map(|(call, what)| {
            let answers = self.metrics.sums_by("apollo_garmin_requests_total", &[("call", call)], "status");
            answers
                .into_iter()
                .map(move |(status, times)| (format!("  {what} answered {status}"), times as u64))
        })
    }

    fn lag(&self, quantile: f64) -> String {
        let seconds = self.metrics.quantile("apollo_worker_lag_seconds", quantile);
        seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consented, pushed, verified, .. } = self;
        let mut row = |name: &str, value: String| writeln!(formatter, "{name:<36}{value:>28}");
        let summaries = pushed.summaries_total();
        let end_to_end = self.end_to_end.as_secs_f64();
        row("participants linked", format!("{} of {}", consented.linked(), consented.participants))?;
        row(
            "form to outcome p50 / max",
            format!("{:.0} / {:.0} ms", consented.latency.p50_ms, consented.latency.max_ms),
        )?;
        row("notifications acknowledged", count(pushed.notifications))?;
        row("refused and sent again", count(pushed.refusals.values().sum()))?;
        row("bytes", HumanBytes(pushed.bytes).to_string())?;
        row("POSTs acknowledged a second", per_second(pushed.notifications, pushed.seconds))?;
        let latency = &pushed.latency;
        row(
            "latency of a POST p50 / p99 / max",
            format!("{:.1} / {:.1} / {:.1} ms", latency.p50_ms, latency.p99_ms, latency.max_ms),
        )?;
        row(
            "pings / notifications repeated",
            format!("{} / {}", count(pushed.pings), count(pushed.repeated)),
        )?;
        for (what, times) in self.fetched() {
            row(&what, count(times))?;
        }
        row("summaries sent", count(summaries))?;
        for (outcome, number) in self.metrics.sums_by("apollo_worker_summaries_total", &[], "outcome") {
            row(&format!("  {outcome}"), count(number as u64))?;
        }
        row("dead letters", count(self.dead_letters()))?;
        row("first POST to last commit", format!("{end_to_end:.1} s"))?;
        row("summaries a second end to end", per_second(summaries, end_to_end))?;
        row("lag p50 / p99", format!("{} / {}", self.lag(0.5), self.lag(0.99)))?;
        for (program, bytes) in &self.peak_memory {
            let bytes = bytes.map_or_else(|| "-".to_owned(), |bytes| HumanBytes(bytes).to_string());
            row(&format!("peak memory of {program}"), bytes)?;
        }
        row("rows compared", count(verified.compared))?;
        row(
            "rows missing / different / too many",
            format!(
                "{} / {} / {}",
                count(verified.missing),
                count(verified.different),
                count(verified.unexpected + verified.of_others)
            ),
        )?;
        row(
            "activity files / missing / different",
            [verified.files, verified.files_missing, verified.files_different].map(count).join(" / "),
        )?;
        for difference in &verified.differences {
            writeln!(formatter, "{difference}")?;
        }
        Ok(())
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn per_second(number: u64, seconds: f64) -> String {
    count((number as f64 / seconds.max(f64::EPSILON)) as u64)
}
