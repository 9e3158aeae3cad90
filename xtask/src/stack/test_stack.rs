//! What the tests of a run of `cargo xtask test` know of its stack: two environment variables lead to it.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{PostgresAddress, RabbitMqAddress, StackState};

/// The variable with the path of the stack's `stack.json`.
pub const STACK_VARIABLE: &str = "APOLLO_TEST_STACK";
/// The variable with the folder that holds Apollo's programs.
pub const BINARIES_VARIABLE: &str = "APOLLO_TEST_BIN";

/// The servers that all tests of a run share. A test makes a database and a virtual host of its own on them.
#[derive(Debug, Clone)]
pub struct TestStack {
    /// The database server.
    pub postgres: PostgresAddress,
    /// The broker.
    pub rabbitmq: RabbitMqAddress,
    binaries: PathBuf,
}

impl TestStack {
    /// The path of one of Apollo's programs, for example `apollo-worker`.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}

/// The stack of the run of `cargo xtask test` that this test belongs to.
///
/// # Errors
/// The test was not started by it; the error says how to do that.
pub fn of_tests() -> Result<TestStack> {
    let stack = variable(STACK_VARIABLE)?;
    let state = StackState::read(Path::new(&stack))?;
    let lacks = |what| format!("{} names no {what}", Path::new(&stack).display());
    Ok(TestStack {
        postgres: state.postgres.with_context(|| lacks("PostgreSQL"))?,
        rabbitmq: state.rabbitmq.with_context(|| lacks("RabbitMQ"))?,
        binaries: variable(BINARIES_VARIABLE)?.into(),
    })
}

fn variable(name: &str) -> Result<OsString> {
    env::var_os(name).with_context(|| {
        format!(
            "{name} is not set: this test needs PostgreSQL and RabbitMQ. Run it by `cargo xtask test <part of its name>`. \
             Or run `cargo xtask up` once and set {STACK_VARIABLE} to target/stack/up/stack.json and {BINARIES_VARIABLE} \
             to target/debug, as absolute paths"
        )
    })
}
