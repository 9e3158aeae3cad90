//! docs/metrics.md: what the programs themselves say of their metrics, with a page around it.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::up;

/// The page around what is generated.
const PAGE: &str = include_str!("metrics.md");

/// The page; Apollo's programs have been built.
pub(super) fn page() -> Result<String> {
    let (receiver, worker) = (table("apollo-receiver")?, table("apollo-worker")?);
    let (both, of_receiver): (Vec<_>, Vec<_>) = receiver.iter().partition(|row| worker.contains(row));
    let of_worker = worker.iter().filter(|row| !receiver.contains(row)).collect::<Vec<_>>();
    Ok(PAGE
        .replace("{{both}}", &joined(&both))
        .replace("{{receiver}}", &joined(&of_receiver))
        .replace("{{worker}}", &joined(&of_worker)))
}

/// The rows of the table that a program prints, without its head.
fn table(program: &str) -> Result<Vec<String>> {
    let path = up::debug_folder()?.join(program);
    // The receiver does not look at its keys for this, but does not start without any.
    let output = Command::new(&path).arg("metrics").env("SECRETS__KEYS", "none").output();
    let output = output.with_context(|| format!("cannot run {}", path.display()))?;
    ensure!(output.status.success(), "{program} metrics: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().skip(2).map(str::to_owned).collect())
}

fn joined(rows: &[&String]) -> String {
    rows.iter().map(|row| row.as_str()).collect::<Vec<_>>().join("\n")
}
