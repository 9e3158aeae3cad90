//! Receivers and workers as processes of their own, for tests about what a process does: signals, memory, logs.

use crate::Result;
use crate::programs::SECRETS_KEYS;
use crate::site::Site;
use std::time::Duration;
use xtask::stack::process::{Process, Program};
use xtask::stack::{StackFolder, free_ports, of_tests};

const START_LIMIT: Duration = Duration::from_secs(60);

/// One of Apollo's programs, to be started as often as a test likes, always at the same addresses.
#[derive(Clone)]
pub struct Launch {
    binary: &'static str,
    arguments: &'static [&'static str],
    environment: Vec<(&'static str, String)>,
    descriptors: Option<u32>,
    port: u16,
    admin_port: u16,
}

impl Launch {
    /// A receiver, on free ports.
    ///
    /// # Errors
    /// There are no free ports.
    pub fn receiver(site: &Site) -> Result<Self> {
        let launch = Self::new("apollo-receiver", &[], site.receiver_rabbitmq_url())?;
        let (listen, admin, spool) = (
            format!("127.0.0.1:{}", launch.port),
            format!("127.0.0.1:{}", launch.admin_port),
            format!("spool-{}", launch.port),
        );
        Ok(launch
            .env("RECEIVER__LISTEN", listen)
            .env("RECEIVER__ADMIN_LISTEN", admin)
            .env("RECEIVER__SPOOL_DIR", spool))
    }

    /// A worker, on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub fn worker(site: &Site) -> Result<Self> {
        let launch = Self::new("apollo-worker", &["serve"], site.rabbitmq_url())?;
        let admin = format!("127.0.0.1:{}", launch.admin_port);
        Ok(launch.env("DATABASE__URL", site.database_url()).env("WORKER__ADMIN_LISTEN", admin))
    }

    fn new(binary: &'static str, arguments: &'static [&'static str], broker: String) -> Result<Self> {
        let [port, admin_port] = free_ports()?;
        let environment = vec![("RABBITMQ__URL", broker), ("SECRETS__KEYS", SECRETS_KEYS.to_owned())];
        Ok(Self { binary, arguments, environment, descriptors: None, port, admin_port })
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Leaves it so many file descriptors and no more.
    #[must_use]
    pub fn descriptors(mut self, descriptors: u32) -> Self {
        self.descriptors = Some(descriptors);
        self
    }

    /// `host:port` of the public listener.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it and waits until it is ready. Its log is in the folder, under its own name.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn start(&self, folder: &StackFolder) -> Result<Process> {
        let name = format!("{}-{}", self.binary, self.port);
        let binary = of_tests()?.binary(self.binary);
        let program = match self.descriptors {
            None => Program::new(name, binary).args(self.arguments),
            Some(descriptors) => {
                let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
                Program::new(name, "/bin/sh").args(["-c", &limited]).args([binary]).args(self.arguments)
            }
        };
        let program =
            self.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        tokio::task::block_in_place(|| {
            let mut process = Process::start(folder, program)?;
            process.wait_http(&format!("http://127.0.0.1:{}/health/ready", self.admin_port), START_LIMIT)?;
            Ok(process)
        })
    }
}
