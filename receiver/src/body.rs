//! Reading a request's body within the limits: of its size, of the bytes in flight, and of time.
//!
//! Room is reserved for the buffer's capacity, never for less. A body of declared length gets its buffer at
//! once. One of undeclared length (chunked, or inflated) starts small and doubles, so that the moment in which
//! the old and the new buffer exist together needs less than is reserved for the new one.

use crate::budget::{Budget, Full, Reservation};
use crate::problem::Problem;
use async_compression::tokio::bufread::GzipDecoder;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use std::io;
use std::time::Duration;
use tokio_util::io::{ReaderStream, StreamReader};

/// Garmin waits 30 s for an answer, so a body that takes longer is of use to nobody. nginx, which collects bodies first,
/// sends 100 MB in a second.
const READ_TIME: Duration = Duration::from_secs(30);

/// How long the rest of a body that is refused may take: nginx, which has all of it, needs less than a second.
const REST_TIME: Duration = Duration::from_secs(3);

/// Bytes of the first buffer of a body of undeclared length.
const FIRST_CAPACITY: usize = 64 * 1024;

/// Bytes that are inflated at once.
const INFLATED_AT_ONCE: usize = 16 * 1024;

/// How a body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        match (encodings.next(), encodings.next()) {
            (None, _) => Some(Self::Identity),
            (Some(name), None) if name.eq_ignore_ascii_case(b"identity") => Some(Self::Identity),
            (Some(name), None) if name.eq_ignore_ascii_case(b"gzip") => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// What a request's head says of its body.
#[derive(Clone, Copy)]
pub(crate) struct Announcement {
    /// None if it is none that can be decoded.
    encoding: Option<Encoding>,
    /// Bytes, as they are sent.
    length: Option<usize>,
    /// Whether its sender asks before sending it.
    asks: bool,
}

impl Announcement {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            encoding: Encoding::of(headers),
            length: declared_length(headers),
            asks: headers.contains_key(header::EXPECT),
        }
    }
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        Self::Busy
    }
}

/// Reads a body of at most `limit` bytes. The reservation is its room; it has to live as long as the body.
///
/// Of a body that is refused the rest is taken too, and thrown away: a connection that is closed with bytes unread is
/// reset, and nginx then has no answer that it could pass on. Who asks before sending a body has sent none.
pub(crate) async fn read(
    announcement: Announcement,
    body: Body,
    budget: &Budget,
    limit: usize,
) -> Result<(Vec<u8>, Reservation), Problem> {
    let mut chunks = body.into_data_stream();
    let outcome = read_within(announcement, &mut chunks, budget, limit).await;
    if outcome.is_err() && !announcement.asks {
        let _ = tokio::time::timeout(REST_TIME, throw_away(chunks, limit)).await;
    }
    outcome
}

/// Takes what is still to come, up to `limit` bytes.
async fn throw_away(mut chunks: BodyDataStream, limit: usize) {
    let mut taken = 0;
    while taken <= limit
        && let Some(Ok(chunk)) = chunks.next().await
    {
        taken += chunk.len();
    }
}

async fn read_within(
    announcement: Announcement,
    chunks: &mut BodyDataStream,
    budget: &Budget,
    limit: usize,
) -> Result<(Vec<u8>, Reservation), Problem> {
    let encoding = announcement.encoding.ok_or(Problem::UnsupportedEncoding)?;
    let sent = announcement.length;
    if sent.is_some_and(|length| length > limit) {
        return Err(Problem::TooLarge { limit });
    }
    // What a compressed body will become is not declared.
    let declared = sent.filter(|_| encoding == Encoding::Identity);
    let capacity = declared.unwrap_or(FIRST_CAPACITY.min(limit));
    let mut buffer = Buffer {
        reservation: budget.reserve(capacity).await?,
        bytes: Vec::with_capacity(capacity),
        capacity,
        limit,
    };
    let reading = async {
        match encoding {
            Encoding::Identity => buffer.fill(chunks).await,
            // On the heap, which keeps the others small.
            Encoding::Gzip => Box::pin(buffer.fill(inflated(chunks))).await,
        }
    };
    match tokio::time::timeout(READ_TIME, reading).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(Problem::BodyTimedOut),
    }
    if declared.is_some_and(|length| buffer.bytes.len() < length) {
        return Err(Problem::BodyIncomplete);
    }
    Ok(buffer.finish())
}

/// What all members of a gzip body hold, one after the other. Bytes behind them that are no member are an error: nothing
/// that was sent is left out silently.
fn inflated(chunks: &mut BodyDataStream) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
    let mut members = GzipDecoder::new(StreamReader::new(chunks.map_err(io::Error::other)));
    members.multiple_members(true);
    ReaderStream::with_capacity(members, INFLATED_AT_ONCE)
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
    async fn fill<E>(
        &mut self,
        mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
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
