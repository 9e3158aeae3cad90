//! The limits over real sockets. The clock is tokio's own and jumps to the next timer as soon as nothing else is to be
//! done, so none of these tests waits.

use super::*;
use axum::body::Bytes;
use axum::routing::{get, post};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn new(most: usize) -> Self {
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/upload", post(|body: Bytes| async move { format!("{} bytes", body.len()) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_at_most(most, listener, router, stop.clone()));
        Self { address, stop, task }
    }

    /// A connection on which this has been sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// All that comes until the connection is closed.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // Closed with bytes of ours unread is a reset; what came before it counts.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// What comes next.
async fn part(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1000];
    let length = stream.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Running::new(10).await;
    for text in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        assert_eq!(rest(server.send(text).await).await, "", "{text:?}");
    }
    let idle = rest(server.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await).await;
    assert!(idle.starts_with("HTTP/1.1 200 ") && idle.ends_with("here"), "{idle}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_large_is_a_431() {
    let server = Running::new(10).await;
    let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
    let long = format!("a: {}\r\n", "b".repeat(LARGEST_HEAD));
    for headers in [many, long] {
        let answer = rest(server.send(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).await).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let fits = "a: b\r\n".repeat(MOST_HEADERS - 1);
    let answer = rest(server.send(&format!("GET / HTTP/1.1\r\nconnection: close\r\n{fits}\r\n")).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_there_is_room_for_wait_their_turn() {
    let server = Running::new(3).await;
    let silent = [server.send("").await, server.send("").await, server.send("G").await];
    let answer = rest(server.send("GET / HTTP/1.0\r\n\r\n").await).await;
    assert!(answer.ends_with("here"), "{answer}");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_what_is_idle_and_finishes_what_is_not() {
    let server = Running::new(10).await;
    let silent = server.send("").await;
    let mut idle = server.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut uploading =
        server.send("POST /upload HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n").await;
    assert!(part(&mut idle).await.starts_with("HTTP/1.1 200 "));
    assert!(part(&mut uploading).await.starts_with("HTTP/1.1 100 "));

    server.stop.cancel();
    assert_eq!((rest(silent).await, rest(idle).await), (String::new(), String::new()));
    assert!(TcpStream::connect(server.address).await.is_err(), "it still listens");
    assert!(!server.task.is_finished());
    uploading.write_all(b"a body").await.unwrap();
    let answer = rest(uploading).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    server.task.await.unwrap();
}

#[test]
fn connections_leave_descriptors_for_the_rest() {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = most_connections() as u64;
    assert!((1..=MOST_CONNECTIONS).contains(&most) && most < descriptors);
}
