//! The metrics of a program: registered in one place, which can tell all of them with type, labels and help.
//!
//! Prometheus sees a counter grow only from its second scrape on, so one that appears with its first event seems not to have
//! moved, and an alert on the first dead letter would stay silent. So counters name the series that they show from the
//! start, at zero; with it they say how many series there can be. No label ever holds a user's id.

use crate::admin::Readiness;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::fmt;

/// The metric families of a program.
#[derive(Debug)]
pub struct Families {
    registry: Registry,
    descriptions: Vec<Description>,
}

/// What is known of a family before it has a series.
#[derive(Debug)]
struct Description {
    name: String,
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

impl Families {
    /// What every program shows: its version, its process (memory, CPU, descriptors), and whether it is ready.
    ///
    /// # Errors
    /// None in practice: the names are constant and distinct.
    pub fn new(version: &str, readiness: &Readiness) -> prometheus::Result<Self> {
        let mut families = Self { registry: Registry::new(), descriptions: Vec::new() };
        let build = Opts::new("apollo_build_info", "Always 1; the label tells which version runs.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[version]).set(1);
        families.add(build)?;
        families.add(ProcessCollector::for_self())?;
        families.add(Ready::new(readiness.clone())?)?;
        Ok(families)
    }

    /// Where they are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counters of one name; the series of `from_zero` are shown from the start.
    ///
    /// # Errors
    /// The name is taken already, or malformed.
    pub fn counters<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; LABELS],
        from_zero: impl IntoIterator<Item = [&'static str; LABELS]>,
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(name, help), &labels)?;
        for values in from_zero {
            counters.get_metric_with_label_values(&values)?;
        }
        self.add(counters.clone())?;
        Ok(counters)
    }

    /// A gauge without labels.
    ///
    /// # Errors
    /// As [`Families::counters`].
    pub fn gauge(&mut self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.add(gauge.clone())?;
        Ok(gauge)
    }

    /// Gauges of one name, each shown once it is set.
    ///
    /// # Errors
    /// As [`Families::counters`].
    pub fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
        self.add(gauges.clone())?;
        Ok(gauges)
    }

    /// A histogram with these upper bounds.
    ///
    /// # Errors
    /// As [`Families::counters`].
    pub fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
        self.add(histogram.clone())?;
        Ok(histogram)
    }

    fn add(&mut self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        let kinds = collector.collect();
        let described = collector.desc().into_iter().map(|of| Description::new(of, &kinds));
        self.descriptions.extend(described);
        self.registry.register(Box::new(collector))
    }
}

/// A Markdown table, in the order of the names.
impl fmt::Display for Families {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut descriptions: Vec<&Description> = self.descriptions.iter().collect();
        descriptions.sort_by_key(|description| &description.name);
        writeln!(formatter, "| metric | type | labels | meaning |\n|---|---|---|---|")?;
        for Description { name, kind, labels, help } in descriptions {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let (labels, help) = (labels.join(", "), help.replace('|', "\\|"));
            writeln!(formatter, "| `{name}` | {kind} | {labels} | {help} |")?;
        }
        Ok(())
    }
}

impl Description {
    /// `families` are what the collector shows just now: they know types, also of families without a series.
    fn new(of: &Desc, families: &[MetricFamily]) -> Self {
        let family = families.iter().find(|family| family.name() == of.fq_name);
        let kind = match family.map(MetricFamily::get_field_type) {
            Some(MetricType::COUNTER) => "counter",
            Some(MetricType::HISTOGRAM) => "histogram",
            Some(MetricType::SUMMARY) => "summary",
            Some(MetricType::GAUGE) => "gauge",
            Some(MetricType::UNTYPED) | None => "untyped",
        };
        let (name, help) = (of.fq_name.clone(), of.help.clone());
        Self { name, kind, labels: of.variable_labels.clone(), help }
    }
}

/// The program's readiness, looked at with each scrape.
struct Ready {
    readiness: Readiness,
    gauge: IntGauge,
}

impl Ready {
    fn new(readiness: Readiness) -> prometheus::Result<Self> {
        let help = "1 while the program does its work, 0 while it cannot; GET /health/ready tells why.";
        Ok(Self { readiness, gauge: IntGauge::new("apollo_ready", help)? })
    }
}

impl Collector for Ready {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(self.readiness.reasons().is_none().into());
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    fn shown(families: &Families) -> String {
        TextEncoder::new().encode_to_string(&families.registry.gather()).unwrap()
    }

    #[test]
    fn counters_are_shown_before_they_count_and_gauges_once_they_are_set() {
        let mut families = Families::new("1", &Readiness::default()).unwrap();
        families.counters("apollo_things_total", "Things.", ["kind"], [["good"], ["bad"]]).unwrap();
        let gauges = families.gauges("apollo_moment_seconds", "When.", &["kind"]).unwrap();
        assert!(shown(&families).contains("apollo_things_total{kind=\"bad\"} 0"));
        assert!(!shown(&families).contains("apollo_moment_seconds"));
        gauges.with_label_values(&["good"]).set(1.5);
        assert!(shown(&families).contains("apollo_moment_seconds{kind=\"good\"} 1.5"));
    }

    #[test]
    fn all_are_told_those_without_a_series_too() {
        let mut families = Families::new("1", &Readiness::default()).unwrap();
        families.gauges("apollo_moment_seconds", "When: a | b.", &["kind", "place"]).unwrap();
        families.histogram("apollo_while_seconds", "How long.", &[1.0]).unwrap();
        let table = families.to_string();
        assert!(
            table.contains("| `apollo_moment_seconds` | gauge | `kind`, `place` | When: a \\| b. |"),
            "{table}"
        );
        assert!(table.contains("| `apollo_while_seconds` | histogram |  | How long. |"), "{table}");
        assert!(table.contains("| `process_cpu_seconds_total` | counter |"), "{table}");
    }

    #[test]
    fn readiness_is_a_metric() {
        let readiness = Readiness::default();
        let families = Families::new("1", &readiness).unwrap();
        assert!(shown(&families).contains("apollo_ready 1"));
        readiness.not_ready("broker", "away");
        assert!(shown(&families).contains("apollo_ready 0"));
    }
}
