//! Asking back before something that cannot be taken back.

use anyhow::{bail, ensure};
use std::io::{self, IsTerminal as _, Write as _};

/// Goes on only if a person at a terminal types `text` again, or `assumed` says so beforehand.
pub(super) fn typed(question: &str, text: &str, assumed: bool) -> anyhow::Result<()> {
    if assumed || ask(&format!("{question} Type {text} to go on: "))? == text {
        return Ok(());
    }
    bail!(NOT_CONFIRMED)
}

/// Goes on only if a person at a terminal answers the question with yes, or `assumed` says so beforehand.
pub(super) fn yes(question: &str, assumed: bool) -> anyhow::Result<()> {
    if assumed {
        return Ok(());
    }
    match ask(&format!("{question} [y/N] "))?.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!(NOT_CONFIRMED),
    }
}

const NOT_CONFIRMED: &str = "not confirmed, so nothing was changed";

fn ask(question: &str) -> anyhow::Result<String> {
    ensure!(io::stdin().is_terminal(), "there is no terminal to ask back on: give --yes if you are sure");
    eprint!("{question}");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
