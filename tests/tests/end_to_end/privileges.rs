//! What the users of the two programs may do, and what not, on the real broker and database.

use apollo_shared::topology::{DEAD, EXCHANGE, OUTCOMES};
use apollo_tests::Result;
use apollo_tests::programs::WITHOUT_SPOOL;
use apollo_tests::site::Site;
use apollo_worker::store::schema;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind};
use reqwest::{Client, StatusCode};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::process::Command;
use xtask::stack::postgres::WORKER;
use xtask::stack::{of_tests, rabbitmq};

const DAILIES: &str = "/api_client/garmin/dailies";
const DAILY: &str = r#"{"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200, "steps": 1}]}"#;

/// A user's connection; what is refused closes its channel.
struct User(Connection);

impl User {
    async fn connect(url: &str) -> Result<Self> {
        Ok(Self(Connection::connect(url, ConnectionProperties::default()).await?))
    }

    async fn may(&self, does: impl AsyncFnOnce(Channel) -> lapin::Result<()>) -> Result<bool> {
        match does(self.0.create_channel().await?).await {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(refusal) if refusal.get_id() == 403 => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    async fn may_publish(&self, exchange: &str, routing_key: &str) -> Result<bool> {
        self.may(async |channel| {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let properties = BasicProperties::default();
            let options = BasicPublishOptions::default();
            channel
                .basic_publish(exchange.into(), routing_key.into(), options, b"{}", properties)
                .await?
                .await?;
            Ok(())
        })
        .await
    }

    async fn may_take(&self, queue: &str) -> Result<bool> {
        let consumes = self.may(async |channel| {
            let options = BasicConsumeOptions::default();
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.map(drop)
        });
        let gets = self
            .may(async |channel| channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop));
        Ok(consumes.await? | gets.await?)
    }

    async fn may_declare(&self, queue: &str) -> Result<bool> {
        self.may(async |channel| {
            let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
            channel.queue_declare(queue.into(), options, FieldTable::default()).await.map(drop)
        })
        .await
    }

    async fn may_bind(&self, queue: &str, exchange: &str) -> Result<bool> {
        self.may(async |channel| {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.into(), exchange.into(), "#".into(), options, FieldTable::default())
                .await
        })
        .await
    }

    async fn may_destroy(&self, queue: &str) -> Result<bool> {
        let purges = self.may(async |channel| {
            channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.map(drop)
        });
        let deletes = self.may(async |channel| {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop)
        });
        Ok(purges.await? | deletes.await?)
    }
}

/// Whether RabbitMQ's management lets a user in.
async fn may_manage(user: &str) -> Result<bool> {
    let url = of_tests()?.rabbitmq.management_url("api/overview");
    let answer = Client::new().get(url).basic_auth(user, Some(user)).send().await?;
    Ok(answer.status() != StatusCode::UNAUTHORIZED)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_user_publishes_what_garmin_sends_and_nothing_else() -> Result<()> {
    let site = Site::new().await?;
    let receiver = User::connect(&site.receiver_rabbitmq_url()).await?;
    assert!(receiver.may_publish(EXCHANGE, "push.dailies").await?);
    assert!(receiver.may_publish(EXCHANGE, "account.deregistrations").await?);
    for (exchange, routing_key) in [
        (EXCHANGE, "pull.backfill"),
        (EXCHANGE, "pushed"),
        (DEAD, "push.dailies"),
        ("apollo.retry.1", "push.dailies"),
        (OUTCOMES, ""),
        ("", "apollo.summaries"),
    ] {
        assert!(!receiver.may_publish(exchange, routing_key).await?, "{exchange} {routing_key}");
    }
    for queue in ["apollo.summaries", "apollo.account", "apollo.pull", "apollo.dead", "apollo.retry.1"] {
        assert!(!receiver.may_take(queue).await?, "takes from {queue}");
        assert!(!receiver.may_destroy(queue).await?, "destroys {queue}");
    }
    let own = "apollo.outcomes.one";
    assert!(receiver.may_declare(own).await? && receiver.may_take(own).await?);
    for exchange in [EXCHANGE, DEAD] {
        assert!(!receiver.may_bind(own, exchange).await?, "listens to {exchange}");
    }
    assert!(!receiver.may_declare("apollo.outcome").await? && !receiver.may_declare("other").await?);
    assert!(!may_manage(rabbitmq::RECEIVER).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_user_keeps_to_what_is_apollos() -> Result<()> {
    let site = Site::new().await?;
    let worker = User::connect(&site.rabbitmq_url()).await?;
    for exchange in [EXCHANGE, DEAD, OUTCOMES, "apollo.retry.1"] {
        assert!(worker.may_publish(exchange, "push.dailies").await?, "{exchange}");
    }
    assert!(worker.may_take("apollo.summaries").await? && worker.may_take("apollo.dead").await?);
    assert!(!worker.may_publish("amq.topic", "push.dailies").await?);
    assert!(!worker.may_publish("", "apollo.summaries").await?);
    assert!(!worker.may_declare("other").await? && !worker.may_declare("apollon").await?);
    assert!(!may_manage(rabbitmq::WORKER).await?);
    Ok(())
}

/// The user that KEDA looks at the queue with (docs/scaling.md): a connection, and not one permission.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_permissions_sees_how_long_a_queue_is_and_nothing_else() -> Result<()> {
    const SCALER: &str = "apollo_scaler";
    let site = Site::new().await?;
    let rabbitmq = &of_tests()?.rabbitmq;
    let user = json!({ "password": SCALER, "tags": "" });
    let none = json!({ "configure": "^$", "write": "^$", "read": "^$" });
    let permissions = format!("api/permissions/{}/{SCALER}", site.name());
    for (path, body) in [("api/users/apollo_scaler", user), (&permissions, none)] {
        let request = Client::new().put(rabbitmq.management_url(path)).basic_auth("guest", Some("guest"));
        request.json(&body).send().await?.error_for_status()?;
    }
    let scaler = User::connect(&rabbitmq.url_of(SCALER, site.name())).await?;
    let receiver = User::connect(&site.receiver_rabbitmq_url()).await?;
    assert!(receiver.may_publish(EXCHANGE, "push.dailies").await?);
    let depth = async || {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let channel = scaler.0.create_channel().await.ok()?;
        let queue = channel.queue_declare("apollo.summaries".into(), passive, FieldTable::default()).await;
        (queue.ok()?.message_count() == 1).then_some(())
    };
    apollo_tests::wait::eventually("the message is counted", depth).await?;
    assert!(!scaler.may_take("apollo.summaries").await? && !scaler.may_destroy("apollo.summaries").await?);
    assert!(!scaler.may_publish(EXCHANGE, "push.dailies").await? && !scaler.may_declare("other").await?);
    assert!(!may_manage(SCALER).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_operators_gives_both_users_their_rights() -> Result<()> {
    let stack = of_tests()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/rabbitmq/users.sh");
    let run = |password: &str| {
        let environment = [
            ("RABBITMQ_MANAGEMENT_URL", stack.rabbitmq.management_url("").trim_end_matches('/').to_owned()),
            ("RABBITMQ_USER", "guest".into()),
            ("RABBITMQ_PASSWORD", password.into()),
            ("RABBITMQ_RECEIVER_PASSWORD", rabbitmq::RECEIVER.into()),
            ("RABBITMQ_WORKER_PASSWORD", rabbitmq::WORKER.into()),
        ];
        tokio::task::block_in_place(|| Command::new("sh").arg(script).envs(environment).output())
    };
    let output = run("guest")?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let receiver = User::connect(&stack.rabbitmq.url_of(rabbitmq::RECEIVER, "/")).await?;
    assert!(receiver.may_declare("apollo.outcomes.two").await? && !receiver.may_declare("apollo").await?);
    assert!(!run("wrong")?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_queues_asks_for_a_worker_and_queues_that_vanish_come_back() -> Result<()> {
    let site = Site::new().await?;
    let broker = site.broker().await?;
    broker.delete("apollo.summaries").await?;
    let receiver = site.starting_receiver(&WITHOUT_SPOOL).await?;
    receiver.gives_reason("start a worker first").await?;
    let worker = site.worker(&[]).await?;
    receiver.ready().await?;
    receiver.accept(DAILIES, DAILY).await?;
    worker.has_stored(1).await?;

    broker.delete("apollo.summaries").await?;
    let taken = async || receiver.accept(DAILIES, DAILY).await.ok();
    apollo_tests::wait::eventually("a notification is taken again", taken).await?;
    worker.has_stored(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_declared_otherwise_is_named_with_the_way_out() -> Result<()> {
    let site = Site::new().await?;
    let broker = site.broker().await?;
    broker.delete("apollo.pull").await?;
    broker.declare_classic("apollo.pull").await?;
    let worker = site.starting_worker(&[]).await?;
    worker.gives_reason("was declared otherwise").await?;
    worker.gives_reason("queue 'apollo.pull'").await?;
    broker.delete("apollo.pull").await?;
    worker.ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_role_writes_rows_and_changes_nothing_else() -> Result<()> {
    let site = Site::new().await?;
    let mut worker = PgConnection::connect(&site.database_url()).await?;
    for allowed in [
        "SELECT garmin_raw.make_partition('2020-02-29')",
        "INSERT INTO garmin_raw.notification VALUES ('018f4e5c-0000-7000-8000-000000000000', '2020-02-29 23:00Z', 'x', '')",
        "SELECT garmin_raw.drop_partitions_before('2020-03-01')",
        "CREATE TEMPORARY TABLE own (number int)",
    ] {
        sqlx::query(allowed).execute(&mut worker).await.map_err(|error| format!("{allowed}: {error}"))?;
    }
    for forbidden in [
        "TRUNCATE garmin_wellness.daily_summary",
        "DROP TABLE garmin_wellness.daily_summary",
        "ALTER TABLE garmin_oauth.user_id ADD COLUMN more int",
        "CREATE TABLE garmin_raw.other (number int)",
        "CREATE TABLE public.other (number int)",
        "CREATE TABLE garmin_raw.notification_x PARTITION OF garmin_raw.notification DEFAULT",
        "CREATE SCHEMA other",
        "CREATE FUNCTION garmin_raw.other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX ON garmin_raw.notification (endpoint)",
        "DELETE FROM _sqlx_migrations",
        "SET ROLE apollo",
        "CREATE ROLE other",
        "COPY garmin_oauth.user_id TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/hostname')",
    ] {
        let refused = sqlx::query(AssertSqlSafe(forbidden)).execute(&mut worker).await;
        let error = refused.err().ok_or_else(|| format!("allowed: {forbidden}"))?;
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{forbidden}: {error}");
    }
    let outsiders = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'garmin_raw'::regnamespace
                     AND has_function_privilege('pg_monitor', oid, 'EXECUTE')";
    assert_eq!(site.count(outsiders).await?, 0, "anybody may call the owner's functions");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_grant_is_named_and_the_next_migration_gives_it() -> Result<()> {
    let site = Site::new().await?;
    for (revoked, named) in [
        (
            "REVOKE UPDATE ON garmin_wellness.sleep_summary FROM apollo_worker",
            "garmin_wellness.sleep_summary",
        ),
        ("REVOKE SELECT ON _sqlx_migrations FROM apollo_worker", "_sqlx_migrations"),
        (
            "REVOKE EXECUTE ON FUNCTION garmin_raw.make_partition(date) FROM apollo_worker",
            "garmin_raw.make_partition(date)",
        ),
    ] {
        sqlx::query(revoked).execute(&site.pool).await?;
        let worker = site.starting_worker(&[]).await?;
        worker.gives_reason(named).await?;
        worker.gives_reason("let the database's owner run `apollo-worker migrate`").await?;
        schema::migrate(&site.owner()?, WORKER).await?;
        worker.ready().await?;
    }
    Ok(())
}
