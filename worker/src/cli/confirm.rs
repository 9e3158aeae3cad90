//! Asking back before something that cannot be taken back.

use anyhow::{bail, ensure};
use std::io::{self, IsTerminal as _, Write as _};

/// Goes on only if a person at a terminal answers the question with yes, or `assumed` says so beforehand.
pub(super) fn yes(question: &str, assumed: bool) -> anyhow::Result<()> {
    if assumed {
        return Ok(());
    }
    ensure!(io::stdin().is_terminal(), "there is no terminal to ask back on: give --yes if you are sure");
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("not confirmed, so nothing was changed"),
    }
}
