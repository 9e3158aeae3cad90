//! Where a section measures: a stack to itself, a migrated database, and Apollo's programs on request.

use std::{ffi::OsStr, path::PathBuf};

use anyhow::Result;
use serde::de::DeserializeOwned;

use crate::{
    stack::{
        DATABASE, PostgresAddress, Programs, Service, Stack, address, free_ports, postgres, process::Program,
        rabbitmq,
    },
    tool,
};

/// See the [module](self).
pub(crate) struct Site<'a> {
    pub(crate) stack: &'a Stack,
    /// Whether the figures do not matter.
    pub(crate) quick: bool,
    /// What the user wants to be set.
    set: &'a [(String, String)],
    pub(crate) binaries: PathBuf,
    programs: Programs<'a>,
}

/// Settings of a program's besides those that it needs to run at all.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

impl<'a> Site<'a> {
    /// Makes the database, with the programs in the folder `binaries`; they are told what is `set`.
    ///
    /// # Errors
    /// The migration fails.
    pub(crate) fn new(
        stack: &'a Stack,
        binaries: PathBuf,
        quick: bool,
        set: &'a [(String, String)],
    ) -> Result<Self> {
        let programs = Programs::in_folder(&stack.folder, &binaries)?;
        programs.migrate(&stack.postgres.address, DATABASE)?;
        Ok(Self { stack, quick, set, binaries, programs })
    }

    pub(crate) fn postgres(&self) -> &PostgresAddress {
        &self.stack.postgres.address
    }

    /// Starts a receiver, without nginx in front, and waits until it is ready. The second value is its public address.
    ///
    /// # Errors
    /// It does not become ready; the end of its log is in the error.
    pub(crate) fn receiver(&self, settings: Settings<'_>) -> Result<(Service, String)> {
        let [port, admin] = free_ports()?;
        let program = self
            .programs
            .program("receiver", "apollo-receiver")
            .env("RABBITMQ__URL", self.stack.rabbitmq.address.url_of(rabbitmq::RECEIVER, "/"))
            .env("RECEIVER__LISTEN", address(port))
            .env("RECEIVER__ADMIN_LISTEN", address(admin))
            .env("RECEIVER__SPOOL_DIR", self.stack.folder.subfolder("spool")?);
        let service = Service::start(&self.stack.folder, self.with(program, settings), admin)?;
        Ok((service, format!("http://{}", address(port))))
    }

    /// Starts a worker of the lane of summaries and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready; the end of its log is in the error.
    pub(crate) fn worker(&self, number: usize, settings: Settings<'_>) -> Result<Service> {
        let [admin] = free_ports()?;
        let program = self
            .programs
            .program(&format!("worker-{number}"), "apollo-worker")
            .args(["serve"])
            .env("RABBITMQ__URL", self.stack.rabbitmq.address.url_of(rabbitmq::WORKER, "/"))
            .env("DATABASE__URL", self.postgres().url_of(postgres::WORKER, DATABASE))
            .env("WORKER__ADMIN_LISTEN", address(admin))
            .env("WORKER__LANES", "summaries");
        Service::start(&self.stack.folder, self.with(program, settings), admin)
    }

    fn with(&self, program: Program, settings: Settings<'_>) -> Program {
        let wanted = self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings = settings.iter().copied().chain(wanted);
        settings.fold(program, |program, (name, value)| program.env(name, value))
    }

    /// Runs a command of `apollo-bench` to its end and reads its result.
    ///
    /// # Errors
    /// It cannot be run, or fails.
    pub(crate) fn tool<T: DeserializeOwned>(
        &self,
        command: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<T> {
        tool::run(&self.binaries.join("apollo-bench"), &self.stack.folder, &[command], arguments)
    }
}
