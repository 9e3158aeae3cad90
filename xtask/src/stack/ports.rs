//! Free loopback ports.
//!
//! They are taken from below the range out of which the kernel serves outgoing connections. A port from `bind(…, 0)`
//! would come from that very range, and any client on the machine could be given it while its service is being
//! restarted. A port that was found here is reserved for as long as this process runs, so that no other run or test is
//! given it meanwhile. Whoever else may take it between looking and binding, so starting a service is tried again then,
//! see [`retry_with_new_ports`].

use std::{
    fs, io,
    net::TcpListener,
    ops::Range,
    os::{linux::net::SocketAddrExt, unix::net},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

/// Words with which our services say that a port is taken (PostgreSQL and nginx, Prometheus, Erlang, epmd).
const TAKEN: [&str; 4] = ["Address already in use", "address already in use", "eaddrinuse", "already_in_use"];
const ATTEMPTS: usize = 4;

/// What reserves ports: sockets with an abstract name, of which there is one a machine, and which end with their process
/// (unix(7)).
static RESERVED: Mutex<Vec<net::UnixListener>> = Mutex::new(Vec::new());

/// `N` different ports on which nothing listens at this moment, and which no other process is given before this one ends.
///
/// # Errors
/// There are no more.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let range = range();
    let mut ports = [0; N];
    // All listeners are held until the last port is found, so that none is given twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = (0..1000)
            .find_map(|_| reserve(fastrand::u16(range.clone())).ok())
            .with_context(|| format!("no free port between {} and {}", range.start, range.end))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn reserve(port: u16) -> io::Result<TcpListener> {
    let name = net::SocketAddr::from_abstract_name(format!("apollo-port-{port}"))?;
    let reservation = net::UnixListener::bind_addr(&name)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(reservation);
    Ok(listener)
}

/// Runs `start`, and runs it again while it fails because a port was taken in the meantime.
pub(crate) fn retry_with_new_ports<T>(mut start: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match start() {
            Err(error) if is_taken(&error) => {}
            outcome => return outcome,
        }
    }
    start()
}

fn is_taken(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    TAKEN.iter().any(|words| text.contains(words))
}

/// From above the ports that well-known services like to the first ephemeral one.
fn range() -> Range<u16> {
    const LOWEST: u16 = 15_000;
    let first_ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .filter(|&port| port > LOWEST + 1000);
    LOWEST..first_ephemeral.unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn ports_are_different_and_free() {
        let ports = free::<20>().unwrap();
        for (index, port) in ports.iter().enumerate() {
            assert!(!ports[..index].contains(port));
            TcpListener::bind(("127.0.0.1", *port)).unwrap();
            assert!(reserve(*port).is_err(), "it would be given to another while its service is restarted");
        }
    }

    #[test]
    fn a_taken_port_is_tried_again_and_another_fault_is_not() {
        let mut attempts = 0;
        let started = retry_with_new_ports(|| {
            attempts += 1;
            if attempts < 3 { Err(anyhow!("bind: Address already in use")) } else { Ok(attempts) }
        });
        assert_eq!(started.unwrap(), 3);

        let mut attempts = 0;
        let failed: Result<()> = retry_with_new_ports(|| {
            attempts += 1;
            Err(anyhow!("no such file"))
        });
        assert_eq!((failed.unwrap_err().to_string().as_str(), attempts), ("no such file", 1));
    }
}
