//! Delivers what Garmin has for an app besides what a plan's devices send: account notifications, and the history that
//! was asked for. Whatever is not answered 200 is kept, and tried again with the next round.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};

use super::{AccountNotification, Garmin, UploadError};
use crate::delivery::Refusal;
use crate::sender::{SendError, SendOptions};

const DEREGISTRATIONS: [&str; 3] = ["oauth", "garmin", "deregistration"];
const PERMISSION_CHANGES: [&str; 3] = ["oauth", "garmin", "permissions"];
const DATA: [&str; 2] = ["api_client", "garmin"];

/// Knows a receiver, and what it has not acknowledged yet.
#[derive(Debug)]
pub struct Deliverer {
    client: Client,
    base: Url,
    waiting: Vec<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    path: &'static [&'static str],
    body: Vec<u8>,
}

/// What became of a round.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// How many notifications were acknowledged.
    pub delivered: usize,
    /// How many wait for the next round.
    pub waiting: usize,
    /// Why the last of those was refused: the status, or what kind of failure it was.
    pub refusal: Option<String>,
}

impl Deliverer {
    /// For the receiver of these options, of which only those that concern one POST count.
    ///
    /// # Errors
    /// The certificate authorities or the URL are of no use.
    pub fn new(options: &SendOptions) -> Result<Self, SendError> {
        if !matches!(options.base.scheme(), "http" | "https") {
            return Err(SendError::Base);
        }
        Ok(Self { client: options.client()?, base: options.base.clone(), waiting: Vec::new() })
    }

    /// Tries once to deliver each that waits, the oldest first.
    ///
    /// # Errors
    /// As [`Garmin::take_deliveries`].
    pub async fn round(&mut self, garmin: &Garmin) -> Result<Round, UploadError> {
        self.waiting.extend(garmin.take_notifications().into_iter().map(Delivery::of_account));
        self.waiting.extend(garmin.take_deliveries()?.into_iter().map(|body| Delivery { path: &DATA, body }));
        let mut round = Round::default();
        let mut refused = Vec::new();
        for delivery in self.waiting.drain(..) {
            match post(&self.client, &self.base, &delivery).await {
                Ok(()) => round.delivered += 1,
                Err(reason) => {
                    round.refusal = Some(reason);
                    refused.push(delivery);
                }
            }
        }
        round.waiting = refused.len();
        self.waiting = refused;
        Ok(round)
    }
}

impl Delivery {
    fn of_account(notification: AccountNotification) -> Self {
        let (path, body) = match notification {
            AccountNotification::Deregistrations(body) => (&DEREGISTRATIONS, body),
            AccountNotification::PermissionChanges(body) => (&PERMISSION_CHANGES, body),
        };
        Self { path, body: body.to_string().into_bytes() }
    }
}

/// The error is the reason, without the URL, whose path may be secret.
async fn post(client: &Client, base: &Url, delivery: &Delivery) -> Result<(), String> {
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| "no path".to_owned())?.pop_if_empty().extend(delivery.path);
    let request = client.post(url).header(CONTENT_TYPE, "application/json;charset=UTF-8");
    let answer = request.body(delivery.body.clone()).send().await;
    match answer.map_err(|error| Refusal::by_connection(&error).to_string())?.status() {
        StatusCode::OK => Ok(()),
        status => Err(status.to_string()),
    }
}
