//! The pauses between attempts, growing and jittered. The only place that knows the crate `backoff`.

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Growing pauses without an end: from `first`, by half more each time, up to `longest`, each moved at
/// random by up to a half so that many clients do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    inner: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    /// Pauses from about `first` up to about `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let inner = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { inner, longest }
    }

    /// Starts over with the first pause, after a success.
    pub fn reset(&mut self) {
        self.inner.reset();
    }

    /// Waits out the next pause. False if `stop` came first.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let delay = self.inner.next_backoff().unwrap_or(self.longest);
        stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_some()
    }
}
