//! Pushes a plan's notifications as Garmin does.
//!
//! A household's notifications are sent one after the other, each once the one before was answered 200, so that the
//! receiver's order of reception is known; several households are in flight at once. What is not answered exactly 200 is
//! sent again after growing pauses. When a notification was refused too often, the whole sending ends: its household's
//! next ones would arrive out of order, and the database could not become what the plan says any more.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Url};
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::delivery::{Courier, Event};
use crate::latency::{Latencies, LatencySummary};
use crate::plan::{Groups, Notification, Plan};
use crate::uploading::{Uploading, UploadingError};

const USER_AGENT: &str = "Garmin Health API";
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const CLIENT_ID: HeaderName = HeaderName::from_static("garmin-client-id");

/// Where and how to send.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// What the receiver is called from outside; may end in the secret part of its path.
    pub base: Url,
    /// The value of the header `garmin-client-id`, if it is to be sent.
    pub client_id: Option<String>,
    /// Certificate authorities to trust besides the system's, in PEM.
    pub ca_certificates: Option<Vec<u8>>,
    /// At most so many POSTs a second, repeats included.
    pub rate: Option<f64>,
    /// How many households are in flight at once.
    pub concurrency: usize,
    /// How long Garmin waits for an answer.
    pub timeout: Duration,
    /// The pause after a first refusal; it doubles with each further one.
    pub first_pause: Duration,
    /// No pause is longer, even if the receiver asks for it (Retry-After).
    pub longest_pause: Duration,
    /// How often one notification is tried before everything is given up; `None` is without end.
    pub max_attempts: Option<u32>,
    /// A new file for the record of what is acknowledged ([`crate::record`]). A sending that keeps one leaves nothing in
    /// doubt: when it is cancelled, what has been refused already is first repeated until it is acknowledged.
    pub record: Option<PathBuf>,
    /// A simulated Garmin that is told of notifications before they are sent; `None` sends the plan's own.
    pub uploading: Option<Uploading>,
}

impl SendOptions {
    /// As fast as 16 households in flight allow, and without giving up.
    pub fn new(base: Url) -> Self {
        Self {
            base,
            client_id: None,
            ca_certificates: None,
            rate: None,
            concurrency: 16,
            timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            max_attempts: None,
            record: None,
            uploading: None,
        }
    }

    pub(crate) fn client(&self) -> Result<Client, SendError> {
        // Garmin follows no redirect. A proxy from the environment would see the secret part of the path.
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = &self.ca_certificates {
            let certificates = Certificate::from_pem_bundle(pem).map_err(SendError::CaCertificates)?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(SendError::Client)
    }

    /// The POST for that notification.
    pub(crate) fn request(
        &self,
        client: &Client,
        notification: Notification,
    ) -> Result<reqwest::Request, SendError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| SendError::Base)?
            .pop_if_empty()
            .extend(["api_client", "garmin"])
            .extend(notification.endpoint);
        let mut request = client.post(url).header(CONTENT_TYPE, JSON).body(notification.body);
        if let Some(client_id) = &self.client_id {
            request = request.header(CLIENT_ID, client_id);
        }
        request.build().map_err(|error| SendError::Request(error.without_url()))
    }

    fn check(&self) -> Result<(), SendError> {
        if !matches!(self.base.scheme(), "http" | "https") {
            return Err(SendError::Base);
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return Err(SendError::Rate);
        }
        if let Some(client_id) = &self.client_id {
            HeaderValue::from_str(client_id).map_err(|_| SendError::ClientId)?;
        }
        if let Some(uploading) = &self.uploading {
            uploading.check()?;
        }
        Ok(())
    }
}

/// Nothing could be sent, for a reason that sending again will not change.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The receiver's URL.
    #[error("the receiver's URL must begin with http:// or https://")]
    Base,
    /// The rate.
    #[error("the rate must be a number of POSTs a second above zero")]
    Rate,
    /// The client id.
    #[error("the client id cannot be sent in a header: only visible ASCII characters can")]
    ClientId,
    /// The certificate authorities.
    #[error("the file of certificate authorities cannot be read as PEM")]
    CaCertificates(#[source] reqwest::Error),
    /// The HTTP client.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// A request.
    #[error("the request cannot be formed")]
    Request(#[source] reqwest::Error),
    /// The record of what is acknowledged.
    #[error("the record cannot be written")]
    Record(#[source] io::Error),
    /// The simulated Garmin.
    #[error(transparent)]
    Uploading(#[from] UploadingError),
}

/// How far the sending has come.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Progress {
    /// Notifications acknowledged, repeats included.
    pub notifications: u64,
    /// Summaries in them, by Garmin's key.
    pub summaries: BTreeMap<&'static str, u64>,
    /// Of the entries in them, those that the simulated Garmin has made to say where their data can be fetched.
    pub pings: u64,
    /// Pings that were acknowledged a second time.
    pub repeated: u64,
    /// POSTs made, refused ones included.
    pub posts: u64,
    /// Refusals after which a POST was repeated or given up, by status or kind of failure.
    pub refusals: BTreeMap<String, u64>,
    /// Bytes of the acknowledged bodies.
    pub bytes: u64,
    /// Days of users that are over.
    pub user_days: u64,
    /// Why the last refused POST was refused: the status, or what the system said.
    #[serde(skip)]
    pub last_refusal: Option<String>,
}

impl Progress {
    /// Summaries acknowledged, of all types.
    pub fn summaries_total(&self) -> u64 {
        self.summaries.values().sum()
    }
}

/// What became of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct SendReport {
    /// Counts of everything that was sent.
    #[serde(flatten)]
    pub progress: Progress,
    /// Whether every notification of the plan was acknowledged.
    pub complete: bool,
    /// Whether the sending ended because a notification was refused too often.
    pub given_up: bool,
    /// From the first POST to the last answer.
    pub seconds: f64,
    /// Of the acknowledged POSTs.
    pub latency: LatencySummary,
    /// For each household, by its index, how many of its notifications were acknowledged: always the first so many of
    /// [`crate::plan::Group::notifications`]. One more may have arrived without its answer coming back.
    #[serde(skip)]
    pub acknowledged: Vec<u64>,
}

/// Sends the plan, until everything is acknowledged, a notification is given up, or `cancellation` fires. A POST that is under way then is
/// waited for, so that what was acknowledged is known.
pub async fn send(
    plan: &Plan,
    options: &SendOptions,
    cancellation: CancellationToken,
    on_progress: impl Fn(&Progress),
) -> Result<SendReport, SendError> {
    options.check()?;
    let (events, mut happened) = mpsc::channel(256);
    let courier = Arc::new(Courier::new(options.clone(), cancellation)?);
    let groups = Arc::new(Mutex::new(plan.groups()));
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for _ in 0..options.concurrency.max(1) {
        lanes.spawn(lane(Arc::clone(&courier), Arc::clone(&groups), events.clone()));
    }
    drop(events);

    let mut tally = Tally::of(plan);
    while let Some(event) = happened.recv().await {
        tally.count(event);
        on_progress(&tally.progress);
    }
    while let Some(ended) = lanes.join_next().await {
        match ended {
            Ok(result) => result?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    Ok(tally.report(started.elapsed()))
}

/// Takes one household after the other.
async fn lane(
    courier: Arc<Courier>,
    groups: Arc<Mutex<Groups>>,
    events: mpsc::Sender<Event>,
) -> Result<(), SendError> {
    while !courier.is_stopping() {
        let Some(group) = groups.lock().await.next() else { break };
        courier.deliver_group(&group, &events).await?;
    }
    Ok(())
}

/// Adds up what the lanes report.
struct Tally {
    progress: Progress,
    latencies: Latencies,
    acknowledged: Vec<u64>,
    days_over: Vec<u32>,
    groups_finished: usize,
    given_up: bool,
}

impl Tally {
    fn of(plan: &Plan) -> Self {
        let groups = plan.groups().count();
        Self {
            progress: Progress::default(),
            latencies: Latencies::default(),
            acknowledged: vec![0; groups],
            days_over: vec![0; groups],
            groups_finished: 0,
            given_up: false,
        }
    }

    fn count(&mut self, event: Event) {
        let progress = &mut self.progress;
        match event {
            Event::Acknowledged { group, size, days_over, summaries, bytes, pings, latency } => {
                progress.posts += 1;
                progress.notifications += 1;
                progress.bytes += bytes;
                progress.pings += pings;
                for (key, count) in summaries {
                    *progress.summaries.entry(key).or_default() += count;
                }
                // A repeat of an old notification carries an old day.
                let newly_over = days_over.saturating_sub(self.days_over[group]);
                self.days_over[group] += newly_over;
                progress.user_days += u64::from(newly_over) * u64::from(size);
                self.acknowledged[group] += 1;
                self.latencies.record(latency);
            }
            Event::Repeated => {
                progress.posts += 1;
                progress.repeated += 1;
            }
            Event::Refused(refusal) => {
                progress.posts += 1;
                progress.last_refusal = Some(refusal.to_string());
                *progress.refusals.entry(refusal.reason).or_default() += 1;
            }
            Event::GivenUp => self.given_up = true,
            Event::GroupFinished => self.groups_finished += 1,
        }
    }

    fn report(self, elapsed: Duration) -> SendReport {
        SendReport {
            complete: self.groups_finished == self.acknowledged.len(),
            progress: self.progress,
            given_up: self.given_up,
            seconds: elapsed.as_secs_f64(),
            latency: self.latencies.summary(),
            acknowledged: self.acknowledged,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
