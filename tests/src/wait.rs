//! Waiting for a condition, never for a time.

use crate::Result;
use std::future::Future;
use std::time::{Duration, Instant};

/// What a slow machine under load may take for anything that a test waits for.
const DEADLINE: Duration = Duration::from_secs(240);

/// Asks again and again until the answer is there.
///
/// # Errors
/// `what` has not come true in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if begun.elapsed() > DEADLINE {
            return Err(format!("not within {} s: {what}", DEADLINE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
