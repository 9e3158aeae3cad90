//! A participant's way through a consent: the form, the way to Garmin, the way back, the outcome.
//!
//! Nothing is kept here but recent outcomes. What belongs to one consent travels in a sealed cookie and in messages to
//! the worker, so a receiver can be restarted, or be one of several, in the middle of a consent.

mod authorization;
mod callback;
mod cookie;
mod entry;
mod form;
mod notice;
mod outcomes;
mod page;
mod site;
#[cfg(test)]
mod tests;

pub(crate) use callback::{arrive, status};
pub(crate) use form::{LONGEST_FORM, show, submit};
pub(crate) use outcomes::{Outcomes, Subscription};

use crate::app::{Edge, StartError};
use crate::config::{Invitations, ReceiverConfig};
use crate::delivery::deliver_message;
use crate::metrics::ConsentStep;
use crate::publish::Message;
use crate::trace::{self, Origin};
use apollo_shared::consent::routing_key;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::secrets::Keyring;
use apollo_shared::telemetry::traces::Span;
use apollo_shared::telemetry::with_causes;
use authorization::Authorizer;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use entry::Entry;
use notice::Notice;
use serde::Serialize;
use site::Site;
use std::sync::Arc;
use std::time::Duration;

/// How long a participant's browser waits for the broker's confirm.
const CONFIRM_TIME: Duration = Duration::from_secs(10);

/// What the handlers of consents share.
#[derive(Debug)]
pub(crate) struct Consents {
    site: Site,
    invitations: Invitations,
    keyring: Keyring,
    /// Nothing while Apollo has no consumer key.
    authorizer: Option<Authorizer>,
    outcomes: Arc<Outcomes>,
}

impl Consents {
    /// Checks the settings that consents need.
    ///
    /// # Errors
    /// The first one found that cannot work.
    pub(crate) fn new(config: &ReceiverConfig, outcomes: Arc<Outcomes>) -> Result<Self, StartError> {
        let origin = config.public_origin()?;
        let redirect_uri = format!("{origin}/oauth/garmin/callback");
        let authorizer = Authorizer::new(&config.garmin, redirect_uri)?;
        let authorize_url = authorizer.as_ref().map(Authorizer::authorize_url);
        let site = Site::new(config.study_name(), config.study_contact(), origin, authorize_url);
        let keyring = Keyring::new(&config.secrets)?;
        Ok(Self { site, invitations: config.invitations, keyring, authorizer, outcomes })
    }

    /// Whether browsers reach the pages by https, so that cookies may be kept to it.
    fn is_secure(&self) -> bool {
        self.site.origin.starts_with("https:")
    }
}

impl Edge {
    /// A page that says why a participant's request is not followed.
    fn refuse(&self, notice: Notice, entry: &Entry) -> Response {
        tracing::info!("a participant's request was not followed: {notice:?}");
        let step = if notice.status().is_client_error() { ConsentStep::Refused } else { ConsentStep::Failed };
        self.metrics.consent(step);
        let site = &self.consents.site;
        site.answer(page::notice(site, notice, entry))
    }
}

/// GET /
pub(crate) async fn front_page(State(edge): State<Arc<Edge>>) -> Response {
    let site = &edge.consents.site;
    site.answer(page::front(site))
}

/// The parameters of an address. One that is malformed counts as one without any: nobody types them, so there is
/// nobody to correct.
fn parameters<T: Default>(query: Result<Query<T>, QueryRejection>) -> T {
    query.map(|Query(parameters)| parameters).unwrap_or_default()
}

/// Unix seconds.
fn now() -> i64 {
    Microseconds::now().0 / 1_000_000
}

/// A message that is not known to be where it has to be; why has been logged.
struct NotPublished;

/// Returns when the broker has the message. A consent does not begin in the spool, where the participant would wait for an
/// outcome without knowing why.
async fn publish_now(edge: &Arc<Edge>, kind: &str, content: &impl Serialize) -> Result<(), NotPublished> {
    let origin = Origin::unknown(&edge.tracing);
    let (message, mut span) = message(kind, content, &origin)?;
    edge.publisher.publish_patiently(&message).await.map_err(|error| {
        span.fail("not-published");
        let Envelope { message_id, .. } = message.envelope;
        tracing::warn!(%message_id, trace_id = message.envelope.trace_id(), "{kind}: {}", with_causes(&error));
        NotPublished
    })
}

/// Returns when the message is durable. It is delivered by a task of its own, so that a browser that goes away leaves
/// nothing half done.
async fn publish(edge: &Arc<Edge>, kind: &str, content: &impl Serialize) -> Result<(), NotPublished> {
    let origin = Origin::unknown(&edge.tracing);
    let (message, span) = message(kind, content, &origin)?;
    let delivery = edge.deliveries.spawn({
        let edge = edge.clone();
        async move { deliver_message(&edge.publisher, &message, span, &origin).await }
    });
    match tokio::time::timeout(CONFIRM_TIME, delivery).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(_))) => Err(NotPublished),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("{kind}: not durable within {} s", CONFIRM_TIME.as_secs());
            Err(NotPublished)
        }
    }
}

fn message(
    kind: &str,
    content: &impl Serialize,
    origin: &Origin,
) -> Result<(Arc<Message>, Span), NotPublished> {
    let mut envelope = Envelope::of_arrival(kind, Microseconds::now(), None);
    let routing_key = routing_key(kind);
    let body = serde_json::to_string(content).map_err(|_| NotPublished)?;
    let span = trace::publish(origin, &mut envelope, &routing_key, body.len());
    Ok((Arc::new(Message { envelope, routing_key, body, _room: None }), span))
}
