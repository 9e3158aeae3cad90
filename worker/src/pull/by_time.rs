//! Pulling what was uploaded at some time without a ping, as Garmin lets developers do with a pull token of its portal.

use super::pulled::{self, Source};
use crate::account::AccountError;
use crate::account::tokens::Tokens;
use crate::garmin::{Call, GarminClient, GarminError};
use crate::message::Outgoing;
use crate::pace::{Outcome, Pace};
use apollo_shared::endpoint::Endpoint;
use apollo_shared::envelope::Microseconds;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The longest range of upload times that Garmin takes (garmin-health-api.md 2.5).
const LONGEST: Duration = Duration::DAY;

/// Pulls by upload time.
#[derive(Debug)]
pub struct Puller {
    /// Tokens that are good for a call.
    pub tokens: Tokens,
    /// How fast Garmin is asked.
    pub pace: Pace,
    /// The portal's, if it is needed.
    pub pull_token: Option<SecretString>,
}

/// What was uploaded after one moment and until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadRange {
    /// In whole seconds.
    pub after: OffsetDateTime,
    /// In whole seconds.
    pub until: OffsetDateTime,
}

/// What came of a range.
#[derive(Debug)]
pub struct Range {
    /// Ordinary notifications, to be published.
    pub notifications: Vec<Outgoing>,
    /// How many summaries they hold.
    pub summaries: u32,
}

/// Cuts a range into such as Garmin takes, oldest first.
pub fn cut(range: UploadRange) -> impl Iterator<Item = UploadRange> {
    let starts = std::iter::successors(Some(range.after), |after| Some(*after + LONGEST));
    starts
        .take_while(move |after| *after < range.until)
        .map(move |after| UploadRange { after, until: range.until.min(after + LONGEST) })
}

impl Puller {
    /// Pulls what was uploaded of a type for a user.
    ///
    /// # Errors
    /// Why it could not be pulled.
    pub async fn pull(
        &self,
        user_id: &str,
        endpoint: &'static Endpoint,
        range: UploadRange,
        stop: &CancellationToken,
    ) -> Result<Range, AccountError> {
        let large = Arc::new(Semaphore::new(1));
        let asked = self.tokens.call(user_id, |client, token| {
            let large = Arc::clone(&large);
            async move {
                self.pace.wait(stop).await?;
                let url = self.url(&client, endpoint, range);
                let answered = client.fetch(Call::Pull, &url, &token, &large).await;
                self.pace.note(Outcome::of(&answered)).await;
                Ok(answered?)
            }
        });
        let fetched = asked.await?;
        let arrived_at = Microseconds::now();
        let named = (user_id, endpoint.key, range.after.unix_timestamp(), range.until.unix_timestamp());
        let source = Source {
            endpoint,
            user_id,
            digest: Sha256::digest(format!("{named:?}")).into(),
            uploaded_at: Microseconds(range.until.unix_timestamp().saturating_mul(1_000_000)).min(arrived_at),
            arrived_at,
        };
        let pulled = pulled::notifications(&fetched.body, &source, None)
            .ok_or_else(|| GarminError::no_array(Call::Pull))?;
        Ok(Range { notifications: pulled.notifications, summaries: pulled.entries })
    }

    fn url(&self, client: &GarminClient, endpoint: &Endpoint, range: UploadRange) -> Url {
        let mut url = client.api(endpoint.api_path());
        let seconds = |moment: OffsetDateTime| moment.unix_timestamp().to_string();
        url.query_pairs_mut()
            .append_pair("uploadStartTimeInSeconds", &seconds(range.after))
            .append_pair("uploadEndTimeInSeconds", &seconds(range.until))
            .extend_pairs(self.pull_token.iter().map(|token| ("token", token.expose_secret())));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_cover_the_range_and_none_is_longer_than_a_day(seconds in 0_i64..2_000_000) {
            let after = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
            let range = UploadRange { after, until: after + Duration::seconds(seconds) };
            let parts: Vec<UploadRange> = cut(range).collect();
            prop_assert!(parts.iter().all(|part| part.after < part.until && part.until - part.after <= LONGEST));
            prop_assert!(parts.windows(2).all(|parts| parts[0].until == parts[1].after));
            prop_assert_eq!(parts.first().map_or(range.until, |part| part.after), range.after);
            prop_assert_eq!(parts.last().map_or(range.until, |part| part.until), range.until);
        }
    }
}
