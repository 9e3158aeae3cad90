//! docs/hostile-input.md: its table is what was really answered, so that it cannot say anything else.

use super::attack::{Attack, Section};
use apollo_tests::Result;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Set to 1 to have the table in docs/hostile-input.md written anew.
const RENEW_VARIABLE: &str = "APOLLO_HOSTILE_INPUT";

const BEGIN: &str = "<!-- The table: written by the test `hostile`, not by hand -->\n";
const END: &str = "<!-- The end of the table -->\n";

/// What one attack was answered at both places.
pub(super) struct Outcome {
    pub(super) nginx: String,
    pub(super) receiver: String,
}

impl Outcome {
    /// What is wrong with it.
    pub(super) fn surprise(&self, attack: &Attack) -> Option<String> {
        let as_expected = self.nginx == attack.nginx && self.receiver == attack.receiver;
        (!as_expected).then(|| {
            format!(
                "{}: nginx {} (expected {}), receiver {} (expected {})",
                attack.what, self.nginx, attack.nginx, self.receiver, attack.receiver
            )
        })
    }

    /// How many notifications it has stored, if every 200 was kept.
    pub(super) fn stored(&self, attack: &Attack) -> usize {
        attack.stored
            * [&self.nginx, &self.receiver].into_iter().filter(|answer| answer.contains("200")).count()
    }
}

/// Compares the table of the page with `outcomes`, or writes it anew if that is asked for.
pub(super) fn check<'a>(sections: impl Iterator<Item = (&'a Section, &'a [Outcome])>) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hostile-input.md");
    let page = fs::read_to_string(&file)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/hostile-input.md has lost its table")?;
    let (_, after) = rest.split_once(END).ok_or("docs/hostile-input.md has lost its table's end")?;
    let renewed = format!("{before}{BEGIN}{}{END}{after}", table(sections)?);
    if std::env::var_os(RENEW_VARIABLE).is_some_and(|value| value == "1") {
        return Ok(fs::write(&file, renewed)?);
    }
    let remedy = "docs/hostile-input.md is out of date: look at what has changed, then run \
                  `APOLLO_HOSTILE_INPUT=1 cargo xtask test hostile` and commit it";
    if page == renewed { Ok(()) } else { Err(remedy.into()) }
}

fn table<'a>(sections: impl Iterator<Item = (&'a Section, &'a [Outcome])>) -> Result<String> {
    let mut text = String::new();
    for (section, outcomes) in sections {
        write!(text, "\n### {}\n\n| sent | nginx | receiver |\n|---|---|---|\n", section.title)?;
        for (attack, outcome) in section.attacks.iter().zip(outcomes) {
            writeln!(text, "| {} | {} | {} |", attack.what, outcome.nginx, outcome.receiver)?;
        }
    }
    text.push('\n');
    Ok(text)
}
