//! Garmin's POSTs: look at the body, make it durable, answer.

use crate::app::Edge;
use crate::body;
use crate::delivery::{Arrival, deliver};
use crate::notification::{Notification, UNKNOWN};
use crate::problem::Problem;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::Microseconds;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TrackedFuture;

/// How long a request waits for its confirms. Garmin gives up after 30 s, 5 s of which may have gone into
/// waiting for room.
const CONFIRM_TIME: Duration = Duration::from_secs(20);

/// The endpoint's name in metrics where the path names none.
const ANY: &str = "any";

const CLIENT_ID: &str = "garmin-client-id";
const TRACEPARENT: &str = "traceparent";

/// The path's parameters, but for the secret segment, which no handler needs to know.
#[derive(Deserialize)]
pub(crate) struct Parameters {
    endpoint: String,
}

/// Lets only those pass who know the secret path segment and the client id, where these are set. To others
/// the path does not exist.
pub(crate) async fn admit(State(edge): State<Arc<Edge>>, request: Request, next: Next) -> Response {
    let token = request.uri().path().split('/').nth(1).unwrap_or_default();
    let token_fits = edge.push_tokens.as_ref().is_none_or(|tokens| tokens.accept(token));
    let client_id = request.headers().get(CLIENT_ID);
    let client_fits = edge
        .required_client_id
        .as_ref()
        .is_none_or(|required| client_id.is_some_and(|id| id.as_bytes() == required.as_bytes()));
    if token_fits && client_fits {
        return next.run(request).await;
    }
    refuse_unknown(&edge)
}

/// POST /api_client/garmin/{endpoint}
pub(crate) async fn to_endpoint(
    State(edge): State<Arc<Edge>>,
    Path(parameters): Path<Parameters>,
    request: Request,
) -> Response {
    match Endpoint::of_path(&parameters.endpoint) {
        Some(endpoint) => answer(edge, Some(endpoint), request).await,
        None => refuse_unknown(&edge),
    }
}

/// POST /api_client/garmin
pub(crate) async fn to_any(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(edge, None, request).await
}

/// POST /oauth/garmin/deregistration
pub(crate) async fn deregistration(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(edge, Endpoint::of_key("deregistrations"), request).await
}

/// POST /oauth/garmin/permissions
pub(crate) async fn permissions(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    answer(edge, Endpoint::of_key("userPermissionsChange"), request).await
}

fn refuse_unknown(edge: &Edge) -> Response {
    edge.metrics.notifications.with_label_values(&[UNKNOWN, StatusCode::NOT_FOUND.as_str()]).inc();
    Problem::NotFound.into_response()
}

async fn answer(edge: Arc<Edge>, of_path: Option<&'static Endpoint>, request: Request) -> Response {
    let started = Instant::now();
    let endpoint = of_path.map_or(ANY, |endpoint| endpoint.key);
    let response = match receive(&edge, of_path, request).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(problem) => {
            log_refusal(endpoint, &problem);
            problem.into_response()
        }
    };
    edge.metrics.notifications.with_label_values(&[endpoint, response.status().as_str()]).inc();
    edge.metrics.request_duration.observe(started.elapsed().as_secs_f64());
    response
}

fn log_refusal(endpoint: &str, problem: &Problem) {
    let (status, id) = (problem.status().as_u16(), problem.id());
    // The delivery has logged why it is not durable.
    if *problem != Problem::NotDurable {
        tracing::warn!(endpoint, status, "notification to {endpoint} refused: {status} {id}");
    }
}

/// Neither a client that goes away nor an answer that is overdue stops the delivery, or lets another body in before this
/// one is out of memory: see [`Delivery`].
async fn receive(
    edge: &Arc<Edge>,
    of_path: Option<&'static Endpoint>,
    request: Request,
) -> Result<(), Problem> {
    let (head, body) = request.into_parts();
    let (bytes, reservation) = body::read(&head.headers, body, &edge.budget, edge.max_body_bytes).await?;
    let received_at = Microseconds::now();
    let notification = Notification::read(bytes)?;
    let arrival = Arrival {
        of_path,
        received_at,
        traceparent: traceparent(&head.headers),
        room: Arc::new(reservation),
    };
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

/// The W3C trace context, version 00, of the request; what does not follow its grammar is ignored.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let fields: Vec<&str> = text.split('-').collect();
    let ["00", trace, parent, flags] = fields[..] else { return None };
    let is_hex = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_null = |field: &str| field.bytes().all(|byte| byte == b'0');
    let fits = is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    (fits && !is_null(trace) && !is_null(parent)).then(|| text.to_owned())
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

    #[test]
    fn only_a_valid_trace_context_is_passed_on() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (text, valid) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), true),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), false),
            (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("00-{trace}"), false),
            (String::new(), false),
        ] {
            let headers = HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), text.parse().unwrap())]);
            assert_eq!(traceparent(&headers), valid.then_some(text));
        }
    }
}
