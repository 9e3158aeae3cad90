//! Apollo's own programs on a stack: migrations, one receiver behind nginx, workers, and a Garmin for participants to
//! consent at.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    Garmin, Nginx, NginxOptions, Stack, StackFolder, ports, postgres,
    process::{Process, Program},
    rabbitmq,
};

/// The database of the stack's Apollo.
pub(crate) const DATABASE: &str = "apollo";
const START_LIMIT: Duration = Duration::from_secs(60);

/// A whole Apollo. Dropping it stops it: first what takes requests, then what stores them.
pub struct Apollo {
    /// The edge.
    pub nginx: Nginx,
    /// `apollo-receiver`.
    pub receiver: Process,
    /// `apollo-worker serve`.
    pub workers: Vec<Process>,
    /// Where the receiver's metrics are.
    pub receiver_metrics: String,
    /// Where the metrics of each worker are.
    pub worker_metrics: Vec<String>,
    /// Where participants consent.
    pub garmin: Garmin,
}

impl Apollo {
    /// Creates the database, migrates it and starts everything, with the programs in the folder `binaries`. `plan` are the
    /// simulator's options that say who has an account at Garmin.
    ///
    /// # Errors
    /// A program fails or does not become ready; the end of its log is in the error.
    pub fn start(stack: &Stack, binaries: &Path, workers: usize, plan: &[String]) -> Result<Self> {
        let garmin = Garmin::start(&stack.folder, binaries, plan)?;
        let site = Site {
            stack: &stack.folder,
            owner_database: stack.postgres.address.url_of(postgres::OWNER, DATABASE),
            worker_database: stack.postgres.address.url_of(postgres::WORKER, DATABASE),
            receiver_broker: stack.rabbitmq.address.url_of(rabbitmq::RECEIVER, "/"),
            worker_broker: stack.rabbitmq.address.url_of(rabbitmq::WORKER, "/"),
            keys: new_keys(&stack.folder, binaries)?,
            garmin: &garmin,
            binaries: binaries.to_owned(),
        };
        stack.postgres.create_database(DATABASE)?;
        site.migrate()?;
        // First the workers, which declare the queues that a receiver waits for.
        let mut running = Vec::new();
        let mut worker_metrics = Vec::new();
        for number in 1..=workers {
            let (worker, metrics) = ports::retry_with_new_ports(|| site.worker(number))?;
            running.push(worker);
            worker_metrics.push(metrics);
        }
        let (nginx, receiver, receiver_metrics) = ports::retry_with_new_ports(|| site.edge())?;
        Ok(Self { nginx, receiver, workers: running, receiver_metrics, worker_metrics, garmin })
    }
}

/// What the programs are told.
struct Site<'a> {
    stack: &'a StackFolder,
    owner_database: String,
    worker_database: String,
    receiver_broker: String,
    worker_broker: String,
    keys: String,
    garmin: &'a Garmin,
    binaries: PathBuf,
}

impl Site<'_> {
    fn migrate(&self) -> Result<()> {
        let program = self.program("migrate", "apollo-worker").args(["migrate"]);
        program.env("DATABASE__URL", &self.owner_database).run(self.stack, START_LIMIT)
    }

    /// nginx, the receiver behind it, and the URL of the receiver's metrics. nginx comes first, because the receiver is
    /// told its public address.
    fn edge(&self) -> Result<(Nginx, Process, String)> {
        let [port, admin] = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let nginx = Nginx::start(self.stack, &NginxOptions::for_receiver(&address))?;
        let program = self
            .program("receiver", "apollo-receiver")
            .env("RABBITMQ__URL", &self.receiver_broker)
            .env("RECEIVER__LISTEN", &address)
            .env("RECEIVER__ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env("RECEIVER__PUBLIC_URL", nginx.address.url())
            .env("RECEIVER__SPOOL_DIR", self.stack.subfolder("spool")?);
        let (receiver, metrics) = self.start_ready(program, "receiver", admin)?;
        self.stack.update(|state| {
            state.urls.insert("consent page".to_owned(), nginx.address.url() + "/oauth/garmin/consent");
        })?;
        Ok((nginx, receiver, metrics))
    }

    /// The process and the URL of its metrics.
    fn worker(&self, number: usize) -> Result<(Process, String)> {
        let [admin] = ports::free()?;
        let name = format!("worker-{number}");
        let program = self
            .program(&name, "apollo-worker")
            .args(["serve"])
            .env("DATABASE__URL", &self.worker_database)
            .env("RABBITMQ__URL", &self.worker_broker)
            .env("WORKER__ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        self.start_ready(program, &name, admin)
    }

    fn start_ready(&self, program: Program, name: &str, admin: u16) -> Result<(Process, String)> {
        let mut process = Process::start(self.stack, program)?;
        process.wait_http(&format!("http://127.0.0.1:{admin}/health/ready"), START_LIMIT)?;
        let metrics = format!("http://127.0.0.1:{admin}/metrics");
        self.stack.update(|state| {
            state.urls.insert(format!("{name} metrics"), metrics.clone());
        })?;
        Ok((process, metrics))
    }

    fn program(&self, name: &str, binary: &str) -> Program {
        let program = Program::new(name, self.binaries.join(binary)).env("SECRETS__KEYS", &self.keys);
        self.garmin.environment.iter().fold(program, |program, (name, value)| program.env(name, value))
    }
}

/// A key of this stack's own, as an operator would make it.
fn new_keys(stack: &StackFolder, binaries: &Path) -> Result<String> {
    let worker = binaries.join("apollo-worker");
    let output = Command::new(&worker)
        .args(["keys", "new"])
        .current_dir(stack.path())
        .output()
        .with_context(|| format!("cannot run {}", worker.display()))?;
    ensure!(output.status.success(), "apollo-worker keys new: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
