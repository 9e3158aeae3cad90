//! What an attack is, and the pieces that most are made of.

use apollo_tests::wire::Pace;

/// The secret segment of the path. No log may hold it.
pub(super) const SECRET: &str = "5ecret-0f-the-path-9b1d";

/// A notification that may be stored.
pub(super) const HONEST: &str = r#"{"dailies":[{"userId":"honest","startTimeInSeconds":1794265200}]}"#;

/// What stands in the place of an answer where an attack is not tried.
pub(super) const NOT_TRIED: &str = "–";

/// Attacks of one kind.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) attacks: Vec<Attack>,
}

/// Bytes that nobody should send, and what they get at either place: statuses of all answers, in order.
pub(super) struct Attack {
    pub(super) what: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) pace: Pace,
    pub(super) nginx: &'static str,
    pub(super) receiver: &'static str,
    /// How many honest notifications a place stores that answers 200; the rest must never be seen again.
    pub(super) stored: usize,
}

/// An attack that stores nothing.
pub(super) fn attack(
    what: &'static str,
    bytes: impl Into<Vec<u8>>,
    nginx: &'static str,
    receiver: &'static str,
) -> Attack {
    Attack { what, bytes: bytes.into(), pace: Pace::AtOnce, nginx, receiver, stored: 0 }
}

impl Attack {
    /// It is odd, but has an honest notification in it, which is stored.
    pub(super) fn storing(mut self, notifications: usize) -> Self {
        self.stored = notifications;
        self
    }

    /// It goes on with a byte a second.
    pub(super) fn dripping(mut self) -> Self {
        self.pace = Pace::Dripping;
        self
    }
}

/// A request of this text, in which a line ends as it does in Rust; the server is asked to close after it.
pub(super) fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// The request line of a notification.
pub(super) fn push_line() -> String {
    format!("POST /{SECRET}/api_client/garmin/dailies HTTP/1.1")
}

/// A notification with these headers, one of which should tell the body's length.
pub(super) fn push(headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    request(&push_line(), headers, body.as_ref())
}

/// An honest notification, but with these headers too.
pub(super) fn honest(headers: &[&str]) -> Vec<u8> {
    let length = format!("Content-Length: {}", HONEST.len());
    push(&[headers, &[length.as_str()]].concat(), HONEST)
}

/// An honest notification to another path.
pub(super) fn honest_to(target: &str) -> Vec<u8> {
    let length = format!("Content-Length: {}", HONEST.len());
    request(&format!("POST {target} HTTP/1.1"), &[&length], HONEST.as_bytes())
}

/// A page with these headers.
pub(super) fn get(headers: &[&str]) -> Vec<u8> {
    request("GET /healthcheck HTTP/1.1", headers, b"")
}

/// The request that smuggling hides. It would be stored, if anybody took it for one.
pub(super) fn hidden() -> String {
    let body = HONEST.replace("honest", "smuggled");
    let line = push_line();
    format!("{line}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
