//! Reading a request's body within the limits: of its size, of the bytes in flight, and of time.
//!
//! Room is reserved for the buffer's capacity, never for less. A body of declared length gets its buffer at
//! once. One of undeclared length (chunked, or inflated) starts small and doubles, so that the moment in which
//! the old and the new buffer exist together needs less than is reserved for the new one.

use crate::budget::{Budget, Full, Reservation};
use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::{Stream, StreamExt as _};
use std::time::Duration;

/// Garmin waits 30 s for an answer, so a body that takes longer is of use to nobody. nginx, which collects bodies first,
/// sends 100 MB in a second.
const READ_TIME: Duration = Duration::from_secs(30);

/// Bytes of the first buffer of a body of undeclared length.
const FIRST_CAPACITY: usize = 64 * 1024;

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        Self::Busy
    }
}

/// Reads a body of at most `limit` bytes. The reservation is its room; it has to live as long as the body.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    budget: &Budget,
    limit: usize,
) -> Result<(Vec<u8>, Reservation), Problem> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Problem::UnsupportedEncoding);
    }
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limit) {
        return Err(Problem::TooLarge { limit });
    }
    let capacity = declared.unwrap_or(FIRST_CAPACITY.min(limit));
    let mut buffer = Buffer {
        reservation: budget.reserve(capacity).await?,
        bytes: Vec::with_capacity(capacity),
        capacity,
        limit,
    };
    match tokio::time::timeout(READ_TIME, buffer.fill(body.into_data_stream())).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(Problem::BodyTimedOut),
    }
    if declared.is_some_and(|length| buffer.bytes.len() < length) {
        return Err(Problem::BodyIncomplete);
    }
    Ok(buffer.finish())
}

/// A length beyond what fits the type is over any limit.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(usize::MAX))
}

struct Buffer {
    reservation: Reservation,
    bytes: Vec<u8>,
    /// What was reserved for.
    capacity: usize,
    limit: usize,
}

impl Buffer {
    async fn fill(
        &mut self,
        mut chunks: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<(), Problem> {
        while let Some(chunk) = chunks.next().await {
            // Whatever ends a body early (the peer, or gzip data that are cut or damaged) has one remedy.
            let chunk = chunk.map_err(|_| Problem::BodyIncomplete)?;
            self.make_room_for(self.bytes.len() + chunk.len()).await?;
            self.bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }

    async fn make_room_for(&mut self, length: usize) -> Result<(), Problem> {
        if length > self.limit {
            return Err(Problem::TooLarge { limit: self.limit });
        }
        if length > self.capacity {
            let capacity = length.max(self.capacity.saturating_mul(2).min(self.limit));
            self.reservation.grow(capacity - self.capacity).await?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.capacity = capacity;
        }
        Ok(())
    }

    fn finish(mut self) -> (Vec<u8>, Reservation) {
        self.bytes.shrink_to_fit();
        self.reservation.shrink_to(self.bytes.len());
        (self.bytes, self.reservation)
    }
}
