//! The receiver's metrics; the names are those of design.md section 7.

use crate::spool::Contents;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

/// Seconds. From a confirm within the same rack to the 30 s after which Garmin gives up, with bounds at the
/// time limits in between (5 s for room, 20 s for a confirm).
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Answers to Garmin's POSTs, by endpoint and status.
    pub(crate) notifications: IntCounterVec,
    /// From a POST's head to its answer.
    pub(crate) request_duration: Histogram,
    /// From handing a message to the broker to its confirm.
    pub(crate) publish_confirm: Histogram,
    /// Memory taken by bodies.
    pub(crate) in_flight: IntGauge,
    /// Steps of participants' consents.
    pub(crate) consents: IntCounterVec,
    /// Whether the broker can be published to.
    pub(crate) broker_connected: IntGauge,
    spool_messages: IntGauge,
    spool_bytes: IntGauge,
    spool_damaged: IntGauge,
}

/// How far a participant's consent has come here; what came of it is the worker's to count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConsentStep {
    /// The participant has left for Garmin.
    Started,
    /// The participant came back; once more each time the page is loaded again.
    Callback,
    /// A page said no: no invitation, another site's form, a callback from another browser.
    Refused,
    /// Garmin or the broker was away, or Apollo has no consumer key.
    Failed,
}

impl ConsentStep {
    /// The name in the metric's label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Callback => "callback",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Makes them and puts them into `registry`.
    ///
    /// # Errors
    /// A name is taken already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            notifications: IntCounterVec::new(
                Opts::new(
                    "apollo_receiver_notifications_total",
                    "Answers to Garmin's POSTs, by endpoint (any: the path without one; unknown: no such one) \
                     and status.",
                ),
                &["endpoint", "status"],
            )?,
            request_duration: seconds(
                "apollo_receiver_request_duration_seconds",
                "From the head of one of Garmin's POSTs to its answer.",
            )?,
            publish_confirm: seconds(
                "apollo_receiver_publish_confirm_seconds",
                "From handing a message to the broker to its confirm.",
            )?,
            in_flight: IntGauge::new(
                "apollo_receiver_in_flight_bytes",
                "Memory taken by bodies that are being read or published, copies included.",
            )?,
            consents: IntCounterVec::new(
                Opts::new(
                    "apollo_receiver_consents_total",
                    "Steps of participants' consents: started (left for Garmin), callback (came back, or loaded that \
                     page again), refused (no invitation, or another browser or site), failed (Garmin or the broker \
                     was away).",
                ),
                &["step"],
            )?,
            broker_connected: IntGauge::new(
                "apollo_receiver_broker_connected",
                "1 while messages can be published, 0 while the broker is away, blocks or is slow.",
            )?,
            spool_messages: IntGauge::new(
                "apollo_receiver_spool_messages",
                "Messages on the receiver's own disk that the broker does not have yet.",
            )?,
            spool_bytes: IntGauge::new(
                "apollo_receiver_spool_bytes",
                "Bytes of their bodies, as they came; on disk they are compressed.",
            )?,
            spool_damaged: IntGauge::new(
                "apollo_receiver_spool_damaged_messages",
                "Messages among them that cannot be read.",
            )?,
        };
        registry.register(Box::new(metrics.notifications.clone()))?;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.publish_confirm.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.consents.clone()))?;
        for gauge in
            [&metrics.broker_connected, &metrics.spool_messages, &metrics.spool_bytes, &metrics.spool_damaged]
        {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }

    /// Shows what is in the spool.
    pub(crate) fn spooled(&self, contents: Contents) {
        let gauges = [&self.spool_messages, &self.spool_bytes, &self.spool_damaged];
        for (gauge, count) in gauges.into_iter().zip([contents.messages, contents.bytes, contents.damaged]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a step of a consent.
    pub(crate) fn consent(&self, step: ConsentStep) {
        self.consents.with_label_values(&[step.name()]).inc();
    }
}

fn seconds(name: &str, help: &str) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
}
