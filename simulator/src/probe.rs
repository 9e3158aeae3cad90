//! Asks several times a second whether a receiver still acknowledges.
//!
//! A question that gets no answer must not hide that the next would have got one: each is sent at its time, whatever
//! became of those before. None is repeated, so that every 200 is about a row of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Request, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::delivery::Refusal;
use crate::plan::{Notification, SummaryCounts};
use crate::sender::{SendError, SendOptions};

/// Garmin's id of the user whose days the questions are. No plan has such a user.
pub const PROBE_USER: &str = "apollo-probe";

/// The start of the day of question 0, in Unix seconds; each further one starts a second later. Its steps are its number.
const FIRST_START: u64 = 1_700_000_000;

/// What to ask, and how often.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// Where and how to send. A rate, pauses and attempts do not matter here.
    pub send: SendOptions,
    /// Between two questions.
    pub pause: Duration,
    /// A new file: a line for each 200 with the question's number and the time of its answer in milliseconds since 1970.
    pub record: PathBuf,
}

/// Asks until `cancellation` fires, waits for the answers that are under way, and says how many got which answer.
///
/// # Errors
/// The options cannot work, or the record cannot be written.
pub async fn probe(
    options: &ProbeOptions,
    cancellation: CancellationToken,
) -> Result<BTreeMap<String, u64>, SendError> {
    let client = options.send.client()?;
    let record = File::options().append(true).create_new(true).open(&options.record);
    let record = Arc::new(record.map_err(SendError::Record)?);
    let mut ticks = interval(options.pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asked = JoinSet::new();
    let mut number = 0;
    let mut answers = BTreeMap::new();
    while cancellation.run_until_cancelled(ticks.tick()).await.is_some() {
        let request = options.send.request(&client, question(number))?;
        asked.spawn(ask(client.clone(), request, number, Arc::clone(&record)));
        number += 1;
        while let Some(answer) = asked.try_join_next() {
            count(&mut answers, answer)?;
        }
    }
    while let Some(answer) = asked.join_next().await {
        count(&mut answers, answer)?;
    }
    Ok(answers)
}

type Answer = Result<Result<String, SendError>, tokio::task::JoinError>;

fn count(answers: &mut BTreeMap<String, u64>, answer: Answer) -> Result<(), SendError> {
    let answer = answer.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    *answers.entry(answer).or_default() += 1;
    Ok(())
}

fn question(number: u64) -> Notification {
    let day = json!({"userId": PROBE_USER, "startTimeInSeconds": FIRST_START + number, "steps": number});
    let body = json!({"dailies": [day]}).to_string().into_bytes();
    Notification { endpoint: Some("dailies"), body, summaries: SummaryCounts::new(), days_over: 0 }
}

/// The status, or a word for what happened instead.
async fn ask(client: Client, request: Request, number: u64, record: Arc<File>) -> Result<String, SendError> {
    let answer = match client.execute(request).await {
        Ok(response) => response.status(),
        Err(error) => return Ok(Refusal::by_connection(&error).reason),
    };
    if answer == StatusCode::OK {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        (&*record).write_all(format!("{number} {now}\n").as_bytes()).map_err(SendError::Record)?;
    }
    Ok(answer.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::tests::Server;

    #[tokio::test]
    async fn each_200_is_recorded_and_nothing_is_asked_twice() {
        let cancellation = CancellationToken::new();
        let enough = cancellation.clone();
        let server = Server::start(move |number| {
            if number == 20 {
                enough.cancel();
            }
            if number % 2 == 0 { "200 OK" } else { "503 Service Unavailable" }
        });
        let folder = tempfile::tempdir().unwrap();
        let options = ProbeOptions {
            send: SendOptions::new(server.url.clone()),
            pause: Duration::from_millis(1),
            record: folder.path().join("probed.log"),
        };
        let answers = probe(&options, cancellation).await.unwrap();

        let record = std::fs::read_to_string(&options.record).unwrap();
        assert_eq!(answers["200"], record.lines().count() as u64);
        assert!(answers["200"] >= 11 && answers["503"] >= 10, "{answers:?}");
        let mut bodies: Vec<_> = server.received().into_iter().map(|received| received.body).collect();
        assert_eq!(bodies.len() as u64, answers.values().sum::<u64>());
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len() as u64, answers.values().sum::<u64>(), "one was asked twice");
        let line = record.lines().next().unwrap();
        let (number, _time) = line.split_once(' ').unwrap();
        let steps = format!("\"steps\":{number},");
        assert!(bodies.iter().any(|body| String::from_utf8_lossy(body).contains(&steps)), "{line}");
    }
}
