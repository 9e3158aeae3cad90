//! Garmin, asked by a command: at a measured pace, and more than once where that may help.

use crate::account::AccountError;
use crate::garmin::{GarminClient, GarminError};
use crate::metrics::Metrics;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::retry::Backoff;
use clap::Args;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Attempts at a call, if Garmin is away.
const ATTEMPTS: u32 = 4;

/// However long Garmin asks to be left alone, a command is not held up for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How fast Garmin is asked.
#[derive(Debug, Args)]
pub(super) struct PaceOptions {
    /// Requests to Garmin a second, at most
    #[arg(long, value_name = "NUMBER", default_value = "5")]
    per_second: NonZeroU32,
}

/// Garmin, asked patiently.
pub(super) struct PatientGarmin {
    client: GarminClient,
    pace: Interval,
    stop: CancellationToken,
}

impl PatientGarmin {
    /// Asks by `config`, until `stop`.
    pub(super) fn new(
        config: &GarminConfig,
        options: &PaceOptions,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let client = GarminClient::new(config, Arc::new(Metrics::new()?))?;
        let client = client.ok_or(AccountError::NotConfigured)?;
        let mut pace = tokio::time::interval(Duration::from_secs(1) / options.per_second.get());
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { client, pace, stop })
    }

    /// Asks, and asks again while Garmin is away.
    pub(super) async fn ask<T>(
        &mut self,
        call: impl AsyncFn(&GarminClient) -> Result<T, GarminError>,
    ) -> Result<T, GarminError> {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let mut attempt = 1;
        loop {
            self.pace.tick().await;
            let error = match call(&self.client).await {
                Err(error @ GarminError::Unavailable { .. }) if attempt < ATTEMPTS => error,
                answer => return answer,
            };
            attempt += 1;
            if !self.pause(&mut backoff, &error).await {
                return Err(error);
            }
        }
    }

    /// False if it was told to stop.
    async fn pause(&self, backoff: &mut Backoff, error: &GarminError) -> bool {
        match error {
            GarminError::Unavailable { retry_after: Some(pause), .. } => {
                let pause = tokio::time::sleep((*pause).min(LONGEST_PAUSE));
                self.stop.run_until_cancelled(pause).await.is_some()
            }
            _ => backoff.pause(&self.stop).await,
        }
    }
}
