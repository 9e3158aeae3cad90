//! `cargo xtask test`.

use std::{process::Command, thread};

use anyhow::{Result, ensure};

use crate::{
    cargo,
    cli::Test,
    docs, fuzz, instructions,
    stack::{self, BINARIES_VARIABLE, Purpose, STACK_FILE, STACK_VARIABLE, Stack},
    ui, up, workspace,
};

/// Runs the gates and the tests. The last line printed is the test runner's own count, so nothing is said after it.
pub(crate) fn run(options: &Test) -> Result<()> {
    stack::install_missing(Purpose::Tests)?;
    if options.filter.is_empty() {
        gates()?;
    }
    if options.filter.is_empty() {
        ui::timed("fuzz for a moment", fuzz::short)?;
        ui::timed("parsing and merging take no more instructions", instructions::check)?;
    }
    ui::timed("build Apollo's programs", || cargo::run(&["build", "--workspace", "--bins"]))?;
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("test"))?;
    if options.filter.is_empty() {
        ui::timed("docs/data.md and docs/metrics.md are up to date", || {
            docs::check(&stack.postgres.address)
        })?;
    }
    let outcome = tests(&stack, options);
    drop(stack);
    // Tests that the runner had to kill have left stacks of their own.
    stack::sweep()?;
    outcome
}

fn gates() -> Result<()> {
    ui::timed("cargo fmt --check", || cargo::run(&["fmt", "--all", "--check"]))?;
    ui::timed("cargo clippy", || {
        cargo::run(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
    })?;
    ui::timed("cargo doc", || {
        cargo::run(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
    })?;
    if cargo::has("deny") {
        // The advisories are left to `cargo deny check advisories`: they come from the network, which tests must not need.
        ui::timed("cargo deny check", || cargo::run(&["deny", "check", "bans", "licenses", "sources"]))
    } else {
        ui::step(
            "cargo deny check: left out, cargo-deny is not installed (`cargo install cargo-deny --locked`)",
        );
        Ok(())
    }
}

fn tests(stack: &Stack, options: &Test) -> Result<()> {
    let mut command = workspace::cargo();
    if cargo::has("nextest") {
        ui::step("tests (cargo nextest)");
        let threads = test_threads()?.to_string();
        command.args(["nextest", "run", "--workspace", "--test-threads", &threads]).args(&options.filter);
    } else {
        ui::step("tests (cargo test, because cargo-nextest is not installed)");
        command.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--"]);
        command.args(&options.filter);
    }
    let status = cargo::run_on_stack(with_stack(&mut command, stack)?, "tests", &stack.folder)?;
    ensure!(status.success(), "tests failed");
    Ok(())
}

/// Twice as many as there are processors: much of the time of the long tests is waiting for servers to start.
fn test_threads() -> Result<usize> {
    Ok(thread::available_parallelism()?.get() * 2)
}

fn with_stack<'a>(command: &'a mut Command, stack: &Stack) -> Result<&'a mut Command> {
    Ok(command
        .env(STACK_VARIABLE, stack.folder.path().join(STACK_FILE))
        .env(BINARIES_VARIABLE, up::debug_folder()?))
}
