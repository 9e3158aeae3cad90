//! Many connections and many bombs at once: memory stays flat, and honest notifications are taken meanwhile.

use super::attack::{HONEST, get, push};
use super::bodies::{MAX_BODY_BYTES, bomb, chunked, measured};
use super::{Edge, keep_posting};
use apollo_tests::Result;
use apollo_tests::launch::Launch;
use apollo_tests::site::Site;
use apollo_tests::wire::{Duplex, Pace, Place, statuses};
use futures_util::future::try_join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use xtask::stack::StackFolder;

const MEBIBYTE: u64 = 1024 * 1024;

/// Connections at each place.
const CROWD: usize = 2000;

/// Bodies at each place, all sent at the same time.
const BODIES: usize = 40;

/// What either program may grow by, beside the receiver's room for bodies (8 MiB here).
const TOLERANCE: u64 = 64 * MEBIBYTE;

/// Lets this process, and those that it starts, have as many file descriptors as the system allows.
fn raise_descriptor_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Connections that send these bytes and then nothing.
async fn crowd(place: &Place, bytes: &[u8], count: usize) -> Result<Vec<Box<dyn Duplex>>> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let mut connection = place.connect().await?;
        connection.write_all(bytes).await?;
        connection.flush().await?;
        crowd.push(connection);
    }
    Ok(crowd)
}

/// Sends bodies that are too large in one way or another, all at once.
async fn bombard(place: &Place) -> Result<()> {
    let gzip = "Content-Encoding: gzip";
    let bomb = measured(&[gzip], &bomb(64)?);
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let large = push(&["Transfer-Encoding: chunked"], chunked(&large));
    let attacks = (0..BODIES).map(|number| {
        let bytes = if number % 2 == 0 { &bomb } else { &large };
        place.exchange(bytes, Pace::AtOnce)
    });
    for answer in try_join_all(attacks).await? {
        let status = statuses(&answer);
        // Those for which there is no room in time are told to come again.
        assert!(["413", "503"].contains(&status.as_str()), "{status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_under_thousands_of_connections_and_bombs() -> Result<()> {
    raise_descriptor_limit()?;
    let edge = Edge::new("info").await?;
    let head = get(&[]);
    let half = &head[..head.len() - 2];
    edge.honest().await?;
    let before = (edge.receiver.peak_memory(), edge.nginx.peak_memory());

    let stop = CancellationToken::new();
    let honest = keep_posting(edge.through_nginx.clone(), stop.clone());
    let at_nginx = Place::plain(format!("127.0.0.1:{}", edge.nginx.address.https_port));
    let mut crowds = crowd(&edge.straight, b"", CROWD / 2).await?;
    crowds.extend(crowd(&edge.straight, half, CROWD / 2).await?);
    crowds.extend(crowd(&at_nginx, b"", CROWD / 2).await?);
    crowds.extend(crowd(&edge.through_nginx, half, CROWD / 2).await?);
    edge.honest().await?;
    stop.cancel();
    honest.await??;
    tokio::try_join!(bombard(&edge.straight), bombard(&edge.through_nginx))?;
    edge.honest().await?;
    drop(crowds);

    let after = (edge.receiver.peak_memory(), edge.nginx.peak_memory());
    let grown = |before: Option<u64>, after: Option<u64>| Some(after? - before?);
    let receiver = grown(before.0, after.0).ok_or("the receiver has ended")?;
    let nginx = grown(before.1, after.1).ok_or("nginx has ended")?;
    println!("grown under {CROWD} connections each: receiver {receiver} bytes, nginx {nginx} bytes");
    assert!(receiver < TOLERANCE + 8 * MAX_BODY_BYTES as u64, "the receiver has grown by {receiver} bytes");
    assert!(nginx < TOLERANCE, "nginx has grown by {nginx} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_short_of_file_descriptors_goes_on_when_the_crowd_has_had_its_time() -> Result<()> {
    let site = Site::new().await?;
    let folder = StackFolder::create("descriptors")?;
    let launch = Launch::receiver(&site)?.descriptors(100);
    let receiver = launch.start(&folder)?;
    let place = Place::plain(launch.address());
    let crowd = crowd(&place, b"G", 100).await?;
    // It waits in the kernel's queue behind the crowd, whose 75 places become free after 10 s.
    let path = "/api_client/garmin/dailies";
    let text = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{HONEST}", HONEST.len());
    assert_eq!(statuses(&place.exchange(text.as_bytes(), Pace::AtOnce).await?), "200");
    drop(crowd);
    let log = std::fs::read_to_string(receiver.log())?;
    assert!(log.contains("new connections wait"), "{log}");
    Ok(())
}
