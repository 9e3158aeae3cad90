//! A client of nginx (over TLS by openssl, so that the test needs no TLS library) and a receiver behind it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result, ensure};
use xtask::stack::NginxAddress;

/// An answer, its header names in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The problem document (RFC 9457) that this answer must be.
    pub(crate) fn problem(&self) -> Result<serde_json::Value> {
        ensure!(self.header("content-type") == Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body)?;
        ensure!(problem["status"] == self.status, "{self:?}");
        ensure!(problem["detail"].is_string(), "{self:?}");
        Ok(problem)
    }

    /// The page that this answer must be: for people, in plain words, and trying again by itself.
    pub(crate) fn page(&self) -> Result<()> {
        ensure!(self.header("content-type") == Some("text/html; charset=utf-8"), "{self:?}");
        ensure!(self.body.contains("<h1>Please wait a moment</h1>"), "{self:?}");
        ensure!(self.body.contains("http-equiv=\"refresh\""), "{self:?}");
        Ok(())
    }
}

/// A request's text; the connection is closed after it unless `connection` says otherwise.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

/// Sends one request over plain HTTP.
pub(crate) fn plain(address: &NginxAddress, method: &str, path: &str) -> Result<Answer> {
    plain_exchange(address.http_port, &request(method, path, &["connection: close"], ""))
}

/// Sends one request over TLS, the certificate checked.
pub(crate) fn tls(address: &NginxAddress, method: &str, path: &str, body: &str) -> Result<Answer> {
    parse(&exchange(address, &request(method, path, &["connection: close"], body))?)
}

/// Sends bytes over one TLS connection and returns all that comes back until nginx closes it.
pub(crate) fn exchange(address: &NginxAddress, bytes: &str) -> Result<String> {
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"])
        .args(["-connect", &format!("127.0.0.1:{}", address.https_port), "-CAfile"])
        .arg(&address.certificate_authority)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = openssl.stdin.take().context("piped")?;
    let bytes = bytes.to_owned();
    // Kept open until the answer is complete.
    let writer = thread::spawn(move || {
        let _ = input.write_all(bytes.as_bytes());
        input
    });
    let mut text = String::new();
    openssl.stdout.take().context("piped")?.read_to_string(&mut text)?;
    drop(writer.join());
    openssl.wait()?;
    Ok(text)
}

pub(crate) fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, head: head.replace("\r\n", "\n"), body: body.to_owned() })
}

/// Sends bytes over plain HTTP, to either port.
pub(crate) fn plain_exchange(port: u16, bytes: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(bytes.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text)
}

/// The lines of an access log.
pub(crate) fn log_lines(file: &Path) -> Result<Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(file)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// A receiver that answers everything alike and remembers what it was asked.
pub(crate) struct Upstream {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// One that answers 200.
    pub(crate) fn start() -> Result<Self> {
        Self::answering("200 OK")
    }

    /// One that answers so.
    pub(crate) fn answering(status: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(&stream, status, &seen));
            }
        });
        Ok(Self { address, requests })
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().map(|requests| requests.clone()).unwrap_or_default()
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, status: &str, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.to_lowercase().split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.split("\r\n").next().and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        seen.lock().ok()?.push(head);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        (&*stream).write_all(answer.as_bytes()).ok()?;
    }
}
