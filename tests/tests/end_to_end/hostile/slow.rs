//! Requests that never get to their end.

use super::attack::{Attack, NOT_TRIED, Section, attack, get, push};

pub(super) fn sections() -> Vec<Section> {
    vec![Section { title: "Slowness", attacks: slowness() }]
}

fn slowness() -> Vec<Attack> {
    let half = |bytes: &[u8]| bytes[..bytes.len() - 2].to_vec();
    let body = push(&["Content-Length: 1000"], r#"{"dailies":["#);
    let chunks = push(&["Transfer-Encoding: chunked"], "ffff\r\n{");
    vec![
        attack("nothing at all", "", "closed", "closed"),
        attack("one byte", "G", "closed", "closed"),
        attack("half a head", half(&get(&[])), "closed", "closed"),
        attack("a head of a byte a second", half(&get(&["X-Slow: a"])), "closed", "closed").dripping(),
        attack("half a body", body.clone(), "closed", "408"),
        attack("half a chunk", chunks.clone(), "closed", "408"),
        attack("a body of a byte a second", body, NOT_TRIED, "408").dripping(),
        attack("chunks of a byte a second", chunks, NOT_TRIED, "408").dripping(),
    ]
}
