//! What the commands print: short steps and their durations on stderr, results on stdout.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Says what is about to be done.
pub(crate) fn step(what: impl Display) {
    eprintln!("==> {what}");
}

/// An indented line below a step.
pub(crate) fn detail(what: impl Display) {
    eprintln!("    {what}");
}

/// Says what is about to be done, does it, and says how long it took.
pub(crate) fn timed<T>(what: impl Display, action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    step(what);
    let start = Instant::now();
    let value = action()?;
    detail(format_args!("done in {}", seconds(start.elapsed())));
    Ok(value)
}

/// `3.2 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// A bar that counts down what is left; nothing is drawn when stderr is no terminal.
pub(crate) fn countdown(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("    {bar:40} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
