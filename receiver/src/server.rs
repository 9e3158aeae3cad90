//! The receiver's HTTP server: hyper, with the limits that `axum::serve` leaves open.
//!
//! Nothing that a stranger can do on a connection lasts: each step has its time, and a connection that does not take
//! it is closed. So the number of connections may have a plain limit: beyond it new ones wait in the kernel's queue,
//! where they cost nothing, until an older one has used up its time. Nobody is turned away who can wait.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a request's head may take, and how long a connection may be idle between two requests. nginx closes its
/// own idle connections after 5 s (`keepalive_timeout` of the upstream): the side that sends has to be the one that
/// closes, or else a request meets a closing connection.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a peer may leave what was sent to it unacknowledged or unread. Answers are small: nobody needs longer.
const UNREAD_TIME: Duration = Duration::from_secs(20);

/// Bytes of a request's head. nginx lets 15 KiB pass and adds a few headers of its own.
const LARGEST_HEAD: usize = 16 * 1024;

/// Headers of a request. Garmin sends about ten, browsers twice as many.
const MOST_HEADERS: usize = 100;

/// Bytes that a connection buffers at most; more is read when these have been taken. A head must fit in, and what is more
/// multiplies with the connections.
const BUFFER: usize = LARGEST_HEAD;

/// Open connections. nginx needs one for each request in flight; 4,096 of them, each with a head half sent, take
/// about 50 MB.
const MOST_CONNECTIONS: u64 = 4096;

/// The part of the file descriptors that connections may take. The rest is for the broker, the spool and the admin
/// listener, which must not fail because many strangers call.
const SHARE_OF_DESCRIPTORS: (u64, u64) = (3, 4);

/// The pause after a failed accept: what is short then (descriptors, memory) is not there again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a trouble that lasts is logged.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Serves until `stop`, then closes idle connections and returns when the others have had their answers.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_at_most(most_connections(), listener, router, stop).await;
}

async fn serve_at_most(most: usize, listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let mut door = Door { listener, room: Arc::new(Semaphore::new(most)), logged: None };
    while let Some((stream, room)) = stop.run_until_cancelled(door.next()).await {
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, router, stop).await;
            drop(room);
        });
    }
    drop(door);
    connections.close();
    connections.wait().await;
}

/// As many connections as the file descriptors of this process allow, and not more than [`MOST_CONNECTIONS`].
fn most_connections() -> usize {
    let (share, of) = SHARE_OF_DESCRIPTORS;
    let descriptors = getrlimit(Resource::Nofile).current;
    let most = descriptors.map_or(MOST_CONNECTIONS, |descriptors| descriptors / of * share);
    usize::try_from(most.clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}

/// Where connections come in, one by one, while there is room.
struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    logged: Option<Instant>,
}

impl Door {
    /// The next connection, and its place among the open ones.
    async fn next(&mut self) -> (TcpStream, OwnedSemaphorePermit) {
        let room = self.room().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, room),
                // The peer was gone before its turn.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    self.log(&format!("new connections wait, because none can be accepted: {error}"));
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn room(&mut self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return room;
            }
            self.log("new connections wait, because as many are open as may be");
            if let Ok(room) = self.room.clone().acquire_owned().await {
                return room;
            }
        }
    }

    fn log(&mut self, trouble: &str) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_PAUSE) {
            tracing::warn!("{trouble}");
            self.logged = Some(Instant::now());
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // A connection that has sent nothing yet has no buffers.
    let spoken = stop.run_until_cancelled(timeout(HEAD_TIME, stream.readable())).await;
    if !matches!(spoken, Some(Ok(Ok(())))) {
        return;
    }
    configure(&stream);
    let connection = http().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // On the heap, so that the task of a connection that says nothing stays small.
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Whatever a peer does wrong ends here; hyper quotes nothing of the request.
        tracing::debug!("a connection ended early: {error}");
    }
}

/// What the kernel is to do. If it refuses, only an optimisation or a second line of defence is missing.
fn configure(stream: &TcpStream) {
    let milliseconds = u32::try_from(UNREAD_TIME.as_millis()).unwrap_or(u32::MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, milliseconds);
    let _ = stream.set_nodelay(true);
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(BUFFER);
    http
}

#[cfg(test)]
mod tests;
