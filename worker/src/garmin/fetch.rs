//! Fetching what a ping announces: the only answers of Garmin's that are large.

use super::answer::{Answer, unreachable};
use super::client::GarminClient;
use super::error::{Call, GarminError};
use super::tokens::UserToken;
use crate::trace;
use reqwest::{Method, Response, StatusCode, Url};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of an answer at most: as much as Garmin says that a receiver must take (garmin-health-api.md 2.1).
pub const LARGEST: usize = 100 * 1024 * 1024;

/// Bytes that every fetch may take. For more it needs the room for large ones.
const SMALL: usize = 1024 * 1024;

/// How long Garmin may take until its answer has ended.
const TIME: Duration = Duration::from_secs(120);

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The bytes.
    pub body: Vec<u8>,
    /// The room that they take, if they are many: to be kept for as long as they are.
    pub room: Option<Arc<OwnedSemaphorePermit>>,
}

impl GarminClient {
    /// Fetches what is behind a URL of Garmin's, on a user's behalf. No more large answers are taken at the same time than
    /// `large` has permits.
    ///
    /// # Errors
    /// See [`GarminError`].
    pub async fn fetch(
        &self,
        call: Call,
        url: &Url,
        token: &UserToken,
        large: &Arc<Semaphore>,
    ) -> Result<Fetched, GarminError> {
        let request = self.as_user(Method::GET, url, token).timeout(TIME);
        let span = trace::garmin(call);
        let (status, fetched) = match request.send().await {
            Err(error) => (None, Err(unreachable(call, error))),
            Ok(response) => {
                let status = response.status();
                let fetched = match status {
                    StatusCode::OK => read(call, response, large).await,
                    _ => Answer::read(call, response).await.and_then(|answer| Err(answer.data_failure())),
                };
                (Some(status.as_u16()), fetched)
            }
        };
        trace::answered(span, status);
        self.count(call, status);
        fetched
    }
}

async fn read(call: Call, mut response: Response, large: &Arc<Semaphore>) -> Result<Fetched, GarminError> {
    let mut fetched = Fetched { body: Vec::new(), room: None };
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(call, error))? {
        let bytes = fetched.body.len() + chunk.len();
        if bytes > LARGEST {
            return Err(GarminError::TooLarge { call, limit: LARGEST });
        }
        if bytes > SMALL && fetched.room.is_none() {
            fetched.room = Arc::clone(large).acquire_owned().await.ok().map(Arc::new);
        }
        fetched.body.extend_from_slice(&chunk);
    }
    Ok(fetched)
}
