//! Bodies: their announced length, their compression, their content. The receiver of these tests takes 1 MiB.

use super::attack::{Attack, HONEST, Section, attack, honest, push, request};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Result, Write as _};

/// The limit of the receiver that is attacked.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

const GZIP: &str = "Content-Encoding: gzip";

pub(super) fn sections() -> Result<Vec<Section>> {
    Ok(vec![
        Section { title: "Lengths of bodies", attacks: lengths() },
        Section { title: "Compressed bodies", attacks: compressed()? },
        Section { title: "Contents of bodies", attacks: contents() },
    ])
}

/// What remains of `bytes` after gzip.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Gzip that becomes this many MiB of zeros.
pub(super) fn bomb(mebibytes: usize) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..mebibytes {
        encoder.write_all(&[0; 1024 * 1024])?;
    }
    encoder.finish()
}

/// A notification of this body, and of its true length.
pub(super) fn measured(headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    push(&[headers, &[length.as_str()]].concat(), body)
}

/// A body in chunks of no more than 64 KiB.
pub(super) fn chunked(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in body.chunks(64 * 1024) {
        text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0\r\n\r\n");
    text
}

fn lengths() -> Vec<Attack> {
    let announced = |length: &str| push(&[&format!("Content-Length: {length}")], HONEST);
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let in_chunks = push(&["Transfer-Encoding: chunked"], chunked(&large));
    let form = request(
        "POST /oauth/garmin/consent HTTP/1.1",
        &["Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked"],
        &chunked(&[b'a'; 20_000]),
    );
    vec![
        attack("100 MB and a byte, announced", announced("104857601"), "413", "413"),
        attack("more than 64 bits can count", announced("99999999999999999999"), "400", "400"),
        attack("a byte over the receiver's limit", measured(&[], &large), "413", "413"),
        attack("the same in chunks", in_chunks, "413", "413"),
        attack("a form of 20 kB in chunks", form, "413", "400"),
        attack("a negative length", announced("-1"), "400", "400"),
        attack("a length with a sign", announced("+5"), "400", "400"),
        attack("a hexadecimal length", announced("0x41"), "400", "400"),
        attack("two lengths in one header", announced("5, 5"), "400", "400"),
        attack("an empty length", announced(""), "400", "400"),
        attack("no length at all", push(&[], HONEST), "400", "400"),
        attack(
            "a body where none belongs",
            request("GET /healthcheck HTTP/1.1", &["Content-Length: 5"], b"hello"),
            "200",
            "200",
        ),
    ]
}

fn compressed() -> Result<Vec<Attack>> {
    let once = gzip(HONEST.as_bytes())?;
    let twice = gzip(&once)?;
    let halves = HONEST.as_bytes().split_at(20);
    let members = [gzip(halves.0)?, gzip(halves.1)?].concat();
    let followed = [once.as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat();
    let mut damaged = once.clone();
    damaged[15] ^= 0xff;
    let encoded = |encoding: &str| measured(&[&format!("Content-Encoding: {encoding}")], &once);
    let bomb = bomb(64)?;
    let nested = gzip(&bomb)?;
    Ok(vec![
        attack("gzip", measured(&[GZIP], &once), "200", "200").storing(1),
        attack("64 MiB of zeros in 64 kB", measured(&[GZIP], &bomb), "413", "413"),
        attack(
            "the same in chunks",
            push(&[GZIP, "Transfer-Encoding: chunked"], chunked(&bomb)),
            "413",
            "413",
        ),
        attack(
            "the same, compressed twice",
            measured(&["Content-Encoding: gzip, gzip"], &nested),
            "415",
            "415",
        ),
        attack("gzip in gzip that is announced once", measured(&[GZIP], &twice), "400", "400"),
        attack("two headers that say gzip", measured(&[GZIP, GZIP], &twice), "400", "400"),
        attack("several members", measured(&[GZIP], &members), "400", "400"),
        attack("more behind the end", measured(&[GZIP], &followed), "200", "200").storing(1),
        attack("cut short", measured(&[GZIP], &once[..once.len() - 9]), "400", "400"),
        attack("damaged", measured(&[GZIP], &damaged), "400", "400"),
        attack("not compressed", honest(&[GZIP]), "400", "400"),
        attack("deflate", encoded("deflate"), "415", "415"),
        attack("br", encoded("br"), "415", "415"),
        attack("zstd", encoded("zstd"), "415", "415"),
        attack("an encoding that is none", encoded("gzip;q=1, x"), "415", "415"),
        attack("identity", honest(&["Content-Encoding: identity"]), "200", "200").storing(1),
    ])
}

fn contents() -> Vec<Attack> {
    let deep = format!(r#"{{"dailies":{}"honest"{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let typed = |kind: &str| honest(&[&format!("Content-Type: {kind}")]);
    vec![
        attack("nothing", measured(&[], b""), "400", "400"),
        attack("JSON cut short", measured(&[], &HONEST.as_bytes()[..30]), "400", "400"),
        attack(
            "XML with an entity",
            measured(&[], b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"),
            "400",
            "400",
        ),
        attack("not UTF-8", measured(&[], b"{\"dailies\":[\"\xff\xfe\"]}"), "400", "400"),
        attack("a list instead of an object", measured(&[], b"[]"), "400", "400"),
        attack("100,000 lists in each other", measured(&[], deep.as_bytes()), "200", "200").storing(1),
        attack("another content type", typed("text/html"), "200", "200").storing(1),
        attack("another character set", typed("application/json; charset=utf-7"), "200", "200").storing(1),
        attack("a form", typed("application/x-www-form-urlencoded"), "200", "200").storing(1),
    ]
}
