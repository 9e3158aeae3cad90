//! Ways to write a path: only the plain one is Garmin's.

use super::attack::{Attack, SECRET, Section, attack, honest_to};

pub(super) fn sections() -> Vec<Section> {
    vec![
        Section { title: "Paths", attacks: spellings() },
        Section { title: "Wrong secrets", attacks: secrets() },
    ]
}

/// The path of dailies, changed.
fn changed(what: &'static str, from: &str, to: &str, nginx: &'static str, receiver: &'static str) -> Attack {
    let path = format!("/{SECRET}/api_client/garmin/dailies");
    attack(what, honest_to(&path.replacen(from, to, 1)), nginx, receiver)
}

fn spellings() -> Vec<Attack> {
    let encoded_slash = format!("/{SECRET}%2fapi_client%2fgarmin%2fdailies");
    vec![
        changed("a folder up", "/api", "/../api", "404", "404"),
        changed("there and back", "/api", "/x/../api", "404", "404"),
        changed("there and back, encoded", "/api", "/x/%2e%2e/api", "404", "404"),
        changed("above the root", "/5", "/../../../5", "400", "404"),
        changed("a dot", "/api", "/./api", "404", "404"),
        changed("two slashes", "/api", "//api", "404", "404"),
        changed("two slashes in front", "/5", "//5", "404", "404"),
        changed("a slash at the end", "dailies", "dailies/", "404", "404"),
        changed("a backslash", "/dailies", "\\dailies", "404", "404"),
        changed("capitals", "api_client", "API_CLIENT", "404", "404"),
        changed("an encoded letter", "api", "%61pi", "404", "404"),
        changed("an encoded letter of the secret", "5ecret", "%35ecret", "404", "404"),
        attack("encoded slashes", honest_to(&encoded_slash), "404", "404"),
        changed("an encoded NUL", "dailies", "dailies%00", "400", "404"),
        changed("NUL", "dailies", "dailies\0", "400", "400"),
        changed("an encoded line end", "dailies", "dailies%0d%0aX-Odd:%20a", "404", "404"),
        changed("encoding that is none", "dailies", "dailies%zz", "400", "404"),
        changed("encoding twice", "dailies", "%2564ailies", "404", "404"),
        changed("letters beyond ASCII", "dailies", "dailiés", "404", "404"),
        changed("an unknown type", "dailies", "passwords", "404", "404"),
        changed("more behind the type", "dailies", "dailies/more", "404", "404"),
        changed("a parameter of the path", "dailies", "dailies;a=b", "404", "404"),
        changed("a query", "dailies", "dailies?a=b&a=c", "200", "200").storing(1),
        changed("a fragment", "dailies", "dailies#a", "200", "200").storing(1),
        changed("another host in front", "/5", "http://evil.example/5", "200", "200").storing(1),
        attack("/metrics", honest_to("/metrics"), "404", "404"),
        attack("/health/ready", honest_to("/health/ready"), "404", "404"),
        attack("/.env", honest_to("/.env"), "404", "404"),
        attack("/etc/passwd, upwards", honest_to("/healthcheck/..%2f..%2f..%2fetc/passwd"), "400", "404"),
    ]
}

fn secrets() -> Vec<Attack> {
    let with = |what, secret: &str| changed(what, SECRET, secret, "404", "404");
    let mut longer = SECRET.to_owned();
    longer.push('0');
    vec![
        changed("none", "/5ecret-0f-the-path-9b1d", "", "404", "404"),
        with("an empty one", ""),
        with("another of the same length", &"x".repeat(SECRET.len())),
        with("all but the last character", &SECRET[..SECRET.len() - 1]),
        with("one character more", &longer),
        with("in capitals", &SECRET.to_uppercase()),
        with("a list of two", &format!("{SECRET},{SECRET}")),
        with("a wildcard", "*"),
        with("5,000 characters", &"x".repeat(5000)),
    ]
}
