//! The Apollo that is going to be broken: two receivers, two workers, and a proxy on each of their connections.

use std::path::Path;

use anyhow::{Context, Result};

use super::schedule::{Link, Place};
use crate::{
    stack::{
        Apollo, DATABASE, Layout, PostgresAddress, ProcessIdentity, Proxy, ReceiverPlace, Service, SmallDisk,
        Stack, WorkerPlace, postgres, rabbitmq,
    },
    ui,
};

/// Two, so that one can take what the other cannot.
pub(super) const RECEIVERS: usize = 2;
pub(super) const WORKERS: usize = 2;
/// The first receiver's spool has no more; the other has the machine's disk.
const SMALL_DISK_BYTES: u64 = 32 << 20;

/// Everything that runs, in the order in which it is stopped.
pub(super) struct Site {
    pub(super) apollo: Apollo,
    /// `None` where none can be made.
    pub(super) disk: Option<SmallDisk>,
    links: Links,
    pub(super) stack: Stack,
}

/// The proxies, by the number of the program whose connections they are.
struct Links {
    receivers_to_broker: Vec<Proxy>,
    workers_to_broker: Vec<Proxy>,
    workers_to_database: Vec<Proxy>,
}

impl Site {
    /// Starts Apollo on a stack, with the programs in the folder `binaries`; `plan` are the simulator's options that say
    /// who has an account at Garmin.
    pub(super) fn start(stack: Stack, binaries: &Path, plan: Vec<String>) -> Result<Self> {
        let disk = SmallDisk::start(&stack.folder, SMALL_DISK_BYTES);
        let disk =
            disk.inspect_err(|error| ui::detail(format_args!("there is no small disk: {error:#}"))).ok();
        let links = Links::to(&stack)?;
        let layout = Layout {
            receivers: links.receivers(&stack, disk.as_ref())?,
            workers: links.workers(&stack),
            accounts: plan,
        };
        let apollo = Apollo::start(&stack, binaries, layout)?;
        Ok(Self { apollo, disk, links, stack })
    }

    /// Receivers and workers.
    pub(super) fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        self.apollo.receivers.iter_mut().chain(&mut self.apollo.workers)
    }

    /// The first process of a part.
    pub(super) fn process(&self, place: Place) -> Result<ProcessIdentity> {
        let name = match place {
            Place::Receiver(number) => return Ok(self.apollo.receivers[number].identity()),
            Place::Worker(number) => return Ok(self.apollo.workers[number].identity()),
            Place::Broker => "rabbitmq",
            Place::Database => "postgres",
            Place::Edge | Place::Link(..) => "nginx",
        };
        let processes = self.stack.folder.state().processes;
        let process = processes.iter().rev().find(|process| process.name == name);
        Ok(process.with_context(|| format!("{name} does not run"))?.identity)
    }

    /// The proxies of a link, or the one of a program.
    pub(super) fn link(&self, link: Link, number: Option<usize>) -> &[Proxy] {
        let proxies = match link {
            Link::ReceiverToBroker => &self.links.receivers_to_broker,
            Link::WorkerToBroker => &self.links.workers_to_broker,
            Link::WorkerToDatabase => &self.links.workers_to_database,
        };
        number.map_or(proxies, |number| &proxies[number..=number])
    }
}

impl Links {
    fn to(stack: &Stack) -> Result<Self> {
        let (broker, database) = (stack.rabbitmq.address.amqp_port, stack.postgres.address.port);
        let proxies =
            |count, upstream| (0..count).map(|_| Proxy::start(upstream)).collect::<Result<Vec<_>>>();
        Ok(Self {
            receivers_to_broker: proxies(RECEIVERS, broker)?,
            workers_to_broker: proxies(WORKERS, broker)?,
            workers_to_database: proxies(WORKERS, database)?,
        })
    }

    fn receivers(&self, stack: &Stack, disk: Option<&SmallDisk>) -> Result<Vec<ReceiverPlace>> {
        let place = |(number, proxy): (usize, &Proxy)| {
            let disk = disk.filter(|_| number == 0).cloned();
            let spool = match &disk {
                Some(disk) => disk.folder().join("spool"),
                None => stack.folder.subfolder(&format!("spool-{}", number + 1))?,
            };
            Ok(ReceiverPlace { broker: broker_behind(stack, proxy, rabbitmq::RECEIVER), spool, disk })
        };
        self.receivers_to_broker.iter().enumerate().map(place).collect()
    }

    fn workers(&self, stack: &Stack) -> Vec<WorkerPlace> {
        let pairs = self.workers_to_broker.iter().zip(&self.workers_to_database);
        let place = |(broker, database): (&Proxy, &Proxy)| WorkerPlace {
            broker: broker_behind(stack, broker, rabbitmq::WORKER),
            database: PostgresAddress { port: database.port() }.url_of(postgres::WORKER, DATABASE),
        };
        pairs.map(place).collect()
    }
}

fn broker_behind(stack: &Stack, proxy: &Proxy, user: &str) -> String {
    stack.rabbitmq.address.behind(proxy).url_of(user, "/")
}
