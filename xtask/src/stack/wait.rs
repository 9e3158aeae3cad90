//! Waiting for a condition with a deadline; never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::interrupt;

/// How often a condition is looked at.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Polls until `condition` holds. Fails when it fails, after `limit`, or when the user has asked to stop.
pub(crate) fn until(what: &str, limit: Duration, condition: impl FnMut() -> Result<bool>) -> Result<()> {
    until_with(PAUSE, what, limit, condition)
}

/// The same with a pause of one's own, for what is quick to ask and has to be known to the millisecond.
pub(crate) fn until_with(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        if condition()? {
            return Ok(());
        }
        interrupt::check()?;
        if Instant::now() >= deadline {
            bail!("{what}: still not so after {} s", limit.as_secs());
        }
        thread::sleep(pause);
    }
}

/// The same for what must happen even while the program is being interrupted, such as a process's end: whether it did.
pub(crate) fn happens_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}
