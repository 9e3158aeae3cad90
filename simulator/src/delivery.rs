//! One household's deliveries: attempts, pauses, the pace of all.

use std::error::Error;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Request, Response, StatusCode};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::plan::{Group, Notification, SummaryCounts};
use crate::record::{Recorder, digest};
use crate::sender::{SendError, SendOptions};

/// Something that happened to a POST or a household.
#[derive(Debug)]
pub(crate) enum Event {
    /// Answered 200.
    Acknowledged {
        group: usize,
        /// The household's users.
        size: u32,
        days_over: u32,
        summaries: SummaryCounts,
        bytes: u64,
        pings: u64,
        latency: Duration,
    },
    /// A ping that was acknowledged before was sent once more, and acknowledged again.
    Repeated,
    /// Answered otherwise, or not at all.
    Refused(Refusal),
    /// A notification was refused too often.
    GivenUp,
    /// Everything of a household was acknowledged.
    GroupFinished,
}

/// Why a POST was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status, or a word for what happened instead.
    pub(crate) reason: String,
    /// What the system said about it.
    pub(crate) detail: Option<String>,
    retry_after: Option<Duration>,
}

/// Delivers notifications for all lanes.
pub(crate) struct Courier {
    client: Client,
    options: SendOptions,
    /// Fires when the caller cancels, or when something is given up.
    stopping: CancellationToken,
    /// When the next POST may be made, with a rate.
    next_turn: Mutex<Instant>,
    recorder: Option<Recorder>,
}

/// A notification as it is sent.
struct Parcel {
    request: Request,
    /// Of the plan's own body, whatever is sent in its place.
    digest: Option<String>,
    days_over: u32,
    summaries: SummaryCounts,
    bytes: u64,
    pings: u64,
}

impl Parcel {
    fn acknowledged(self, group: &Group, latency: Duration) -> Event {
        let Self { days_over, summaries, bytes, pings, .. } = self;
        let (group, size) = (group.index(), group.size());
        Event::Acknowledged { group, size, days_over, summaries, bytes, pings, latency }
    }
}

impl Courier {
    pub(crate) fn new(options: SendOptions, cancellation: CancellationToken) -> Result<Self, SendError> {
        let stopping = cancellation.child_token();
        let client = options.client()?;
        let recorder =
            options.record.as_deref().map(Recorder::create).transpose().map_err(SendError::Record)?;
        Ok(Self { client, options, stopping, next_turn: Mutex::new(Instant::now()), recorder })
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Sends the household's notifications in order, as far as they are acknowledged.
    pub(crate) async fn deliver_group(
        &self,
        group: &Group,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), SendError> {
        // A ping that Garmin sends again, once a newer one has come in between.
        let mut again: Option<Request> = None;
        for (notification, place) in group.notifications().zip(0..) {
            let parcel = self.parcel(notification).await.inspect_err(|_| self.stopping.cancel())?;
            let Some(latency) = self.deliver(&parcel.request, events).await else { return Ok(()) };
            self.record(group, place, &parcel).inspect_err(|_| self.stopping.cancel())?;
            let repeat = self.repeats(group, place).then(|| parcel.request.try_clone()).flatten();
            report(events, parcel.acknowledged(group, latency)).await;
            if let Some(again) = std::mem::replace(&mut again, repeat) {
                if self.deliver(&again, events).await.is_none() {
                    return Ok(());
                }
                report(events, Event::Repeated).await;
            }
        }
        report(events, Event::GroupFinished).await;
        Ok(())
    }

    /// Tells the simulated Garmin of the notification, where there is one, and makes the request.
    async fn parcel(&self, mut notification: Notification) -> Result<Parcel, SendError> {
        let digest = self.recorder.as_ref().map(|_| digest(&notification.body));
        let mut pings = 0;
        if let Some(uploading) = self.options.uploading.as_ref().filter(|it| it.takes(&notification)) {
            let uploaded = uploading.upload(&self.client, std::mem::take(&mut notification.body)).await?;
            (notification.body, pings) = (uploaded.body, uploaded.pings);
        }
        let (days_over, bytes) = (notification.days_over, notification.body.len() as u64);
        let summaries = std::mem::take(&mut notification.summaries);
        let request = self.options.request(&self.client, notification)?;
        Ok(Parcel { request, digest, days_over, summaries, bytes, pings })
    }

    fn record(&self, group: &Group, place: usize, parcel: &Parcel) -> Result<(), SendError> {
        let Some((recorder, digest)) = self.recorder.as_ref().zip(parcel.digest.as_ref()) else {
            return Ok(());
        };
        recorder.acknowledged(group.index(), place, digest).map_err(SendError::Record)
    }

    fn repeats(&self, group: &Group, place: usize) -> bool {
        self.options.uploading.as_ref().is_some_and(|uploading| uploading.repeats(group.index(), place))
    }

    /// How long the answer took that acknowledged it; `None` if the sending stops, for which this may be the reason.
    async fn deliver(&self, request: &Request, events: &mpsc::Sender<Event>) -> Option<Duration> {
        let mut pause = self.options.first_pause;
        let mut attempts = 0;
        loop {
            if !self.waits(self.turn(), attempts).await {
                return None;
            }
            let refusal = match self.attempt(request).await {
                Ok(latency) => return Some(latency),
                Err(refusal) => refusal,
            };
            let retry_after = refusal.retry_after;
            report(events, Event::Refused(refusal)).await;
            attempts += 1;
            if self.options.max_attempts.is_some_and(|most| attempts >= most) {
                self.stopping.cancel();
                report(events, Event::GivenUp).await;
                return None;
            }
            let wanted = retry_after.unwrap_or_else(|| pause.mul_f64(0.5 + fastrand::f64() / 2.0));
            if !self.waits(sleep(wanted.min(self.options.longest_pause)), attempts).await {
                return None;
            }
            pause = (pause * 2).min(self.options.longest_pause);
        }
    }

    /// How long it took to be answered 200.
    async fn attempt(&self, request: &Request) -> Result<Duration, Refusal> {
        let request = request.try_clone().ok_or_else(Refusal::unrepeatable)?;
        let started = Instant::now();
        let response = self.client.execute(request).await.map_err(|error| Refusal::by_connection(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        // Read to its end, so that the connection can be used again.
        response.bytes().await.map_err(|error| Refusal::by_connection(&error))?;
        match status {
            StatusCode::OK => Ok(started.elapsed()),
            status => Err(Refusal { reason: status.as_str().to_owned(), detail: None, retry_after }),
        }
    }

    /// Waits until the rate allows another POST.
    async fn turn(&self) {
        let Some(rate) = self.options.rate else { return };
        let turn = {
            let mut next_turn = self.next_turn.lock().await;
            let turn = (*next_turn).max(Instant::now());
            *next_turn = turn + Duration::from_secs_f64(1.0 / rate);
            turn
        };
        sleep_until(turn).await;
    }

    /// Waits before another attempt, and says whether it is to be made: not once the sending is stopping, unless a record
    /// is kept and an earlier attempt may have arrived without its answer coming back.
    async fn waits(&self, waiting: impl Future<Output = ()>, attempts: u32) -> bool {
        if attempts > 0 && self.recorder.is_some() {
            waiting.await;
            return true;
        }
        self.stopping.run_until_cancelled(waiting).await.is_some()
    }
}

/// The seconds that the receiver asks for. The other form of the header, a date, is not what receivers answer.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl Refusal {
    /// Never so for a body in memory.
    fn unrepeatable() -> Self {
        Self {
            reason: "request".to_owned(),
            detail: Some("it cannot be repeated".to_owned()),
            retry_after: None,
        }
    }

    /// Without the URL, which may hold a secret: only the innermost cause is told.
    pub(crate) fn by_connection(error: &reqwest::Error) -> Self {
        let word = if error.is_timeout() {
            "timeout"
        } else if error.is_connect() {
            "connect"
        } else {
            "connection lost"
        };
        let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
        Self { reason: word.to_owned(), detail: causes.last().map(ToString::to_string), retry_after: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)?;
        self.detail.iter().try_for_each(|detail| write!(formatter, " ({detail})"))
    }
}

/// Once nobody counts any more, the sending has been dropped and this lane ends too.
async fn report(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}
