//! A TCP proxy that can make trouble: it stands between two parts of a stack and delays, holds up, loses, cuts or refuses
//! what goes through it.
//!
//! Two threads a connection, one for each direction, and one state that all of them look at before they pass a piece on.
//! They are few, and it keeps an async runtime out of this crate.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Traffic {
    /// They pass.
    Pass,
    /// Each piece (64 KiB at most) waits so long, and up to `jitter` longer.
    Delay {
        /// Each waits at least so long.
        latency: Duration,
        /// At most so much longer.
        jitter: Duration,
    },
    /// Each direction of each connection gets so much through.
    Throttle {
        /// So much, above 0.
        bytes_per_second: u32,
    },
    /// Connections are taken and stay, and nothing passes until the trouble is over; then what was held does.
    Blackhole,
    /// New connections are closed at once.
    Refuse,
}

/// A proxy on a loopback port, in threads of this process. Dropping it closes everything.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    traffic: Traffic,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    closed: bool,
}

struct Connection {
    ends: [TcpStream; 2],
    /// Nothing passes any more, and neither end is told.
    lost: bool,
}

impl Proxy {
    /// Starts one in front of a loopback port, on which nothing need listen yet.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot open a port for a proxy")?;
        let port = listener.local_addr()?.port();
        let state =
            State { traffic: Traffic::Pass, connections: BTreeMap::new(), next_connection: 0, closed: false };
        let shared = Arc::new(Shared { upstream, state: Mutex::new(state), changed: Condvar::new() });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&listener)
        });
        Ok(Self { port, shared })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens to all connections.
    pub fn set(&self, traffic: Traffic) {
        self.shared.change(|state| state.traffic = traffic);
    }

    /// Closes the connections that there are.
    pub fn cut(&self) {
        self.shared.change(State::cut);
    }

    /// Loses the connections that there are, as a router does that forgets them: both ends believe in them, and nothing
    /// passes any more. New ones pass. [`Proxy::cut`] ends them.
    pub fn lose(&self) {
        self.shared.change(|state| {
            for connection in state.connections.values_mut() {
                connection.lost = true;
            }
        });
    }

    /// Closes those connections that are lost.
    pub fn cut_lost(&self) {
        self.shared.change(|state| {
            state.connections.retain(|_, connection| {
                if connection.lost {
                    connection.close();
                }
                !connection.lost
            });
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.closed = true;
            state.cut();
        });
        // The listener's thread looks at the state when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn cut(&mut self) {
        self.connections.values().for_each(Connection::close);
        self.connections.clear();
    }
}

impl Connection {
    fn close(&self) {
        for end in &self.ends {
            // One that is closed already cannot be closed.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let state = self.lock();
            if state.closed {
                return;
            }
            let refused = state.traffic == Traffic::Refuse;
            drop(state);
            if let (Ok(client), false) = (client, refused) {
                // When nothing listens there, the client's connection is closed by being dropped.
                let _ = self.connect(client);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let pumps = [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)];
        let mut state = self.lock();
        let number = state.next_connection;
        state.next_connection += 1;
        state.connections.insert(number, Connection { ends: [client, server], lost: false });
        drop(state);
        for (from, to) in pumps {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.pump(number, from, to);
                shared.end(number);
            });
        }
        Ok(())
    }

    /// Passes on what comes, until either end is closed.
    fn pump(&self, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 64 << 10];
        loop {
            let Ok(length @ 1..) = from.read(&mut piece) else { return };
            if !self.admits(number, length) || to.write_all(&piece[..length]).is_err() {
                return;
            }
        }
    }

    /// Waits until a piece of a connection may pass; `false` if it never may.
    fn admits(&self, number: u64, length: usize) -> bool {
        let mut state = self.lock();
        loop {
            let Some(connection) = state.connections.get(&number) else { return false };
            let pause = match state.traffic {
                _ if connection.lost => None,
                Traffic::Pass | Traffic::Refuse => return true,
                Traffic::Blackhole => None,
                Traffic::Delay { latency, jitter } => Some(latency + jitter.mul_f64(fastrand::f64())),
                Traffic::Throttle { bytes_per_second } => {
                    Some(Duration::from_secs_f64(length as f64 / f64::from(bytes_per_second)))
                }
            };
            match pause {
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(pause) => {
                    drop(state);
                    thread::sleep(pause);
                    return true;
                }
            }
        }
    }

    fn end(&self, number: u64) {
        if let Some(connection) = self.lock().connections.remove(&number) {
            connection.close();
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    /// Long enough to be told from what passes at once.
    const A_WHILE: Duration = Duration::from_millis(300);

    /// Sends back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        port
    }

    struct Client(TcpStream);

    impl Client {
        fn of(proxy: &Proxy) -> Self {
            let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            Self(stream)
        }

        fn says(&mut self, words: &str) {
            self.0.write_all(words.as_bytes()).unwrap();
        }

        fn hears(&mut self, words: &str, limit: Duration) -> std::io::Result<()> {
            self.0.set_read_timeout(Some(limit)).unwrap();
            let mut heard = vec![0; words.len()];
            self.0.read_exact(&mut heard)?;
            assert_eq!(String::from_utf8(heard).unwrap(), words);
            Ok(())
        }

        fn hears_nothing(&mut self) {
            let error = self.hears("?", A_WHILE).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        }

        fn is_cut(&mut self) {
            let error = self.hears("?", LIMIT).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
        }
    }

    #[test]
    fn what_a_blackhole_holds_passes_when_it_is_over() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut before = Client::of(&proxy);
        before.says("a");
        before.hears("a", LIMIT).unwrap();

        proxy.set(Traffic::Blackhole);
        let mut during = Client::of(&proxy);
        before.says("b");
        during.says("c");
        before.hears_nothing();
        during.hears_nothing();
        proxy.set(Traffic::Pass);
        before.hears("b", LIMIT).unwrap();
        during.hears("c", LIMIT).unwrap();
    }

    #[test]
    fn a_cut_ends_what_there_is_and_nothing_that_comes() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut before = Client::of(&proxy);
        before.says("a");
        before.hears("a", LIMIT).unwrap();
        proxy.cut();
        before.is_cut();
        let mut after = Client::of(&proxy);
        after.says("b");
        after.hears("b", LIMIT).unwrap();
    }

    #[test]
    fn what_is_refused_or_leads_nowhere_is_closed() {
        let proxy = Proxy::start(echo()).unwrap();
        proxy.set(Traffic::Refuse);
        Client::of(&proxy).is_cut();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nowhere = Proxy::start(listener.local_addr().unwrap().port()).unwrap();
        drop(listener);
        Client::of(&nowhere).is_cut();
    }

    #[test]
    fn a_lost_connection_stays_silent_while_new_ones_pass() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut before = Client::of(&proxy);
        before.says("a");
        before.hears("a", LIMIT).unwrap();
        proxy.lose();
        before.says("b");
        before.hears_nothing();
        let mut after = Client::of(&proxy);
        after.says("c");
        after.hears("c", LIMIT).unwrap();
        proxy.cut_lost();
        before.is_cut();
        after.says("d");
        after.hears("d", LIMIT).unwrap();
    }

    #[test]
    fn delay_and_throttle_take_their_time() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut client = Client::of(&proxy);
        let mut takes = |traffic, words: &str| {
            proxy.set(traffic);
            let begun = std::time::Instant::now();
            client.says(words);
            client.hears(words, LIMIT).unwrap();
            begun.elapsed()
        };
        let (latency, jitter) = (Duration::from_millis(100), Duration::from_millis(10));
        assert!(takes(Traffic::Delay { latency, jitter }, "a") >= 2 * latency);
        assert!(takes(Traffic::Throttle { bytes_per_second: 1000 }, &"a".repeat(100)) >= 2 * latency);
    }

    #[test]
    fn nothing_is_left_when_it_is_dropped() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut client = Client::of(&proxy);
        client.says("a");
        client.hears("a", LIMIT).unwrap();
        let port = proxy.port();
        drop(proxy);
        client.is_cut();
        let closed =
            super::super::wait::happens_within(LIMIT, || TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(closed, "the port is still open");
    }
}
