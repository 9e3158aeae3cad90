//! Apollo's own programs on a stack: migrations, receivers behind nginx, workers, and a Garmin for participants to
//! consent at.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    Garmin, Nginx, NginxOptions, PostgresAddress, Service, SmallDisk, Stack, StackFolder, ports, postgres,
    process::Program, rabbitmq,
};

/// The database of the stack's Apollo.
pub(crate) const DATABASE: &str = "apollo";
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

/// Which programs there are, and what each is told.
pub struct Layout {
    /// At least one.
    pub receivers: Vec<ReceiverPlace>,
    /// At least one.
    pub workers: Vec<WorkerPlace>,
    /// The simulator's options that say who has an account at Garmin.
    pub accounts: Vec<String>,
}

impl Layout {
    /// One receiver and so many workers, each connected directly.
    ///
    /// # Errors
    /// The folder for the receiver's spool cannot be made.
    pub(crate) fn plain(stack: &Stack, workers: usize, accounts: Vec<String>) -> Result<Self> {
        let broker = |user| stack.rabbitmq.address.url_of(user, "/");
        let database = stack.postgres.address.url_of(postgres::WORKER, DATABASE);
        let worker = WorkerPlace { broker: broker(rabbitmq::WORKER), database };
        let spool = stack.folder.subfolder("spool")?;
        let receiver = ReceiverPlace { broker: broker(rabbitmq::RECEIVER), spool, disk: None };
        Ok(Self { receivers: vec![receiver], workers: vec![worker; workers], accounts })
    }
}

/// What a receiver is told.
#[derive(Clone)]
pub struct ReceiverPlace {
    /// The broker's URL.
    pub broker: String,
    /// The folder of its spool.
    pub spool: PathBuf,
    /// The disk on which that is, if it is one that only those who enter it can see.
    pub disk: Option<SmallDisk>,
}

/// What a worker is told.
#[derive(Clone)]
pub struct WorkerPlace {
    /// The broker's URL.
    pub broker: String,
    /// The database's URL.
    pub database: String,
}

/// A whole Apollo. Dropping it stops it: first what takes requests, then what stores them.
pub struct Apollo {
    /// The edge.
    pub nginx: Nginx,
    /// Each an `apollo-receiver`.
    pub receivers: Vec<Service>,
    /// Each an `apollo-worker serve`.
    pub workers: Vec<Service>,
    /// Where participants consent.
    pub garmin: Garmin,
}

impl Apollo {
    /// Creates the database, migrates it and starts everything, with the programs in the folder `binaries`.
    ///
    /// # Errors
    /// A program fails or does not become ready; the end of its log is in the error.
    pub fn start(stack: &Stack, binaries: &Path, layout: Layout) -> Result<Self> {
        let garmin = Garmin::start(&stack.folder, binaries, &layout.accounts)?;
        let programs = Programs::in_folder(&stack.folder, binaries)?;
        programs.migrate(&stack.postgres.address, DATABASE)?;
        let site = Site { stack: &stack.folder, programs, garmin: &garmin };
        // First the workers, which declare the queues that a receiver waits for.
        let workers = layout.workers.iter().zip(1..);
        let workers =
            workers.map(|(place, number)| ports::retry_with_new_ports(|| site.worker(place, number)));
        let workers = workers.collect::<Result<_>>()?;
        let (nginx, receivers) = ports::retry_with_new_ports(|| site.edge(&layout.receivers))?;
        Ok(Self { nginx, receivers, workers, garmin })
    }

    /// Where the metrics of the receivers are.
    #[must_use]
    pub fn receiver_metrics(&self) -> Vec<String> {
        self.receivers.iter().map(Service::metrics).collect()
    }

    /// Where the metrics of the workers are.
    #[must_use]
    pub fn worker_metrics(&self) -> Vec<String> {
        self.workers.iter().map(Service::metrics).collect()
    }
}

/// Apollo's programs in a folder, with a key of this stack's own: what every one of them is told.
pub(crate) struct Programs<'a> {
    stack: &'a StackFolder,
    binaries: PathBuf,
    keys: String,
}

impl<'a> Programs<'a> {
    /// Makes the key, as an operator would.
    ///
    /// # Errors
    /// `apollo-worker keys new` fails.
    pub(crate) fn in_folder(stack: &'a StackFolder, binaries: &Path) -> Result<Self> {
        Ok(Self { stack, keys: new_keys(stack, binaries)?, binaries: binaries.to_owned() })
    }

    /// The program of the file `binary`, called `name` in the stack's record.
    pub(crate) fn program(&self, name: &str, binary: &str) -> Program {
        Program::new(name, self.binaries.join(binary)).env("SECRETS__KEYS", &self.keys)
    }

    /// Makes the database and everything in it.
    ///
    /// # Errors
    /// It exists already, or the migration fails; the end of its log is in the error.
    pub(crate) fn migrate(&self, postgres: &PostgresAddress, database: &str) -> Result<()> {
        postgres.create_database(database)?;
        let url = postgres.url_of(postgres::OWNER, database);
        let program = self.program("migrate", "apollo-worker").env("DATABASE__URL", url);
        program.args(["migrate"]).run(self.stack, MIGRATION_LIMIT)
    }
}

/// A stack's programs that know its Garmin.
struct Site<'a> {
    stack: &'a StackFolder,
    programs: Programs<'a>,
    garmin: &'a Garmin,
}

impl Site<'_> {
    /// nginx and the receivers behind it. nginx comes first, because the receivers are told its public address.
    fn edge(&self, places: &[ReceiverPlace]) -> Result<(Nginx, Vec<Service>)> {
        let listeners = places.iter().map(|_| ports::free()).collect::<Result<Vec<[u16; 2]>>>()?;
        let addresses = listeners.iter().map(|[port, _]| address(*port));
        let nginx = Nginx::start(self.stack, &NginxOptions::for_receivers(addresses))?;
        let url = nginx.address.url();
        let mut receivers = Vec::new();
        for (place, [port, admin]) in places.iter().zip(listeners) {
            // Alone it needs no number.
            let name = match places.len() {
                1 => "receiver".to_owned(),
                _ => format!("receiver-{}", receivers.len() + 1),
            };
            let program = self
                .program(&name, "apollo-receiver")
                .env("RABBITMQ__URL", &place.broker)
                .env("RECEIVER__LISTEN", address(port))
                .env("RECEIVER__ADMIN_LISTEN", address(admin))
                .env("RECEIVER__PUBLIC_URL", &url)
                .env("RECEIVER__SPOOL_DIR", &place.spool);
            let program = match &place.disk {
                Some(disk) => disk.seen_by(program)?,
                None => program,
            };
            receivers.push(Service::start(self.stack, program, admin)?);
        }
        self.stack.update(|state| {
            state.urls.insert("consent page".to_owned(), url + "/oauth/garmin/consent");
        })?;
        Ok((nginx, receivers))
    }

    fn worker(&self, place: &WorkerPlace, number: usize) -> Result<Service> {
        let [admin] = ports::free()?;
        let program = self
            .program(&format!("worker-{number}"), "apollo-worker")
            .args(["serve"])
            .env("RABBITMQ__URL", &place.broker)
            .env("DATABASE__URL", &place.database)
            .env("WORKER__ADMIN_LISTEN", address(admin))
            // The simulated Garmin has no limit to keep.
            .env("GARMIN__REQUESTS_PER_MINUTE", "1000000")
            // As in docker-compose.yml: it takes up to 30 s to finish what it has in hand.
            .stop_limit(Duration::from_secs(60));
        Service::start(self.stack, program, admin)
    }

    fn program(&self, name: &str, binary: &str) -> Program {
        let program = self.programs.program(name, binary);
        self.garmin.environment.iter().fold(program, |program, (name, value)| program.env(name, value))
    }
}

pub(crate) fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

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
