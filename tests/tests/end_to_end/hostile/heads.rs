//! Request lines and headers.

use super::attack::{Attack, HONEST, Section, attack, get, honest, push, push_line, request};

pub(super) fn sections() -> Vec<Section> {
    vec![
        Section { title: "Headers", attacks: headers() },
        Section { title: "Methods and versions", attacks: methods() },
        Section { title: "Offers and expectations", attacks: offers() },
    ]
}

fn headers() -> Vec<Attack> {
    let many: Vec<String> = (0..200).map(|number| format!("X-{number}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("X-Long: {}", "a".repeat(40_000));
    let long_line = format!("GET /{} HTTP/1.1", "a".repeat(40_000));
    let length = format!("Content-Length: {}", HONEST.len());
    let without_host = format!("{}\r\nConnection: close\r\n{length}\r\n\r\n{HONEST}", push_line());
    vec![
        attack("200 headers", get(&many), "431", "431"),
        attack("a header of 40 kB", get(&[&long]), "431", "431"),
        attack("a request line of 40 kB", request(&long_line, &[], b""), "414", "431"),
        attack("NUL in a header", get(&["X-Odd: a\0b"]), "400", "400"),
        attack("CR in a header", get(&["X-Odd: a\rb"]), "400", "400"),
        attack("a control character in a header's name", get(&["X\x01Odd: a"]), "400", "400"),
        attack("a space in a header's name", get(&["X Odd: a"]), "400", "400"),
        attack("a header without a colon", get(&["Odd"]), "200", "400"),
        attack("a header folded into two lines", get(&["X-Odd: a", " b"]), "400", "400"),
        attack("a header in bytes that are not UTF-8", honest(&["X-Odd: \u{fffd}"]), "200", "200").storing(1),
        attack("no Host", without_host, "400", "200").storing(1),
        attack("two Hosts", get(&["Host: evil.example"]), "400", "200"),
        attack("Host with a path in it", get_of("evil.example/a"), "400", "200"),
        attack("another's Host", get_of("evil.example"), "200", "200"),
        attack("lines that end in LF only", lf_only(), "200", "200").storing(1),
        attack("200 empty lines in front", [b"\r\n".repeat(200), get(&[])].concat(), "200", "200"),
    ]
}

/// A page of this host.
fn get_of(host: &str) -> Vec<u8> {
    format!("GET /healthcheck HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
}

fn lf_only() -> Vec<u8> {
    let text = honest(&[]);
    text.into_iter().filter(|byte| *byte != b'\r').collect()
}

fn methods() -> Vec<Attack> {
    let to_push = |method: &str| request(&push_line().replace("POST", method), &["Content-Length: 0"], b"");
    let version = |version: &str| request(&format!("GET /healthcheck {version}"), &[], b"");
    vec![
        attack("GET of a path to post to", to_push("GET"), "405", "405"),
        attack("HEAD", to_push("HEAD"), "405", "405"),
        attack("OPTIONS", to_push("OPTIONS"), "405", "405"),
        attack("PUT", to_push("PUT"), "405", "405"),
        attack("TRACE", to_push("TRACE"), "405", "405"),
        attack("an unknown method", to_push("BREW"), "405", "405"),
        attack("a method in small letters", to_push("post"), "400", "405"),
        attack("CONNECT to elsewhere", request("CONNECT evil.example:443 HTTP/1.1", &[], b""), "400", "404"),
        attack("OPTIONS *", request("OPTIONS * HTTP/1.1", &[], b""), "400", "404"),
        attack("HTTP/0.9", "GET /healthcheck\r\n\r\n", "a body without a head", "400"),
        attack("HTTP/1.0", version("HTTP/1.0"), "200", "200"),
        attack("HTTP/1.2", version("HTTP/1.2"), "200", "400"),
        attack("HTTP/2.0", version("HTTP/2.0"), "505", "400"),
        attack("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "closed"),
        attack("a version that is none", version("FTP/1.1"), "400", "400"),
        attack("no HTTP at all", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 hello\r\n\r\n", "400", "400"),
    ]
}

fn offers() -> Vec<Attack> {
    let upgrade = |to: &str| {
        get(&[
            &format!("Upgrade: {to}"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "HTTP2-Settings: AAMAAABk",
        ])
    };
    vec![
        attack("Upgrade: websocket", upgrade("websocket"), "200", "200"),
        attack("Upgrade: h2c", upgrade("h2c"), "200", "200"),
        attack("Range", get(&["Range: bytes=0-0,1-1,2-2"]), "200", "200"),
        attack("Expect: 100-continue", honest(&["Expect: 100-continue"]), "100 200", "100 200").storing(1),
        attack("another expectation", honest(&["Expect: miracles"]), "200", "200").storing(1),
        attack("X-HTTP-Method-Override", get(&["X-HTTP-Method-Override: POST"]), "200", "200"),
        attack("X-Original-URL to the metrics", get(&["X-Original-URL: /metrics"]), "200", "200"),
        attack("trailers where none belong", push(&["TE: trailers", "Content-Length: 0"], ""), "400", "400"),
    ]
}
