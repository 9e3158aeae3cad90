//! A place of its own for each test: an empty migrated database and an empty virtual host.

use crate::Result;
use crate::broker::Broker;
use crate::programs::{RunningReceiver, RunningWorker};
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use std::collections::BTreeMap;
use uuid::Uuid;
use xtask::stack::{PostgresAddress, RabbitMqAddress, of_tests};

/// The tables of summaries.
pub const TABLES: [&str; 5] =
    ["daily_summary", "epoch_summary", "sleep_summary", "stress_summary", "user_metrics"];

/// A database and a virtual host, removed again when the test is over.
pub struct Site {
    name: String,
    postgres: PostgresAddress,
    rabbitmq: RabbitMqAddress,
    /// The database.
    pub pool: PgPool,
}

impl Site {
    /// On the run's own servers.
    ///
    /// # Errors
    /// The tests were not started by `cargo xtask test`, or a server refuses.
    pub async fn new() -> Result<Self> {
        let stack = of_tests()?;
        Self::on(stack.postgres, stack.rabbitmq).await
    }

    /// On servers that the test has started for itself.
    ///
    /// # Errors
    /// A server refuses.
    pub async fn on(postgres: PostgresAddress, rabbitmq: RabbitMqAddress) -> Result<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        postgres.create_database(&name)?;
        rabbitmq.create_vhost(&name)?;
        let options = postgres.url(&name).parse()?;
        apollo_worker::store::schema::migrate(&options).await?;
        // A connection that an outage has broken is replaced, not handed out.
        let pool =
            PgPoolOptions::new().max_connections(2).test_before_acquire(true).connect_lazy_with(options);
        Ok(Self { name, postgres, rabbitmq, pool })
    }

    /// The database's address.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.postgres.url(&self.name)
    }

    /// The virtual host's address.
    #[must_use]
    pub fn rabbitmq_url(&self) -> String {
        self.rabbitmq.url(&self.name)
    }

    /// A receiver in this process, ready; `arguments` are options of `apollo-receiver`.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn receiver(&self, arguments: &[&str]) -> Result<RunningReceiver> {
        let receiver = self.starting_receiver(arguments).await?;
        receiver.ready().await?;
        Ok(receiver)
    }

    /// A receiver in this process, not necessarily ready.
    ///
    /// # Errors
    /// It does not start.
    pub async fn starting_receiver(&self, arguments: &[&str]) -> Result<RunningReceiver> {
        RunningReceiver::start(&self.rabbitmq_url(), arguments).await
    }

    /// A worker in this process, ready; `arguments` are options of `apollo-worker serve`.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn worker(&self, arguments: &[&str]) -> Result<RunningWorker> {
        let worker = self.starting_worker(arguments).await?;
        worker.ready().await?;
        Ok(worker)
    }

    /// A worker in this process, not necessarily ready.
    ///
    /// # Errors
    /// It does not start.
    pub async fn starting_worker(&self, arguments: &[&str]) -> Result<RunningWorker> {
        RunningWorker::start(&self.database_url(), &self.rabbitmq_url(), arguments).await
    }

    /// A connection to publish and look into queues with.
    ///
    /// # Errors
    /// RabbitMQ refuses.
    pub async fn broker(&self) -> Result<Broker> {
        Broker::connect(&self.rabbitmq_url()).await
    }

    /// Every row of every table of summaries, versions included, in the order of the keys.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn rows(&self) -> Result<BTreeMap<&'static str, Vec<Value>>> {
        let mut rows = BTreeMap::new();
        for table in TABLES {
            rows.insert(table, self.rows_of(table).await?);
        }
        Ok(rows)
    }

    /// Every row of one table of summaries, in the order of the keys.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn rows_of(&self, table: &str) -> Result<Vec<Value>> {
        let sql = format!("SELECT to_jsonb(t) FROM garmin_wellness.{table} AS t ORDER BY to_jsonb(t)::text");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&self.pool).await?)
    }

    /// What a query that counts says.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query(sql).fetch_one(&self.pool).await?.try_get(0)?)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The servers end with the run; what cannot be removed now is removed then.
        let _ = self.rabbitmq.delete_vhost(&self.name);
        let _ = self.postgres.drop_database(&self.name);
    }
}
