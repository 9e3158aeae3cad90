//! Who is not Garmin: does not know the secret, or comes from another address.

use super::attack::{HONEST, SECRET, honest_to, request};
use super::{Edge, post_honestly};
use apollo_tests::Result;
use apollo_tests::property::holds;
use apollo_tests::wire::{Pace, Place, statuses};
use proptest::prelude::*;
use xtask::stack::{Nginx, NginxOptions, StackFolder};

/// What both give back, without what differs from one second to the next.
async fn answer(place: &Place, bytes: &[u8]) -> Result<String> {
    let answer = place.exchange(bytes, Pace::AtOnce).await?;
    let text = String::from_utf8(answer)?;
    Ok(text.lines().filter(|line| !line.to_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_not_told_from_an_unknown_path() -> Result<()> {
    let edge = Edge::new("info").await?;
    let length = format!("Content-Length: {}", HONEST.len());
    for place in [&edge.through_nginx, &edge.straight] {
        for method in ["POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let ask = async |path: String| {
                let line = format!("{method} {path} HTTP/1.1");
                answer(place, &request(&line, &[&length], HONEST.as_bytes())).await
            };
            let stranger = ask("/who-knows/api_client/garmin/dailies".to_owned()).await?;
            // What is never posted to is 405 to everybody, Garmin too.
            let status = if method == "POST" { "404" } else { "405" };
            assert_eq!(statuses(stranger.as_bytes()), status, "{method}: {stranger}");
            let nearly = &SECRET[..SECRET.len() - 1];
            for path in [
                format!("/{nearly}/api_client/garmin/dailies"),
                format!("/{nearly}/api_client/garmin"),
                format!("/{nearly}/oauth/garmin/permissions"),
                "/who-knows/api_client/garmin/no-such-type".to_owned(),
            ] {
                assert_eq!(ask(path.clone()).await?, stranger, "{method} {path}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allow_list_believes_no_header() -> Result<()> {
    let edge = Edge::new("info").await?;
    let folder = StackFolder::create("allowed")?;
    let garmin_allow = folder.path().join("allow.conf");
    std::fs::write(&garmin_allow, "allow 192.0.2.1;\ndeny all;\n")?;
    let receiver = edge.receiver_address.clone();
    let nginx =
        Nginx::start(&folder, &NginxOptions { garmin_allow, ..NginxOptions::for_receiver(receiver) })?;
    let place = Place::nginx(&nginx.address)?;
    for header in [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1, 192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "Forwarded: for=192.0.2.1;proto=https",
        "X-Client-IP: 192.0.2.1",
        "True-Client-IP: 192.0.2.1",
        "CF-Connecting-IP: 192.0.2.1",
        "X-Originating-IP: 192.0.2.1",
        "Via: 1.1 192.0.2.1",
        "Host: 192.0.2.1",
    ] {
        let attack = super::attack::honest(&[header]);
        let status = statuses(&place.exchange(&attack, Pace::AtOnce).await?);
        let expected = if header.starts_with("Host") { "400" } else { "403" };
        assert_eq!(status, expected, "{header}");
    }
    let line = b"PROXY TCP4 192.0.2.1 127.0.0.1 1 443\r\n";
    let attack = [line, honest_to(&format!("/{SECRET}/api_client/garmin/dailies")).as_slice()].concat();
    assert_eq!(statuses(&place.exchange(&attack, Pace::AtOnce).await?), "400", "PROXY");
    assert_eq!(edge.published().await?.len(), 0);
    Ok(())
}

/// Pieces that a parser of HTTP looks at, the secret not among them.
const PIECES: [&str; 34] = [
    "POST ",
    "GET ",
    "PRI * HTTP/2.0",
    "/api_client/garmin/dailies",
    "/s/api_client/garmin",
    "/oauth/garmin/permissions",
    "/../",
    "%00",
    "http://a",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/9",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    "Host: a",
    "Content-Length: ",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: ",
    "Content-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\n",
    "Expect: 100-continue\r\n",
    "0\r\n\r\n",
    "5\r\n",
    "ffffffffffffffff\r\n",
    "chunked",
    r#"{"dailies":[]}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_from_a_stranger_bring_it_down_or_are_stored() -> Result<()> {
    let edge = Edge::new("info").await?;
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let bytes = prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat());
    holds(400, &bytes, async |bytes| {
        for place in [&edge.straight, &edge.through_nginx] {
            let answer = statuses(&place.exchange(&bytes, Pace::Ending).await?);
            if answer.split(' ').any(|status| status == "200" || status == "500") {
                return Err(format!("{answer} to {:?}", String::from_utf8_lossy(&bytes)).into());
            }
        }
        Ok(())
    });
    assert!(edge.receiver.is_alive());
    assert_eq!(edge.published().await?.len(), 0);
    post_honestly(&edge.through_nginx).await
}
