//! Sending to a small HTTP server on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::plan::Notification;
use crate::record::Record;

/// A POST as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    path: String,
    headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// A server that answers its n-th POST with the status line (and headers) that `answer` gives for it.
pub(crate) struct Server {
    pub(crate) url: Url,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(usize) -> &'static str + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(read_request(&stream));
                    seen.len() - 1
                };
                write!(
                    stream,
                    "HTTP/1.1 {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    answer(number)
                )
                .unwrap();
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Received {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let path = head[0].strip_prefix("POST ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    Received { path, headers: head[1..].to_vec(), body }
}

/// One household of five, or fewer.
fn plan() -> Plan {
    Plan { users: 3, days: 1, seed: 5, sample_interval_seconds: Some(7_200) }
}

fn planned() -> Vec<Notification> {
    plan().groups().flat_map(|group| group.notifications()).collect()
}

pub(crate) fn options(server: &Server) -> SendOptions {
    let milliseconds = Duration::from_millis;
    SendOptions {
        first_pause: milliseconds(1),
        longest_pause: milliseconds(5),
        ..SendOptions::new(server.url.clone())
    }
}

async fn send_all(options: &SendOptions) -> SendReport {
    send(&plan(), options, CancellationToken::new(), |_| ()).await.unwrap()
}

#[tokio::test]
async fn every_notification_arrives_in_order_as_garmin_sends_it() {
    let server = Server::start(|_| "200 OK");
    let mut options = options(&server);
    options.base.set_path("/s3cret/");
    options.client_id = Some("apollo-study".to_owned());
    let report = send_all(&options).await;

    let planned = planned();
    let received = server.received();
    assert_eq!(received.len(), planned.len());
    for (received, planned) in received.iter().zip(&planned) {
        let endpoint = planned.endpoint.map(|endpoint| format!("/{endpoint}")).unwrap_or_default();
        assert_eq!(received.path, format!("/s3cret/api_client/garmin{endpoint}"));
        assert_eq!(received.body, planned.body);
        for header in [
            "content-type: application/json;charset=UTF-8",
            "user-agent: Garmin Health API",
            "garmin-client-id: apollo-study",
        ] {
            assert!(received.headers.iter().any(|line| line == header), "{header}");
        }
    }

    assert!(report.complete);
    assert_eq!(report.acknowledged, [planned.len() as u64]);
    assert_eq!(report.progress.posts, planned.len() as u64);
    assert_eq!(report.progress.user_days, 3);
    let summaries: u64 = planned.iter().flat_map(|notification| notification.summaries.values()).sum();
    assert_eq!(report.progress.summaries_total(), summaries);
    assert!(report.progress.refusals.is_empty());
    assert!(report.latency.max_ms > 0.0);
}

#[tokio::test]
async fn what_is_not_answered_exactly_200_is_sent_again() {
    let server = Server::start(|number| match number {
        0 => "503 Service Unavailable",
        1 => "201 Created",
        2 => "302 Found\r\nlocation: /elsewhere",
        _ => "200 OK",
    });
    let report = send_all(&options(&server)).await;

    assert!(report.complete);
    let refusals: Vec<_> =
        report.progress.refusals.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(refusals, [("201", 1), ("302", 1), ("503", 1)]);
    assert_eq!(report.progress.posts, report.progress.notifications + 3);
    let received = server.received();
    let planned = planned();
    assert!(received[..4].iter().all(|received| received.body == planned[0].body));
    assert_eq!(received[4].body, planned[1].body);
}

#[tokio::test]
async fn the_sending_ends_when_a_notification_is_refused_too_often() {
    let server = Server::start(|number| if number < 2 { "200 OK" } else { "500 Internal Server Error" });
    let report = send_all(&SendOptions { max_attempts: Some(3), ..options(&server) }).await;

    assert!(!report.complete);
    assert!(report.given_up);
    assert_eq!(report.acknowledged, [2]);
    assert_eq!(report.progress.refusals["500"], 3);
    assert_eq!(server.received().len(), 5);
}

#[tokio::test]
async fn a_refused_connection_counts_as_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let base = format!("http://{address}").parse().unwrap();
    let options = SendOptions {
        first_pause: Duration::from_millis(1),
        max_attempts: Some(2),
        ..SendOptions::new(base)
    };
    let report = send_all(&options).await;
    assert_eq!(report.progress.refusals["connect"], 2);
    assert!(report.progress.last_refusal.unwrap().contains("refused"));
    assert_eq!(report.acknowledged, [0]);
}

#[tokio::test]
async fn an_hour_of_retry_after_is_not_waited_for() {
    let server = Server::start(|number| match number {
        0 => "503 Service Unavailable\r\nretry-after: 3600",
        _ => "200 OK",
    });
    let report = send_all(&options(&server)).await;
    assert!(report.complete);
    assert!(report.seconds < 60.0);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = Server::start(|number| match number {
        0 => "503 Service Unavailable\r\nretry-after: 1",
        _ => "200 OK",
    });
    let report = send_all(&SendOptions { longest_pause: Duration::from_secs(5), ..options(&server) }).await;
    assert!(report.complete);
    assert!(report.seconds >= 1.0);
}

#[tokio::test]
async fn the_rate_is_not_exceeded() {
    let server = Server::start(|_| "200 OK");
    let report = send_all(&SendOptions { rate: Some(100.0), ..options(&server) }).await;
    let earliest = (report.progress.posts - 1) as f64 / 100.0;
    assert!(report.seconds >= earliest, "{} POSTs in {} s", report.progress.posts, report.seconds);
}

#[tokio::test]
async fn cancelled_between_two_posts_it_says_what_was_acknowledged() {
    let server = Server::start(|_| "200 OK");
    let cancellation = CancellationToken::new();
    let cancel = |progress: &Progress| {
        if progress.notifications == 3 {
            cancellation.cancel();
        }
    };
    let report = send(&plan(), &options(&server), cancellation.clone(), cancel).await.unwrap();
    assert!(!report.complete);
    assert!(!report.given_up);
    assert_eq!(report.acknowledged, [server.received().len() as u64]);
    assert!(report.acknowledged[0] < planned().len() as u64);
}

#[tokio::test]
async fn cancellation_ends_a_pause() {
    let server = Server::start(|_| "503 Service Unavailable");
    let cancellation = CancellationToken::new();
    let options = SendOptions {
        first_pause: Duration::from_secs(600),
        longest_pause: Duration::from_secs(600),
        ..options(&server)
    };
    let report = send(&plan(), &options, cancellation.clone(), |_| cancellation.cancel()).await.unwrap();
    assert!(!report.complete);
    assert_eq!(report.progress.refusals["503"], 1);
    assert!(report.seconds < 60.0);
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_once() {
    let refused = async |options: SendOptions| {
        send(&plan(), &options, CancellationToken::new(), |_| ()).await.unwrap_err()
    };
    let base: Url = "http://127.0.0.1:9".parse().unwrap();
    let with = |change: fn(&mut SendOptions)| {
        let mut options = SendOptions::new(base.clone());
        change(&mut options);
        options
    };
    let mail = "mailto:somebody".parse().unwrap();
    assert!(matches!(refused(SendOptions::new(mail)).await, SendError::Base));
    assert!(matches!(refused(with(|options| options.rate = Some(0.0))).await, SendError::Rate));
    assert!(matches!(
        refused(with(|options| options.client_id = Some("a\nb".to_owned()))).await,
        SendError::ClientId
    ));
    let no_pem = with(|options| options.ca_certificates = Some(b"-----BEGIN CERTIFICATE-----\n?".to_vec()));
    assert!(matches!(refused(no_pem).await, SendError::CaCertificates(_)));
}

#[tokio::test]
async fn a_sending_with_a_record_leaves_nothing_in_doubt_when_it_is_cancelled() {
    let server = Server::start(|number| match number {
        1..=3 => "503 Service Unavailable",
        _ => "200 OK",
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acknowledged.log");
    let cancellation = CancellationToken::new();
    let cancel = |progress: &Progress| {
        if !progress.refusals.is_empty() {
            cancellation.cancel();
        }
    };
    let options = SendOptions { record: Some(file.clone()), ..options(&server) };
    let report = send(&plan(), &options, cancellation.clone(), cancel).await.unwrap();

    assert!(!report.complete);
    assert_eq!(report.progress.refusals["503"], 3);
    assert_eq!(report.acknowledged[0], Record::read(&file).unwrap().notifications());
    assert_eq!(server.received().len() as u64, report.acknowledged[0] + 3);
    assert!(report.acknowledged[0] >= 2, "the second was refused and then given up");
    assert!(matches!(
        send(&plan(), &options, CancellationToken::new(), |_| ()).await,
        Err(SendError::Record(_))
    ));
}
