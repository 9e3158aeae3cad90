//! Reading Prometheus' text format: as much of it as a table of results needs.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::http;

/// One line of a page of metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The samples of several programs together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(Vec<Sample>);

impl Metrics {
    /// Reads the pages at these URLs.
    pub(crate) fn fetch<'a>(urls: impl IntoIterator<Item = &'a String>) -> Result<Self> {
        let mut samples = Vec::new();
        for url in urls {
            let (status, page) = http::get(url)?;
            ensure!(status == 200, "{url} answered {status}");
            samples.extend(parse(&page));
        }
        Ok(Self(samples))
    }

    /// What has been added since an earlier look at the same programs, for counters and histograms.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let taken_off = earlier.0.iter().map(|sample| Sample { value: -sample.value, ..sample.clone() });
        Self(self.0.iter().cloned().chain(taken_off).collect())
    }

    /// The sum over all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    /// The sums over those that have these labels, by the value of another label; what has not happened is left out.
    pub(crate) fn sums_by(&self, name: &str, labels: &[(&str, &str)], label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name, labels) {
            if let Some(value) = sample.labels.get(label) {
                *sums.entry(value.clone()).or_default() += sample.value;
            }
        }
        sums.retain(|_, sum| *sum != 0.0);
        sums
    }

    /// A quantile of a histogram, as Prometheus works it out: evenly spread within each bucket. `None` if it is empty;
    /// infinite if it lies beyond the last bound.
    pub(crate) fn quantile(&self, histogram: &str, quantile: f64) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.of(&format!("{histogram}_bucket"), &[]) {
            let bound = sample.labels.get("le")?.parse().ok()?;
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let rank = quantile * buckets.last().filter(|(_, total)| *total > 0.0)?.1;
        let (mut lower_bound, mut lower_count) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= rank && count > lower_count {
                let share = (rank - lower_count) / (count - lower_count);
                return Some(if bound.is_finite() {
                    lower_bound + (bound - lower_bound) * share
                } else {
                    bound
                });
            }
            (lower_bound, lower_count) = (bound, count);
        }
        None
    }

    fn of<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).map(String::as_str) == Some(*value))
        })
    }
}

fn parse(page: &str) -> impl Iterator<Item = Sample> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(parse_line)
}

/// `name{label="value",…} 1.5`, with or without labels. None of our label values hold a quote, a comma or a brace.
fn parse_line(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels.split(',').filter_map(|label| {
        let (label, value) = label.split_once('=')?;
        Some((label.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP apollo_worker_summaries_total Entries.
# TYPE apollo_worker_summaries_total counter
apollo_worker_summaries_total{type=\"dailies\",outcome=\"created\"} 10
apollo_worker_summaries_total{type=\"epochs\",outcome=\"created\"} 5
apollo_worker_summaries_total{type=\"epochs\",outcome=\"stale\"} 2
apollo_worker_summaries_total{type=\"epochs\",outcome=\"raw\"} 0
apollo_worker_lag_seconds_bucket{le=\"1\"} 50
apollo_worker_lag_seconds_bucket{le=\"2\"} 90
apollo_worker_lag_seconds_bucket{le=\"+Inf\"} 100
apollo_receiver_in_flight_bytes 12
";

    fn metrics() -> Metrics {
        // Two programs with the same page.
        Metrics(parse(PAGE).chain(parse(PAGE)).collect())
    }

    #[test]
    fn sums_go_over_programs_and_labels() {
        assert_eq!(metrics().sum("apollo_worker_summaries_total", &[("type", "epochs")]), 14.0);
        assert_eq!(metrics().sum("apollo_receiver_in_flight_bytes", &[]), 24.0);
        let by_outcome = metrics().sums_by("apollo_worker_summaries_total", &[], "outcome");
        assert_eq!(by_outcome, BTreeMap::from([("created".to_owned(), 30.0), ("stale".to_owned(), 4.0)]));
        let dailies = metrics().sums_by("apollo_worker_summaries_total", &[("type", "dailies")], "outcome");
        assert_eq!(dailies, BTreeMap::from([("created".to_owned(), 20.0)]));
    }

    #[test]
    fn quantiles_are_interpolated_within_a_bucket() {
        let quantile = |share| metrics().quantile("apollo_worker_lag_seconds", share);
        assert_eq!(quantile(0.25), Some(0.5));
        assert_eq!(quantile(0.5), Some(1.0));
        assert_eq!(quantile(0.7), Some(1.5));
        assert_eq!(quantile(0.99), Some(f64::INFINITY));
        assert_eq!(metrics().quantile("apollo_no_such_seconds", 0.5), None);
    }

    #[test]
    fn what_came_in_between_is_told_apart() {
        let later =
            PAGE.replace("{le=\"2\"} 90", "{le=\"2\"} 97").replace("{le=\"+Inf\"} 100", "{le=\"+Inf\"} 107");
        let between = Metrics(parse(&later).collect()).since(&Metrics(parse(PAGE).collect()));
        assert_eq!(between.sum("apollo_worker_summaries_total", &[]), 0.0);
        assert_eq!(between.quantile("apollo_worker_lag_seconds", 0.5), Some(1.5));
        assert_eq!(between.quantile("apollo_worker_lag_seconds", 1.0), Some(2.0));
    }
}
