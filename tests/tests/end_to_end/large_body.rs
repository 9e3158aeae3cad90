//! A body of 90 MB is many ordinary messages: acknowledged at once, stored completely, in bounded memory.

use apollo_tests::Result;
use apollo_tests::programs::SECRETS_KEYS;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use reqwest::{Client, StatusCode};
use std::fmt::Write as _;
use xtask::stack::process::{Process, Program};
use xtask::stack::{StackFolder, of_tests};

const MEGABYTE: u64 = 1024 * 1024;

/// Epochs of one user, one after the other, in a body of about `bytes`. Returns it and their number.
fn epochs(bytes: usize) -> (String, i64) {
    let mut body = String::with_capacity(bytes + 1000);
    let mut count = 0;
    body.push_str(r#"{"epochs":["#);
    while body.len() < bytes {
        let comma = if count > 0 { "," } else { "" };
        let start = 1_600_000_000 + count * 900;
        let _ = write!(
            body,
            r#"{comma}{{"userId":"u","startTimeInSeconds":{start},"durationInSeconds":900,"activityType":"WALKING","note":"{}"}}"#,
            "x".repeat(800)
        );
        count += 1;
    }
    body.push_str("]}");
    (body, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn ninety_megabytes_are_taken_at_once_and_stored_in_bounded_memory() -> Result<()> {
    let site = Site::new().await?;
    let folder = StackFolder::create("large")?;
    let start = |name: &str, arguments: &[&str], listen: &str, broker: String| -> Result<Process> {
        let program = Program::new(name, of_tests()?.binary(name))
            .args(arguments)
            .env("DATABASE__URL", site.database_url())
            .env("RABBITMQ__URL", broker)
            .env("SECRETS__KEYS", SECRETS_KEYS)
            .env("WORKER__ADMIN_LISTEN", listen)
            .env("RECEIVER__ADMIN_LISTEN", listen)
            .env("RECEIVER__LISTEN", "127.0.0.1:0");
        Ok(Process::start(&folder, program)?)
    };
    let receiver = start("apollo-receiver", &[], "127.0.0.1:0", site.receiver_rabbitmq_url())?;
    let worker = start("apollo-worker", &["serve"], "127.0.0.1:0", site.rabbitmq_url())?;
    let url = eventually("the receiver says where it listens", async || {
        let log = std::fs::read_to_string(receiver.log()).ok()?;
        let (_, rest) = log.split_once("listening on ")?;
        Some(rest.split([',', ' ', '\n']).next()?.to_owned())
    })
    .await?;

    let (body, count) = epochs(90 * MEGABYTE as usize);
    let post = async || {
        let path = format!("{url}/api_client/garmin/epochs");
        let answer = Client::new().post(path).body(body.clone()).send().await.ok()?;
        (answer.status() == StatusCode::OK).then_some(())
    };
    eventually("the body is acknowledged", post).await?;
    let stored = async || {
        let rows = site.count("SELECT count(*) FROM garmin_wellness.epoch_summary").await.ok()?;
        (rows == count).then_some(())
    };
    eventually("every entry is stored", stored).await?;

    let messages = site.count("SELECT count(*) FROM garmin_raw.notification").await?;
    assert!(messages >= 90, "{messages} messages only");
    // The body once, its copy on the way to the broker once, and what the program is without them.
    let of_receiver = receiver.peak_memory().ok_or("no figure")? / MEGABYTE;
    assert!(of_receiver < 90 * 2 + 60, "the receiver took {of_receiver} MiB");
    // Two batches of 8 MiB, their rows, and a prefetch of as many more.
    let of_worker = worker.peak_memory().ok_or("no figure")? / MEGABYTE;
    assert!(of_worker < 300, "the worker took {of_worker} MiB");
    println!("peak memory for a body of 90 MB: receiver {of_receiver} MiB, worker {of_worker} MiB");
    Ok(())
}
