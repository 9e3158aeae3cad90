//! Ctrl-C, SIGTERM and SIGHUP: noted by a handler, looked at by every wait, so that whatever runs is stopped in order.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static CAUGHT: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The error with which a wait ends when the user has asked to stop.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// The number of the signal.
    pub(crate) signal: i32,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "interrupted (signal {})", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// From now on the signals are noted instead of ending the process.
pub(crate) fn listen() -> Result<()> {
    let caught = CAUGHT.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_usize(signal, Arc::clone(caught), signal.unsigned_abs() as usize)
            .with_context(|| format!("cannot listen for signal {signal}"))?;
    }
    Ok(())
}

/// The last signal caught, if any.
pub(crate) fn caught() -> Option<Interrupted> {
    match CAUGHT.get()?.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Interrupted { signal: i32::try_from(signal).unwrap_or(SIGTERM) }),
    }
}

/// Whether the signal came from the terminal, and so has reached our foreground children too.
pub(crate) fn came_from_terminal(interrupted: &Interrupted) -> bool {
    interrupted.signal == SIGINT
}

/// An error once a signal has been caught.
pub(crate) fn check() -> Result<()> {
    match caught() {
        Some(interrupted) => Err(interrupted.into()),
        None => Ok(()),
    }
}
