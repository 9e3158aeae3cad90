//! A place of its own for each test: an empty migrated database and an empty virtual host.

use crate::Result;
use crate::broker::Broker;
use crate::json::Json;
use crate::programs::{RunningReceiver, RunningWorker, SECRETS_KEYS};
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_worker::message::Message;
use apollo_worker::store::archive::Sealed;
use apollo_worker::store::schema;
use apollo_worker::summaries::Registry;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use std::collections::BTreeMap;
use uuid::Uuid;
use xtask::stack::{PostgresAddress, Proxy, RabbitMqAddress, of_tests, postgres, rabbitmq};

/// The tables of summaries.
pub fn tables() -> impl Iterator<Item = &'static str> {
    Registry::new().tables().iter().map(|table| table.summary_type.table).collect::<Vec<_>>().into_iter()
}

/// A database and a virtual host, removed again when the test is over.
pub struct Site {
    name: String,
    postgres: PostgresAddress,
    rabbitmq: RabbitMqAddress,
    /// The addresses that programs are told.
    pub addresses: Addresses,
    /// The database, as its superuser.
    pub pool: PgPool,
}

/// Addresses of the database and of the virtual host, each with the least user for its purpose.
pub struct Addresses {
    /// The database's, as its owner.
    pub owner_database: String,
    /// The database's, as the worker.
    pub worker_database: String,
    /// The virtual host's, as the worker.
    pub worker_broker: String,
    /// The virtual host's, as the receiver.
    pub receiver_broker: String,
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
        let addresses = Addresses {
            owner_database: postgres.url_of(postgres::OWNER, &name),
            worker_database: postgres.url_of(postgres::WORKER, &name),
            worker_broker: rabbitmq.url_of(rabbitmq::WORKER, &name),
            receiver_broker: rabbitmq.url_of(rabbitmq::RECEIVER, &name),
        };
        schema::migrate(&addresses.owner_database.parse()?, postgres::WORKER).await?;
        // As a worker does that was started before: a receiver alone may not.
        Broker::connect(&addresses.worker_broker).await?;
        let options = postgres.url(&name).parse()?;
        // A connection that an outage has broken is replaced, not handed out.
        let pool =
            PgPoolOptions::new().max_connections(2).test_before_acquire(true).connect_lazy_with(options);
        Ok(Self { name, postgres, rabbitmq, addresses, pool })
    }

    /// What the database and the virtual host are called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database's address, for the worker.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.addresses.worker_database.clone()
    }

    /// The database's address, for the worker, by way of a proxy.
    ///
    /// # Errors
    /// No port is free.
    pub fn database_proxy(&self) -> Result<(Proxy, String)> {
        let proxy = Proxy::start(self.postgres.port)?;
        let address = PostgresAddress { port: proxy.port() };
        Ok((proxy, address.url_of(postgres::WORKER, &self.name)))
    }

    /// How its owner connects to the database.
    ///
    /// # Errors
    /// The address is malformed.
    pub fn owner(&self) -> Result<PgConnectOptions> {
        Ok(self.addresses.owner_database.parse()?)
    }

    /// The virtual host's address, for the worker.
    #[must_use]
    pub fn rabbitmq_url(&self) -> String {
        self.addresses.worker_broker.clone()
    }

    /// The virtual host's address, for the worker, by way of a proxy.
    ///
    /// # Errors
    /// No port is free.
    pub fn rabbitmq_proxy(&self) -> Result<(Proxy, String)> {
        let proxy = Proxy::start(self.rabbitmq.amqp_port)?;
        let address = self.rabbitmq.behind(&proxy);
        Ok((proxy, address.url_of(rabbitmq::WORKER, &self.name)))
    }

    /// The virtual host's address, for the receiver.
    #[must_use]
    pub fn receiver_rabbitmq_url(&self) -> String {
        self.addresses.receiver_broker.clone()
    }

    /// A receiver in this process, connected; `arguments` are options of `apollo-receiver`.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn receiver(&self, arguments: &[&str]) -> Result<RunningReceiver> {
        let receiver = self.starting_receiver(arguments).await?;
        receiver.connected().await?;
        Ok(receiver)
    }

    /// A receiver in this process, not necessarily ready.
    ///
    /// # Errors
    /// It does not start.
    pub async fn starting_receiver(&self, arguments: &[&str]) -> Result<RunningReceiver> {
        RunningReceiver::start(&self.receiver_rabbitmq_url(), "127.0.0.1:0", arguments).await
    }

    /// A receiver in this process, connected, at an address that something else knows already.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn receiver_at(&self, listen: &str, arguments: &[&str]) -> Result<RunningReceiver> {
        let receiver = RunningReceiver::start(&self.receiver_rabbitmq_url(), listen, arguments).await?;
        receiver.connected().await?;
        Ok(receiver)
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

    /// A worker in this process, ready, that reaches the database by another address.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn worker_of(&self, database_url: &str, arguments: &[&str]) -> Result<RunningWorker> {
        let worker = RunningWorker::start(database_url, &self.rabbitmq_url(), arguments).await?;
        worker.ready().await?;
        Ok(worker)
    }

    /// A connection to publish and look into queues with, as the broker's administrator.
    ///
    /// # Errors
    /// RabbitMQ refuses.
    pub async fn broker(&self) -> Result<Broker> {
        Broker::connect(&self.rabbitmq.url(&self.name)).await
    }

    /// Every row of every table of summaries, versions included, in the order of the keys.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn rows(&self) -> Result<BTreeMap<&'static str, Vec<Value>>> {
        self.rows_of_users_like("").await
    }

    /// The rows of users whose ids start with `prefix`, of every table of summaries, in the order of the keys.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn rows_of_users_like(&self, prefix: &str) -> Result<BTreeMap<&'static str, Vec<Value>>> {
        let mut rows = BTreeMap::new();
        for table in tables() {
            let sql = format!(
                "SELECT to_jsonb(t) FROM garmin_wellness.{table} AS t WHERE starts_with(user_id, $1)
                 ORDER BY to_jsonb(t)::text"
            );
            let of_table = sqlx::query_scalar(AssertSqlSafe(sql)).bind(prefix).fetch_all(&self.pool).await?;
            rows.insert(table, of_table);
        }
        Ok(rows)
    }

    /// Every row of one table of summaries, with numbers as PostgreSQL writes them.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn exact_rows_of(&self, table: &str) -> Result<Vec<Json>> {
        let sql = format!("SELECT to_jsonb(t)::text FROM garmin_wellness.{table} AS t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Json::parse(row)).collect()
    }

    /// The rows of these users, of every table of summaries, with numbers as PostgreSQL writes them.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn exact_rows_of_users(&self, user_ids: &[String]) -> Result<Vec<Json>> {
        let selects = tables().map(|table| {
            format!("SELECT to_jsonb(t)::text FROM garmin_wellness.{table} AS t WHERE user_id = ANY($1)")
        });
        let sql = selects.collect::<Vec<_>>().join(" UNION ALL ");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(user_ids).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Json::parse(row)).collect()
    }

    /// The newest of the notifications that are kept as received, opened.
    ///
    /// # Errors
    /// The database refuses, or it cannot be opened.
    pub async fn newest_notification(&self) -> Result<Option<Message>> {
        let keyring = Keyring::new(&SecretsConfig { keys: SECRETS_KEYS.into() })?;
        let newest = "SELECT message_id, received_at, endpoint, body FROM garmin_raw.notification
                      ORDER BY received_at DESC, message_id DESC LIMIT 1";
        let sealed: Option<Sealed> = sqlx::query_as(newest).fetch_optional(&self.pool).await?;
        Ok(sealed.map(|sealed| sealed.open(&keyring)).transpose()?)
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
