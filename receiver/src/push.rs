//! Garmin's POSTs: look at the body, make it durable, answer.

use crate::app::Edge;
use crate::body::{self, Announcement};
use crate::delivery::{Arrival, deliver};
use crate::notification::{Notification, UNKNOWN};
use crate::problem::Problem;
use crate::trace::{self, Origin};
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::Microseconds;
use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TrackedFuture;

/// How long a request waits for its confirms. Garmin gives up after 30 s, 8 s of which may have gone into waiting for a
/// turn and for room.
const CONFIRM_TIME: Duration = Duration::from_secs(20);

/// The endpoint's name in metrics where the path names none.
pub(crate) const ANY: &str = "any";

const CLIENT_ID: &str = "garmin-client-id";

/// Those who know the secret path segment and the client id, where these are set. To others the path does not exist.
pub(crate) struct Garmin(Arc<Edge>);

impl FromRequestParts<Arc<Edge>> for Garmin {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, edge: &Arc<Edge>) -> Result<Self, Response> {
        let token = head.uri.path().split('/').nth(1).unwrap_or_default();
        let token_fits = edge.push_tokens.as_ref().is_none_or(|tokens| tokens.accept(token));
        let client_id = head.headers.get(CLIENT_ID);
        let client_fits = edge
            .required_client_id
            .as_ref()
            .is_none_or(|required| client_id.is_some_and(|id| id.as_bytes() == required.as_bytes()));
        if token_fits && client_fits { Ok(Self(edge.clone())) } else { Err(refuse_unknown(edge)) }
    }
}

/// POST /api_client/garmin/{endpoint}
pub(crate) async fn to_endpoint(Garmin(edge): Garmin, request: Request) -> Response {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    match Endpoint::of_path(name) {
        Some(endpoint) => answer(edge, "POST /api_client/garmin/{endpoint}", Some(endpoint), request).await,
        None => refuse_unknown(&edge),
    }
}

/// POST /api_client/garmin
pub(crate) async fn to_any(Garmin(edge): Garmin, request: Request) -> Response {
    answer(edge, "POST /api_client/garmin", None, request).await
}

/// POST /oauth/garmin/deregistration
pub(crate) async fn deregistration(Garmin(edge): Garmin, request: Request) -> Response {
    answer(edge, "POST /oauth/garmin/deregistration", Endpoint::of_key("deregistrations"), request).await
}

/// POST /oauth/garmin/permissions
pub(crate) async fn permissions(Garmin(edge): Garmin, request: Request) -> Response {
    answer(edge, "POST /oauth/garmin/permissions", Endpoint::of_key("userPermissionsChange"), request).await
}

fn refuse_unknown(edge: &Edge) -> Response {
    edge.metrics.notifications.with_label_values(&[UNKNOWN, StatusCode::NOT_FOUND.as_str()]).inc();
    Problem::NotFound.into_response()
}

async fn answer(
    edge: Arc<Edge>,
    name: &'static str,
    of_path: Option<&'static Endpoint>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let endpoint = of_path.map_or(ANY, |endpoint| endpoint.key);
    let (span, origin) = trace::request(&edge.tracing, name, request.headers());
    let origin = Arc::new(origin);
    let outcome = receive(&edge, of_path, &origin, request).await;
    if let Err(problem) = &outcome {
        log_refusal(endpoint, problem, &origin);
    }
    let status = outcome.as_ref().err().map_or(StatusCode::OK, Problem::status);
    trace::answered(span, status, outcome.as_ref().err());
    let response = outcome.err().map_or_else(|| status.into_response(), Problem::into_response);
    edge.metrics.notifications.with_label_values(&[endpoint, response.status().as_str()]).inc();
    edge.metrics.request_duration.observe(started.elapsed().as_secs_f64());
    response
}

fn log_refusal(endpoint: &str, problem: &Problem, origin: &Origin) {
    let (status, id) = (problem.status().as_u16(), problem.id());
    // The delivery has logged why it is not durable.
    if *problem != Problem::NotDurable {
        let (request_id, trace_id) = (origin.request_id.as_deref(), origin.trace_id());
        tracing::warn!(
            endpoint,
            status,
            request_id,
            trace_id,
            "notification to {endpoint} refused: {status} {id}"
        );
    }
}

/// Neither a client that goes away nor an answer that is overdue stops the delivery, or lets another body in before this
/// one is out of memory: see [`Delivery`].
async fn receive(
    edge: &Arc<Edge>,
    of_path: Option<&'static Endpoint>,
    origin: &Arc<Origin>,
    request: Request,
) -> Result<(), Problem> {
    let (head, body) = request.into_parts();
    let announcement = Announcement::of(&head.headers);
    // It holds a buffer of its connection, and there may be many that wait.
    drop(head);
    let (bytes, reservation) = body::read(announcement, body, &edge.budget, edge.max_body_bytes).await?;
    let received_at = Microseconds::now();
    let notification = Notification::read(bytes)?;
    let arrival = Arrival { of_path, received_at, origin: origin.clone(), room: Arc::new(reservation) };
    let delivery = Delivery::begin(&edge.deliveries, {
        let edge = edge.clone();
        async move { deliver(&edge.publisher, notification, &arrival, edge.split_bytes).await }
    });
    match tokio::time::timeout(CONFIRM_TIME, delivery).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Problem::NotDurable),
        Err(_) => Err(Problem::Unconfirmed),
    }
}

/// A delivery that is part of its request, and goes on in a task of its own when that has ended early. A task for each
/// from the start would cost each request two more wake-ups.
struct Delivery<F: Future + Send + 'static>(Option<Pin<Box<TrackedFuture<F>>>>);

impl<F: Future + Send + 'static> Delivery<F> {
    fn begin(deliveries: &TaskTracker, future: F) -> Self {
        Self(Some(Box::pin(deliveries.track_future(future))))
    }
}

impl<F: Future + Send + 'static> Future for Delivery<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Once it is done nobody asks again.
        let Some(delivery) = &mut self.0 else { return Poll::Pending };
        let outcome = ready!(delivery.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(outcome)
    }
}

impl<F: Future + Send + 'static> Drop for Delivery<F> {
    fn drop(&mut self) {
        if let (Some(delivery), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(delivery.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::poll_immediate;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_delivery_goes_on_when_its_request_has_ended() {
        let deliveries = TaskTracker::new();
        let (confirm, confirmed) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let mut delivery = Delivery::begin(&deliveries, async { tell.send(confirmed.await) });
        assert!(poll_immediate(&mut delivery).await.is_none());
        drop(delivery);
        confirm.send(()).unwrap();
        assert_eq!(told.await, Ok(Ok(())));
        deliveries.close();
        deliveries.wait().await;
    }
}
