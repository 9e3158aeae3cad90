//! The page. It is whole in itself: style and script stand in it, and its policy allows exactly these two by their
//! digests.
//!
//! The script asks for the same page again and puts what differs in its place, so there is one rendering, and nothing
//! moves that has not changed. Without scripts the page loads itself again.

use super::figures::{Need, Status};
use super::tables::{self, Cell, Kind, Table, Tone};
use super::words::{age, count, duration, moment, rate};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Seconds after which the page loads itself again where its script does not run.
const SECONDS: u8 = 5;

/// The headers of the page, besides its policy.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The page as an answer.
pub(super) fn answer(status: &Status) -> Response {
    let mut response = Html(page(status).into_string()).into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn policy() -> String {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

fn page(status: &Status) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // No picture, so that browsers do not ask for one.
                link rel="icon" href="data:,";
                title { (title(&status.needs)) }
                style { (PreEscaped(STYLE)) }
                noscript { meta http-equiv="refresh" content=(SECONDS); }
            }
            body {
                header {
                    h1 { "Apollo" }
                    p #as-of data-live { "As of " (moment(status.at, status.at)) " UTC" }
                    button #pause type="button" hidden { "Pause" }
                }
                main {
                    p #silence role="alert" hidden {}
                    (verdict(&status.needs))
                    (tiles(status))
                    div.columns {
                        div { @for table in tables::of_the_flow(status) { (section(&table)) } }
                        div { @for table in tables::of_the_study(status) { (section(&table)) } }
                    }
                }
                footer {
                    p { "For operators: never make this page public. It tells nothing of a single participant." }
                    ul {
                        li { a href="/status.json" { "The same as JSON" } }
                        li { a href="/metrics" { "Metrics" } }
                        li { a href="/health/ready" { "Readiness" } }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn title(needs: &[Need]) -> String {
    match needs.len() {
        0 => "Apollo: all is well".to_owned(),
        _ => format!("Apollo: {}", headline(needs)),
    }
}

/// How it is, in one line.
pub(crate) fn headline(needs: &[Need]) -> String {
    match needs.len() {
        0 => "All is well".to_owned(),
        1 => "1 thing needs you".to_owned(),
        number => format!("{number} things need you"),
    }
}

fn verdict(needs: &[Need]) -> Markup {
    let class = if needs.is_empty() { "verdict good" } else { "verdict bad" };
    html! {
        section #verdict .(class) role="status" data-live {
            h2 { (headline(needs)) }
            @if !needs.is_empty() {
                ul {
                    @for need in needs {
                        li { strong { (capitalized(&need.what)) "." } " " (capitalized(&need.remedy)) "." }
                    }
                }
            }
        }
    }
}

/// The first words of a sentence that is told within others elsewhere; names of programs stay as they are.
fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// A figure that is to be seen from afar.
struct Tile {
    name: &'static str,
    figure: String,
    detail: String,
}

fn tiles(status: &Status) -> Markup {
    html! {
        dl.tiles #tiles data-live {
            @for Tile { name, figure, detail } in figures(status) {
                div {
                    dt { (name) }
                    dd { span.figure { (figure) } " " span.detail { (detail) } }
                }
            }
        }
    }
}

fn figures(status: &Status) -> [Tile; 4] {
    let unknown = || "–".to_owned();
    let waiting = status.queues.known().map(|queues| {
        let lanes = queues.iter().filter(|queue| queue.consumers > 0 || !queue.name.contains("retry"));
        lanes
            .filter(|queue| !queue.name.contains("dead"))
            .map(|queue| u64::from(queue.waiting.unwrap_or(0)))
            .sum()
    });
    let worker = status.worker.known();
    let per_second = worker.map(|worker| worker.lanes.iter().map(|lane| lane.messages_per_second).sum());
    let lag = worker.and_then(|worker| worker.lag.p99_seconds);
    let users = status.users.known();
    let newest = newest(status);
    [
        Tile { name: "Waiting", figure: waiting.map_or_else(unknown, count), detail: "messages".to_owned() },
        Tile {
            name: "Stored here",
            figure: per_second.map_or_else(unknown, rate),
            detail: match lag {
                Some(lag) => format!("a second; 99 in 100 within {}", duration(lag)),
                None => "messages a second".to_owned(),
            },
        },
        Tile {
            name: "Newest notification",
            figure: newest.map_or_else(unknown, |newest| age(status.at, newest)),
            detail: newest.map(|_| "ago".to_owned()).unwrap_or_default(),
        },
        Tile {
            name: "Participants",
            figure: users.map_or_else(unknown, |users| count(users.active.unsigned_abs())),
            detail: users
                .map(|users| format!("active, {} silent for a day", users.silent_1_day))
                .unwrap_or_default(),
        },
    ]
}

fn newest(status: &Status) -> Option<OffsetDateTime> {
    let kept = status.notifications.known().and_then(|notifications| notifications.newest);
    let stored = status.worker.known().and_then(|worker| worker.newest.values().copied().reduce(f64::max));
    let stored = stored.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds as i64).ok());
    kept.max(stored)
}

fn section(table: &Table) -> Markup {
    let heading = format!("{}-heading", table.id);
    html! {
        section.card id=(table.id) aria-labelledby=(heading) data-live {
            h2 id=(heading) { (table.title) }
            @if !table.rows.is_empty() {
                table {
                    thead { tr { @for (name, kind) in &table.columns { th scope="col" class=[class(*kind)] { (name) } } } }
                    tbody { @for row in &table.rows { (cells(row, &table.columns)) } }
                }
            }
            @for note in &table.notes { p.note { (note) } }
        }
    }
}

fn cells(row: &[Cell], columns: &[(&'static str, Kind)]) -> Markup {
    html! {
        tr {
            @for (place, (cell, (_, kind))) in row.iter().zip(columns).enumerate() {
                @if place == 0 {
                    th scope="row" { (cell.text) }
                } @else {
                    td class=[class(*kind)] { span class=[tone(cell.tone)] { (cell.text) } }
                }
            }
        }
    }
}

const fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Words => None,
        Kind::Numbers => Some("number"),
    }
}

const fn tone(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Faint => Some("faint"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_cannot_end_early() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }

    #[test]
    fn the_headline_counts() {
        let need = Need { what: "it burns".to_owned(), remedy: "put it out".to_owned() };
        assert_eq!(headline(&[]), "All is well");
        assert_eq!(headline(std::slice::from_ref(&need)), "1 thing needs you");
        assert_eq!(title(&[need.clone(), need]), "Apollo: 2 things need you");
    }
}
