//! What operators look at: a page on the admin listener, the same as JSON, and `apollo-worker status` in a terminal.
//!
//! All that is to be seen is asked for here. The broker, the database and the worker each have a time limit and are told by
//! themselves: what is away says so, and the rest is shown. Answers are kept for a moment, so that many open pages cost no
//! more than one. Figures are put into words once (`tables`) for the page and the terminal.

mod database;
pub mod figures;
mod kept;
mod needs;
mod own;
mod page;
mod queues;
mod recent;
mod routes;
pub(crate) mod tables;
pub(crate) mod words;

pub use own::Own;
pub(crate) use page::headline;
pub use routes::{JSON_PATH, routes};

use crate::store::schema;
use crate::summaries::Registry;
use apollo_shared::broker::Broker;
use database::OfDatabase;
use figures::{OfWorker, Part, Program, Queue, Status};
use kept::Kept;
use queues::Queues;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a look at the queues is kept, at least.
const QUEUES_KEPT: Duration = Duration::from_secs(1);

/// How long the database's answers are kept, at least.
const DATABASE_KEPT: Duration = Duration::from_secs(5);

/// How long another program's worker may take to tell of itself: longer than it waits for the database.
const WORKER_LIMIT: Duration = Duration::from_secs(6);

/// The worker that is asked for what only it knows.
pub enum Worker {
    /// This program's own.
    Own(Arc<Own>),
    /// The one whose admin listener is there.
    At(SocketAddr),
}

/// Looks at everything.
pub struct Observer {
    worker: Worker,
    pool: PgPool,
    registry: Registry,
    queues: Queues,
    kept_queues: Kept<Part<Vec<Queue>>>,
    kept_database: Kept<OfDatabase>,
}

impl Observer {
    /// An observer that has seen nothing yet.
    #[must_use]
    pub fn new(worker: Worker, pool: PgPool, broker: Broker) -> Self {
        Self {
            worker,
            pool,
            registry: Registry::new(),
            queues: Queues::new(broker),
            kept_queues: Kept::new(QUEUES_KEPT),
            kept_database: Kept::new(DATABASE_KEPT),
        }
    }

    /// How everything is, within seconds.
    pub async fn look(&self) -> Status {
        let (worker, queues, database) = tokio::join!(
            Box::pin(self.worker.look()),
            self.kept_queues.get(Box::pin(self.queues.look())),
            self.kept_database.get(Box::pin(database::look(&self.pool, &self.registry))),
        );
        let OfDatabase { schema, users, notifications, history } = database;
        let mut status = Status {
            at: OffsetDateTime::now_utc(),
            needs: Vec::new(),
            program: Program { version: env!("CARGO_PKG_VERSION"), schema: schema::known_version() },
            queues,
            worker,
            schema,
            users,
            notifications,
            history,
        };
        status.needs = needs::needs(&status);
        status
    }
}

impl Worker {
    async fn look(&self) -> Part<OfWorker> {
        match self {
            Self::Own(own) => Part::Known(own.look()),
            Self::At(address) => match ask(*address).await {
                Ok(worker) => Part::Known(worker),
                Err(_) => Part::Unknown {
                    unknown: format!("no worker of this version tells of itself at {address}"),
                },
            },
        }
    }
}

async fn ask(address: SocketAddr) -> reqwest::Result<OfWorker> {
    #[derive(serde::Deserialize)]
    struct Answer {
        worker: OfWorker,
    }
    let client = reqwest::Client::builder().no_proxy().timeout(WORKER_LIMIT).build()?;
    let answer = client.get(format!("http://{address}{JSON_PATH}")).send().await?.error_for_status()?;
    Ok(answer.json::<Answer>().await?.worker)
}
