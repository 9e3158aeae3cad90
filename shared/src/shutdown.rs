//! Stopping: SIGTERM (from an orchestrator) and SIGINT (Ctrl-C) cancel one token that everything listens to. Whoever
//! sends a second one does not want to wait any longer: it ends the program at once, which is always safe.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT; the second one ends the program at once, with the exit
/// code that shells give to what a signal has ended (143 or 130).
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let (name, _) = signals.next().await;
        tracing::info!("{name} received, stopping; a second one ends this at once");
        cancelled.cancel();
        let (name, kind) = signals.next().await;
        tracing::warn!("{name} received again, not waiting any longer");
        std::process::exit(128 + kind.as_raw_value());
    });
    Ok(token)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> (&'static str, SignalKind) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
        }
    }
}
