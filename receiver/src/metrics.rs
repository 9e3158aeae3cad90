//! The receiver's metrics; the names are those of design.md section 7.

use crate::notification::UNKNOWN;
use crate::push::ANY;
use crate::spool::Contents;
use apollo_shared::endpoint::ENDPOINTS;
use apollo_shared::metrics::Families;
use prometheus::{Histogram, IntCounterVec, IntGauge};

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
    const ALL: [Self; 4] = [Self::Started, Self::Callback, Self::Refused, Self::Failed];

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
    /// Makes them and puts them into `families`.
    ///
    /// # Errors
    /// A name is taken already.
    pub(crate) fn register(families: &mut Families) -> prometheus::Result<Self> {
        Ok(Self {
            notifications: families.counters(
                "apollo_receiver_notifications_total",
                "Answers to Garmin's POSTs, by endpoint (any: the path without one; unknown: no such one) and status.",
                ["endpoint", "status"],
                answers(),
            )?,
            request_duration: families.histogram(
                "apollo_receiver_request_duration_seconds",
                "From the head of one of Garmin's POSTs to its answer.",
                &SECONDS,
            )?,
            publish_confirm: families.histogram(
                "apollo_receiver_publish_confirm_seconds",
                "From handing a message to the broker to its confirm.",
                &SECONDS,
            )?,
            in_flight: families.gauge(
                "apollo_receiver_in_flight_bytes",
                "Memory taken by bodies that are being read or published, copies included.",
            )?,
            consents: families.counters(
                "apollo_receiver_consents_total",
                "Steps of participants' consents: started (left for Garmin), callback (came back, or loaded that \
                 page again), refused (no invitation, or another browser or site), failed (Garmin or the broker \
                 was away).",
                ["step"],
                ConsentStep::ALL.map(|step| [step.name()]),
            )?,
            broker_connected: families.gauge(
                "apollo_receiver_broker_connected",
                "1 while messages can be published, 0 while the broker is away, blocks or is slow.",
            )?,
            spool_messages: families.gauge(
                "apollo_receiver_spool_messages",
                "Messages on the receiver's own disk that the broker does not have yet.",
            )?,
            spool_bytes: families.gauge(
                "apollo_receiver_spool_bytes",
                "Bytes of the bodies in the spool, as they came; on disk they are compressed.",
            )?,
            spool_damaged: families.gauge(
                "apollo_receiver_spool_damaged_messages",
                "Messages in the spool that cannot be read.",
            )?,
        })
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

/// The answers that are counted from zero: those that every endpoint can give, and those that are alerted on.
fn answers() -> impl Iterator<Item = [&'static str; 2]> {
    let endpoints = ENDPOINTS.iter().map(|endpoint| endpoint.key).chain([ANY]);
    let of_endpoints = endpoints.flat_map(|endpoint| ["200", "400", "503"].map(|status| [endpoint, status]));
    of_endpoints.chain([[UNKNOWN, "404"]])
}
