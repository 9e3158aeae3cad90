//! Requests within requests: two servers in a row that disagree where a request ends would let a stranger's bytes pass
//! as the beginning of somebody else's request. Each of these hides a notification that nobody may take for one.

use super::attack::{Attack, HONEST, Section, attack, hidden, honest, push, push_line, request};

const CHUNKED: &str = "Transfer-Encoding: chunked";

pub(super) fn sections() -> Vec<Section> {
    vec![
        Section { title: "Two lengths", attacks: lengths() },
        Section { title: "Transfer encodings", attacks: encodings() },
        Section { title: "Chunks", attacks: chunks() },
        Section { title: "Several requests on one connection", attacks: pipelines() },
    ]
}

/// A body that ends at once if it is chunked, and later if its length counts.
fn ends_at_once() -> String {
    format!("0\r\n\r\n{}", hidden())
}

fn lengths() -> Vec<Attack> {
    let body = ends_at_once();
    let whole = format!("Content-Length: {}", body.len());
    let honest_length = format!("Content-Length: {}", HONEST.len());
    let honest_then_hidden = format!("{HONEST}{}", hidden());
    let hidden_in_chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", hidden().len(), hidden());
    vec![
        attack("Content-Length, then Transfer-Encoding", push(&[&whole, CHUNKED], &body), "400", "400"),
        attack("Transfer-Encoding, then Content-Length", push(&[CHUNKED, &whole], &body), "400", "400"),
        attack(
            "a short Content-Length, and chunks",
            push(&["Content-Length: 4", CHUNKED], hidden_in_chunk),
            "400",
            "400",
        ),
        attack("two different lengths", push(&[&honest_length, &whole], &honest_then_hidden), "400", "400"),
        attack(
            "two equal lengths",
            push(&[&honest_length, &honest_length], &honest_then_hidden),
            "400",
            "200",
        )
        .storing(1),
        attack(
            "a length with a space before its colon",
            push(&["Content-Length : 0", &honest_length], &honest_then_hidden),
            "400",
            "400",
        ),
        attack(
            "a length in a folded line",
            push(&["X-Odd: a", " Content-Length: 0", &honest_length], &honest_then_hidden),
            "400",
            "400",
        ),
        attack(
            "a length behind a bare CR",
            push(&["X-Odd: a\rContent-Length: 0", &honest_length], &honest_then_hidden),
            "400",
            "400",
        ),
        attack(
            "HTTP/1.0 with chunks",
            request(&push_line().replace("1.1", "1.0"), &[CHUNKED], body.as_bytes()),
            "400",
            "400",
        ),
    ]
}

fn encodings() -> Vec<Attack> {
    let body = ends_at_once();
    let length = format!("Content-Length: {}", body.len());
    let with =
        |what, header: &str, nginx, receiver| attack(what, push(&[header, &length], &body), nginx, receiver);
    let twice = push(&[CHUNKED, "Transfer-Encoding: identity"], &body);
    vec![
        with("xchunked", "Transfer-Encoding: xchunked", "501", "400"),
        with("identity", "Transfer-Encoding: identity", "501", "400"),
        with("gzip, chunked", "Transfer-Encoding: gzip, chunked", "501", "400"),
        with("chunked, identity", "Transfer-Encoding: chunked, identity", "501", "400"),
        with("chunked in quotes", "Transfer-Encoding: \"chunked\"", "501", "400"),
        with("a tab before it", "Transfer-Encoding:\tchunked", "501", "400"),
        with("a vertical tab before it", "Transfer-Encoding:\x0bchunked", "501", "400"),
        with("a space before its colon", "Transfer-Encoding : chunked", "400", "400"),
        with("behind a bare LF", "X-Odd: a\nTransfer-Encoding: chunked", "400", "400"),
        with("behind a bare CR", "X-Odd: a\rTransfer-Encoding: chunked", "400", "400"),
        with("with an underscore", "Transfer_Encoding: chunked", "400", "400"),
        with("a NUL behind it", "Transfer-Encoding: chunked\0", "400", "400"),
        attack("chunked and identity in two headers", twice, "400", "400"),
    ]
}

fn chunks() -> Vec<Attack> {
    let size = HONEST.len();
    let body = |what, body: String, nginx, receiver| attack(what, push(&[CHUNKED], body), nginx, receiver);
    let hidden = hidden();
    vec![
        body("an extension", format!("{size:x};a=b\r\n{HONEST}\r\n0\r\n\r\n{hidden}"), "200", "200")
            .storing(1),
        body(
            "an extension of 100 kB",
            format!("{size:x};{}\r\n{HONEST}\r\n0\r\n\r\n{hidden}", "a".repeat(100_000)),
            "200",
            "400",
        )
        .storing(1),
        body(
            "an extension with LF in it",
            format!("{size:x};a\nb\r\n{HONEST}\r\n0\r\n\r\n{hidden}"),
            "400",
            "400",
        ),
        body(
            "trailers",
            format!("{size:x}\r\n{HONEST}\r\n0\r\nContent-Length: 5\r\nX-Odd: a\r\n\r\n{hidden}"),
            "200",
            "200",
        )
        .storing(1),
        body(
            "a size beyond 64 bits",
            format!("fffffffffffffffff\r\n{HONEST}\r\n0\r\n\r\n{hidden}"),
            "400",
            "400",
        ),
        body("a negative size", format!("-1\r\n{HONEST}\r\n0\r\n\r\n{hidden}"), "400", "400"),
        body("a size in 0x", format!("0x{size:x}\r\n{HONEST}\r\n0\r\n\r\n{hidden}"), "400", "400"),
        body("no size", format!("\r\n{HONEST}\r\n0\r\n\r\n{hidden}"), "400", "400"),
        body("a chunk longer than its size", format!("5\r\n{HONEST}\r\n0\r\n\r\n{hidden}"), "400", "400"),
        body("lines that end in LF only", format!("{size:x}\n{HONEST}\n0\n\n{hidden}"), "200", "400")
            .storing(1),
        body("no end", format!("{size:x}\r\n{HONEST}\r\n0\r\n"), "closed", "408"),
    ]
}

fn pipelines() -> Vec<Attack> {
    let length = format!("Content-Length: {}", HONEST.len());
    let open = format!("{}\r\nHost: localhost\r\n{length}\r\n\r\n{HONEST}", push_line());
    let mut two = open.clone().into_bytes();
    two.extend(honest(&[]));
    let mut behind_close = honest(&[]);
    behind_close.extend(hidden().into_bytes());
    let mut shorter = hidden();
    shorter.truncate(shorter.len() - 10);
    let in_a_get = request(
        "GET /healthcheck HTTP/1.1",
        &[&format!("Content-Length: {}", hidden().len())],
        hidden().as_bytes(),
    );
    vec![
        attack("two notifications, one after the other", two, "200 200", "200 200").storing(2),
        attack("one behind Connection: close", behind_close, "200", "200").storing(1),
        attack("one as the body of a page", in_a_get, "200", "200"),
        attack("one in front, cut short", [shorter.into_bytes(), honest(&[])].concat(), "400 400", "400 400"),
    ]
}
