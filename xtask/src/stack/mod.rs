//! A private stack: PostgreSQL, RabbitMQ, nginx and Apollo's own programs on free loopback ports, with all their files
//! under `target/stack/<name>/`.
//!
//! Whatever is started here is recorded in the stack's `stack.json`, so that a run that was killed leaves nothing
//! behind that hinders the next one: see [`sweep()`]. Everything stops when it is dropped.
//!
//! ```no_run
//! use xtask::stack::Stack;
//!
//! let mut stack = Stack::start("example")?;
//! stack.postgres.create_database("apollo")?;
//! println!("{} {}", stack.postgres.url("apollo"), stack.rabbitmq.url("/"));
//! stack.rabbitmq.kill()?;
//! stack.rabbitmq.restart()?;
//! # Ok::<(), anyhow::Error>(())
//! ```

mod account;
mod apollo;
mod certificate;
mod chromedriver;
mod folder;
mod freeze;
mod garmin;
mod identity;
mod nginx;
mod packages;
mod ports;
pub mod postgres;
pub mod process;
mod prometheus;
mod proxy;
pub mod rabbitmq;
mod service;
mod small_disk;
mod state;
mod sweep;
mod test_stack;
mod wait;

use std::thread;

use anyhow::{Context, Result};

pub use apollo::{Apollo, Layout, ReceiverPlace, WorkerPlace};
pub use certificate::{Authority, Certificate};
pub use chromedriver::ChromeDriver;
pub use folder::StackFolder;
pub use garmin::Garmin;
pub use identity::ProcessIdentity;
pub use nginx::{Nginx, NginxAddress, NginxOptions};
pub use packages::{Purpose, install_missing};
pub use ports::free as free_ports;
pub use postgres::{PostgreSql, PostgresAddress};
pub use prometheus::{Prometheus, Targets};
pub use proxy::{Proxy, Traffic};
pub use rabbitmq::{RabbitMq, RabbitMqAddress};
pub use service::Service;
pub use small_disk::SmallDisk;
pub use state::{ProcessRecord, STACK_FILE, StackState, StopSignal};
pub use sweep::sweep;
pub use test_stack::{BINARIES_VARIABLE, STACK_VARIABLE, TestStack, of_tests};

pub(crate) use apollo::{DATABASE, Programs, address};
pub(crate) use folder::all_stacks;
pub(crate) use freeze::Freeze;
pub(crate) use garmin::GARMIN;
pub(crate) use process::peak_memory;
pub(crate) use rabbitmq::QueueCounts;
pub(crate) use sweep::end;
pub(crate) use wait::until as wait_until;

/// The two services that Apollo's programs need.
pub struct Stack {
    /// The database server.
    pub postgres: PostgreSql,
    /// The broker.
    pub rabbitmq: RabbitMq,
    /// The stack's folder and record.
    pub folder: StackFolder,
}

impl Stack {
    /// Starts both in a new folder, whose name begins with `prefix`. What is missing must have been installed:
    /// [`install_missing`].
    ///
    /// # Errors
    /// One of them does not start; the end of its log is in the error.
    pub fn start(prefix: &str) -> Result<Self> {
        Self::start_in(StackFolder::create(prefix)?)
    }

    /// Starts both in this folder, at the same time.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn start_in(folder: StackFolder) -> Result<Self> {
        Self::start_by(folder, PostgreSql::start, RabbitMq::start)
    }

    /// Starts both in this folder with this certificate: PostgreSQL speaks TLS only then, RabbitMQ also.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub fn start_with_tls(folder: StackFolder, certificate: &Certificate) -> Result<Self> {
        Self::start_by(
            folder,
            |folder| PostgreSql::start_with_tls(folder, certificate),
            |folder| RabbitMq::start_with_tls(folder, certificate),
        )
    }

    fn start_by(
        folder: StackFolder,
        postgres: impl FnOnce(&StackFolder) -> Result<PostgreSql> + Send,
        rabbitmq: impl FnOnce(&StackFolder) -> Result<RabbitMq>,
    ) -> Result<Self> {
        let (postgres, rabbitmq) = thread::scope(|scope| {
            let postgres = scope.spawn(|| postgres(&folder));
            let rabbitmq = rabbitmq(&folder);
            (postgres.join(), rabbitmq)
        });
        let postgres = postgres.map_err(|_| anyhow::anyhow!("starting PostgreSQL panicked"))?;
        Ok(Self {
            postgres: postgres.context("PostgreSQL does not start")?,
            rabbitmq: rabbitmq.context("RabbitMQ does not start")?,
            folder,
        })
    }
}
