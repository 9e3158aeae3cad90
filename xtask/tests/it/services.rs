//! PostgreSQL and RabbitMQ: started, used, stopped, killed, started again, two of each side by side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::stack::{PostgreSql, RabbitMq, RabbitMqAddress, Stack, StackFolder, StackState};

/// Publishes one persistent message to a durable queue by the management API.
fn publish(address: &RabbitMqAddress, vhost: &str, queue: &str) -> Result<()> {
    let call = |method: &str, path: &str, body: serde_json::Value| -> Result<serde_json::Value> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(address.management_url(path))
            .header("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")
            .header("content-type", "application/json")
            .body(body.to_string())?;
        let text = ureq::run(request)?.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    };
    let declaration = serde_json::json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    call("PUT", &format!("api/queues/{vhost}/{queue}"), declaration)?;
    let message = serde_json::json!({
        "routing_key": queue, "payload": "hello", "payload_encoding": "string", "properties": {"delivery_mode": 2},
    });
    let published = call("POST", &format!("api/exchanges/{vhost}/amq.default/publish"), message)?;
    ensure!(published["routed"] == true, "the message went nowhere: {published}");
    Ok(())
}

fn has_depth(address: &RabbitMqAddress, vhost: &str, queue: &str, depth: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = address.queue_depth(vhost, queue)?;
        if found == Some(depth) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the depth of {queue} is {found:?}, not {depth}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn postgres_keeps_what_was_committed_through_stop_and_crash() -> Result<()> {
    let folder = StackFolder::create("postgres")?;
    let mut postgres = PostgreSql::start(&folder)?;
    postgres.create_database("apollo")?;
    let url = postgres.url("apollo");
    let address = postgres.address.clone();
    assert_eq!(address.query("apollo", "SHOW fsync")?, "on");
    assert_eq!(address.query("apollo", "SHOW server_encoding")?, "UTF8");
    assert_eq!(address.query("apollo", "SHOW listen_addresses")?, "127.0.0.1");

    address.execute("apollo", "CREATE TABLE kept AS SELECT 1 AS number")?;
    postgres.stop()?;
    assert!(address.query("apollo", "SELECT 1").is_err(), "it was stopped");
    postgres.restart()?;
    address.execute("apollo", "INSERT INTO kept VALUES (2)")?;
    postgres.kill()?;
    postgres.restart()?;
    assert_eq!(postgres.url("apollo"), url, "the port stays");
    assert_eq!(address.query("apollo", "SELECT sum(number) FROM kept")?, "3");

    address.drop_database("apollo")?;
    let error = address.query("apollo", "SELECT 1").unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    Ok(())
}

#[test]
fn rabbitmq_keeps_confirmed_messages_through_stop_and_kill() -> Result<()> {
    let folder = StackFolder::create("rabbitmq")?;
    let mut rabbitmq = RabbitMq::start(&folder)?;
    let (address, url) = (rabbitmq.address.clone(), rabbitmq.url("kept"));
    rabbitmq.create_vhost("kept")?;
    assert_eq!(rabbitmq.queue_depth("kept", "queue")?, None, "there is no queue yet");
    publish(&address, "kept", "queue")?;
    has_depth(&address, "kept", "queue", 1)?;

    rabbitmq.stop()?;
    assert!(address.queue_depth("kept", "queue").is_err(), "it was stopped");
    rabbitmq.restart()?;
    publish(&address, "kept", "queue")?;
    rabbitmq.kill()?;
    rabbitmq.restart()?;
    assert_eq!(rabbitmq.url("kept"), url, "the port stays");
    has_depth(&address, "kept", "queue", 2)?;
    assert!(rabbitmq.peak_memory().context("it is running")? > 10_000_000);

    address.delete_vhost("kept")?;
    assert!(address.delete_vhost("kept").is_err(), "it is gone");
    Ok(())
}

#[test]
fn two_stacks_run_side_by_side_and_leave_nothing() -> Result<()> {
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| Stack::start("side"));
        let other = Stack::start("side");
        (one.join().unwrap(), other)
    });
    let (one, other) = (one?, other?);
    one.postgres.create_database("same")?;
    other.postgres.create_database("same")?;
    one.rabbitmq.create_vhost("same")?;
    other.rabbitmq.create_vhost("same")?;
    assert_ne!(one.postgres.url("same"), other.postgres.url("same"));
    assert_ne!(one.rabbitmq.url("same"), other.rabbitmq.url("same"));

    let state = one.folder.state();
    let recorded = StackState::read(&one.folder.path().join(xtask::stack::STACK_FILE))?;
    assert_eq!(recorded.postgres.context("recorded")?.port, one.postgres.address.port);
    let path = one.folder.path().to_owned();
    drop(one);
    assert!(!path.exists(), "the folder goes with the stack");
    for process in &state.processes {
        assert!(!process.identity.is_alive(), "{} still runs", process.name);
    }
    assert_eq!(other.postgres.address.query("same", "SELECT 1")?, "1", "the other one is not affected");
    Ok(())
}
