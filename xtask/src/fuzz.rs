//! `cargo xtask fuzz`: hostile bytes for everything that parses what comes from outside.
//!
//! libFuzzer on the stable toolchain: only this workspace's own crates are instrumented (`fuzz/instrument.sh`), and all
//! dependencies are those of the ordinary build. There is no sanitizer, and none is needed where `unsafe` is forbidden:
//! what is looked for are panics (overflows among them), broken promises, memory and time.

mod target;

use std::{
    collections::VecDeque,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::{
    cargo,
    cli::Fuzz,
    stack::{self, Purpose},
    ui, workspace,
};
use target::Target;

/// What an input may cost before it counts as a finding.
const LIMITS: [&str; 3] = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=65536"];

/// Inputs tried for each target by `cargo xtask test`, always the same ones.
const INPUTS_IN_TESTS: u32 = 2_000;

/// How long a target is fuzzed.
#[derive(Clone, Copy)]
enum Effort {
    /// Seconds, from what has been found before on.
    Seconds(u32),
    /// Inputs, from nothing on and with a fixed seed.
    Inputs(u32),
}

/// The command.
pub(crate) fn run(options: &Fuzz) -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    let targets = Target::named(&options.targets)?;
    build()?;
    if let Some(file) = &options.reproduce {
        let [target] = targets.as_slice() else { bail!("--reproduce needs the one target that FILE is for") };
        let mut command = target.command()?;
        let status = cargo::run_to_end(command.arg(file))?;
        ensure!(status.success(), "{} still fails", file.display());
        ui::step("it does not fail any more");
        return Ok(());
    }
    print(&fuzz(targets, Effort::Seconds(options.seconds))?);
    Ok(())
}

/// A short run of every target, the same each time.
pub(crate) fn short() -> Result<()> {
    build()?;
    fuzz(Target::all()?, Effort::Inputs(INPUTS_IN_TESTS)).map(drop)
}

/// All packages are selected, so that dependencies have the features of the ordinary build and are not built again.
fn build() -> Result<()> {
    let mut command = workspace::cargo();
    command
        .args([
            "build",
            "--workspace",
            "--bin",
            "fuzz-notification",
            "--bin",
            "fuzz-entry",
            "--bin",
            "fuzz-split",
            "--bin",
            "fuzz-fit",
        ])
        .env("RUSTC_WORKSPACE_WRAPPER", workspace::root().join("fuzz/instrument.sh"));
    ui::timed("build the fuzz targets", || {
        ensure!(cargo::run_to_end(&mut command)?.success(), "the fuzz targets cannot be built");
        Ok(())
    })
}

/// What libFuzzer says at the end of a run.
struct Figures {
    target: String,
    inputs: u64,
    inputs_a_second: u64,
    coverage: u64,
    peak_memory_mib: u64,
}

/// As many targets at a time as there are cores.
fn fuzz(targets: Vec<Target>, effort: Effort) -> Result<Vec<Figures>> {
    let folder = workspace::target_directory()?.join("fuzz");
    target::write_dictionary(&folder.join("garmin.dict"))?;
    let at_once = thread::available_parallelism()?.get().min(targets.len());
    ui::step(format_args!("fuzz {} targets, {at_once} at a time, {effort}", targets.len()));
    let bar = bar(targets.len());
    let waiting = Mutex::new(VecDeque::from(targets));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let next = || waiting.lock().ok()?.pop_front();
                while let Some(target) = next() {
                    bar.set_message(target.name.clone());
                    let figures = run_target(&target, effort, &folder);
                    let failed = figures.is_err();
                    if let (Ok(mut waiting), true) = (waiting.lock(), failed) {
                        waiting.clear();
                    }
                    done.lock().map(|mut done| done.push(figures)).unwrap_or_default();
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut figures = done.into_iter().collect::<Result<Vec<_>>>()?;
    figures.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(figures)
}

fn bar(targets: usize) -> ProgressBar {
    let bar = ProgressBar::new(targets as u64);
    let template = "    {elapsed_precise} [{bar:40}] {pos}/{len} targets, now {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn run_target(target: &Target, effort: Effort, folder: &Path) -> Result<Figures> {
    let folder = folder.join(&target.name);
    let (corpus, seeds, crashes) = (folder.join("corpus"), folder.join("seeds"), folder.join("crashes"));
    if matches!(effort, Effort::Inputs(_)) && corpus.exists() {
        fs::remove_dir_all(&corpus)?;
    }
    for folder in [&corpus, &crashes] {
        fs::create_dir_all(folder)?;
    }
    target.write_seeds(&seeds)?;
    let log = folder.join("log");
    let mut command = target.command()?;
    command
        .args(LIMITS)
        .args(effort.arguments())
        .arg("-print_final_stats=1")
        .arg(format!("-dict={}", folder.with_file_name("garmin.dict").display()))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(&corpus)
        .arg(&seeds)
        .args(target.regressions())
        .stdout(File::create(&log)?)
        .stderr(File::options().append(true).open(&log)?);
    let status = cargo::run_to_end(&mut command)?;
    let said = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    if !status.success() {
        bail!("{}", finding(target, &said, &log));
    }
    Ok(Figures::of(target, &said))
}

/// What was found, and how to see it again.
fn finding(target: &Target, said: &str, log: &Path) -> String {
    let panic = said.lines().skip_while(|line| !line.contains("panicked at")).take(2);
    let error = said.lines().filter(|line| line.contains("ERROR: libFuzzer"));
    let what: Vec<&str> = panic.chain(error).collect();
    let input = said.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path);
    let again = match input {
        Some(path) => {
            format!(
                "to see it again: cargo xtask fuzz {0} --reproduce {path}\nonce it is mended, keep that file in \
                 fuzz/regressions/{0}/",
                target.name
            )
        }
        None => format!("the log is {}", log.display()),
    };
    format!("fuzzing {} found something:\n{}\n{again}", target.name, what.join("\n"))
}

impl Effort {
    fn arguments(self) -> Vec<String> {
        match self {
            Self::Seconds(seconds) => vec![format!("-max_total_time={seconds}")],
            Self::Inputs(inputs) => vec![format!("-runs={inputs}"), "-seed=1".to_owned()],
        }
    }
}

impl std::fmt::Display for Effort {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(formatter, "{seconds} s each"),
            Self::Inputs(inputs) => write!(formatter, "{} inputs each", HumanCount((*inputs).into())),
        }
    }
}

impl Figures {
    fn of(target: &Target, said: &str) -> Self {
        let number =
            |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let statistic = |name: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))
                .map_or(0, |rest| number(rest.trim_start_matches(':')))
        };
        let coverage = said.lines().rev().find_map(|line| line.split_once(" cov: "));
        Self {
            target: target.name.clone(),
            inputs: statistic("number_of_executed_units"),
            inputs_a_second: statistic("average_exec_per_sec"),
            coverage: coverage.map_or(0, |(_, rest)| number(rest)),
            peak_memory_mib: statistic("peak_rss_mb"),
        }
    }
}

fn print(figures: &[Figures]) {
    println!("{:<28} {:>14} {:>10} {:>9} {:>10}", "target", "inputs", "a second", "branches", "peak MiB");
    for it in figures {
        println!(
            "{:<28} {:>14} {:>10} {:>9} {:>10}",
            it.target,
            HumanCount(it.inputs).to_string(),
            HumanCount(it.inputs_a_second).to_string(),
            it.coverage,
            it.peak_memory_mib
        );
    }
    let inputs = figures.iter().map(|it| it.inputs).sum();
    println!("{} inputs, no findings", HumanCount(inputs));
}

/// Where cargo puts the targets.
fn program(name: &str) -> Result<PathBuf> {
    Ok(workspace::target_directory()?.join("debug").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#99\tDONE   cov: 2310 ft: 9 corp: 4/9b\nDone 99 runs\n\
                        stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     33\nstat::peak_rss_mb: 61\n";

    #[test]
    fn figures_are_read_from_what_libfuzzer_says() {
        let figures = Figures::of(&Target::notification(), SAID);
        assert_eq!((figures.inputs, figures.inputs_a_second), (99, 33));
        assert_eq!((figures.coverage, figures.peak_memory_mib), (2310, 61));
    }

    #[test]
    fn a_finding_says_how_to_see_it_again() {
        let said = "thread '<unnamed>' panicked at worker/src/x.rs:1:2:\nattempt to add with overflow\n\
                    ==7== ERROR: libFuzzer: deadly signal\nartifact_prefix='a/'; Test unit written to a/crash-1\n";
        let text = finding(&Target::notification(), said, Path::new("log"));
        assert!(text.contains("attempt to add with overflow"), "{text}");
        assert!(text.contains("cargo xtask fuzz notification --reproduce a/crash-1"), "{text}");
    }
}
