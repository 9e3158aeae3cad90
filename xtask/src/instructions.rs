//! `cargo xtask instructions`: what parsing and merging cost, in instructions, which do not depend on how busy a machine is.
//!
//! `worker/examples/instructions.rs` does the work under valgrind's callgrind. Our own crates are optimised
//! (`worker/examples/optimise.sh`), and all dependencies are those of the ordinary build: counts are near to those of a release, and
//! building takes a minute instead of five. The counts to be met are kept in `worker/examples/instructions.json`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use indicatif::HumanCount;
use serde::{Deserialize, Serialize};

use crate::{
    cargo,
    cli::Instructions,
    interrupt,
    stack::{self, Purpose},
    ui, workspace,
};

/// How far a count may lie from the one that is kept. The same commit gives the same count but for the hundredth of a
/// percent that lies in the addresses and in the processor's kind; what is changed elsewhere in the crate moves counts by up to
/// three percent, as the compiler then divides and inlines otherwise.
const TOLERANCE: f64 = 0.05;

/// The function inside of which instructions are counted.
const MEASURED: &str = "instructions::measured*";

/// SHA-256, which is left out where it is part of the work: processors have instructions for it that valgrind does not
/// know, so the many that it takes instead say nothing.
const HASHING: &str = "sha2::sha256::compress256*";

/// What a piece of work is, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    entries: u64,
    /// Of the input: another number is another input.
    bytes: u64,
    instructions: u64,
}

/// The costs of all pieces, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Costs {
    /// What compiled the program.
    compiler: String,
    pieces: BTreeMap<String, Cost>,
}

/// The command.
pub(crate) fn run(options: &Instructions) -> Result<()> {
    stack::install_missing(Purpose::Tests)?;
    if !options.write {
        return check();
    }
    let counted = count()?;
    print(&counted, kept().ok().as_ref());
    fs::write(file(), serde_json::to_string_pretty(&counted)? + "\n")?;
    ui::step(format_args!("written to {}", file().display()));
    Ok(())
}

/// Counts, prints, and compares with what is kept.
///
/// # Errors
/// A count differs by more than the tolerance, or cannot be had.
pub(crate) fn check() -> Result<()> {
    let kept = kept()?;
    let counted = count()?;
    print(&counted, Some(&kept));
    let differences = differences(&counted, &kept);
    ensure!(
        differences.is_empty(),
        "{}\nA count that rose is work that was added: find it with valgrind --tool=callgrind and callgrind_annotate, or be \
         sure that it is worth it. Then, and where a count fell, write the new ones down: cargo xtask instructions \
         --write. The kept ones are of {}, these of {}.",
        differences.join("\n"),
        kept.compiler,
        counted.compiler
    );
    Ok(())
}

fn file() -> PathBuf {
    workspace::root().join("worker/examples/instructions.json")
}

fn kept() -> Result<Costs> {
    let file = file();
    let json = fs::read(&file).with_context(|| file.display().to_string())?;
    serde_json::from_slice(&json).with_context(|| file.display().to_string())
}

fn count() -> Result<Costs> {
    let program = ui::timed("build what is counted", build)?;
    ui::timed("count its instructions", || {
        let list = output(&mut Command::new(&program))?;
        let mut pieces = BTreeMap::new();
        for line in list.lines() {
            interrupt::check()?;
            let mut words = line.split('\t');
            let name = words.next().context("a piece of work has no name")?;
            let mut number = || Ok::<u64, anyhow::Error>(words.next().unwrap_or_default().parse()?);
            let (entries, bytes) = (number()?, number()?);
            pieces.insert(
                name.to_owned(),
                Cost { entries, bytes, instructions: instructions(&program, name)? },
            );
        }
        Ok(Costs { compiler: compiler()?, pieces })
    })
}

/// All packages are selected, so that dependencies have the features of the ordinary build and are not built again. How
/// incremental compilation divides a crate depends on what was compiled before, so there is none.
fn build() -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command
        .args(["build", "--workspace", "--example", "instructions"])
        .env("RUSTC_WORKSPACE_WRAPPER", workspace::root().join("worker/examples/optimise.sh"))
        .env("CARGO_INCREMENTAL", "0");
    ensure!(cargo::run_to_end(&mut command)?.success(), "it cannot be built");
    Ok(workspace::target_directory()?.join("debug/examples/instructions"))
}

/// How many instructions a piece of work takes.
fn instructions(program: &Path, name: &str) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(format!("--toggle-collect={MEASURED}"));
    if name.starts_with("parse") {
        valgrind.arg(format!("--toggle-collect={HASHING}"));
    }
    // The environment stands on the stack, and moves what comes behind it.
    let said = output(valgrind.arg(program).arg(name).env_clear())?;
    let counted = said.lines().find_map(|line| line.split_once("Collected :"));
    Ok(counted.with_context(|| format!("valgrind counted nothing:\n{said}"))?.1.trim().parse()?)
}

fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(output(Command::new(rustc).arg("--version"))?.trim().to_owned())
}

/// What a program says, on both streams.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{name} failed: {}\n{said}", output.status);
    Ok(said)
}

fn differences(counted: &Costs, kept: &Costs) -> Vec<String> {
    let names =
        counted.pieces.keys().chain(kept.pieces.keys().filter(|name| !counted.pieces.contains_key(*name)));
    names
        .filter_map(|name| match (counted.pieces.get(name), kept.pieces.get(name)) {
            (Some(counted), Some(kept)) if (counted.entries, counted.bytes) != (kept.entries, kept.bytes) => {
                Some(format!("{name}: the input has changed"))
            }
            (Some(counted), Some(kept)) => {
                let ratio = counted.ratio(kept);
                ((ratio - 1.0).abs() > TOLERANCE)
                    .then(|| format!("{name}: {ratio:.3} times the instructions"))
            }
            (Some(_), None) => Some(format!("{name}: no count is kept")),
            _ => Some(format!("{name}: a count is kept, but there is no such piece of work")),
        })
        .collect()
}

impl Cost {
    fn ratio(&self, kept: &Self) -> f64 {
        self.instructions as f64 / kept.instructions as f64
    }
}

fn print(counted: &Costs, kept: Option<&Costs>) {
    println!(
        "{:<24} {:>14} {:>12} {:>12} {:>14} {:>7}",
        "work", "instructions", "an entry", "a byte", "kept", "ratio"
    );
    for (name, cost) in &counted.pieces {
        let kept = kept.and_then(|kept| kept.pieces.get(name));
        println!(
            "{name:<24} {:>14} {:>12} {:>12.1} {:>14} {:>7}",
            HumanCount(cost.instructions).to_string(),
            HumanCount(cost.instructions / cost.entries.max(1)).to_string(),
            cost.instructions as f64 / cost.bytes as f64,
            kept.map_or("–".to_owned(), |kept| HumanCount(kept.instructions).to_string()),
            kept.map_or("–".to_owned(), |kept| format!("{:.3}", cost.ratio(kept))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(name: &str, bytes: u64, instructions: u64) -> Costs {
        let pieces = [(name.to_owned(), Cost { entries: 1, bytes, instructions })].into();
        Costs { compiler: String::new(), pieces }
    }

    #[test]
    fn a_count_may_neither_rise_nor_fall_unnoticed() {
        let kept = costs("parse", 10, 1000);
        for (instructions, differs) in [(1000, false), (1049, false), (1051, true), (951, false), (949, true)]
        {
            let found = differences(&costs("parse", 10, instructions), &kept);
            assert_eq!(!found.is_empty(), differs, "{instructions}: {found:?}");
        }
        assert_eq!(differences(&costs("parse", 11, 1000), &kept), ["parse: the input has changed"]);
        assert_eq!(differences(&costs("merge", 10, 1000), &kept).len(), 2);
    }
}
