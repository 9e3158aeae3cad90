//! What all pages have in common: their frame, their looks, their headers.
//!
//! A page is whole in itself: style and script stand in it, and the policy allows exactly these two by their digests. So
//! there is nothing else to serve, and nothing that a page could be made to fetch.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use url::Host;

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");

/// The headers of every page, besides its policy.
const HEADERS: [(HeaderName, &str); 5] = [
    // A page may show a subject id, and tells of one participant.
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Addresses of pages hold invitations and codes: nobody else is to see them.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The study that the pages speak for.
#[derive(Debug)]
pub(super) struct Site {
    /// Its name, such as "the Sleep Study".
    pub(super) study: String,
    /// Scheme, host and port, as browsers call it.
    pub(super) origin: String,
    contact: String,
    policy: String,
}

/// One page.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: String,
    /// After how many seconds it loads itself again.
    pub(super) refresh: Option<Refresh>,
    /// The element `main`, and what stands beside it.
    pub(super) content: Markup,
}

/// A page that loads itself again.
pub(super) enum Refresh {
    /// Whether it has scripts or not; seconds.
    Always(u8),
    /// Only where its script does not run; seconds.
    WithoutScript(u8),
}

impl Site {
    /// Pages for a study; `authorize_url` is where the form leads to at last, if anywhere.
    pub(super) fn new(study: &str, contact: &str, origin: String, authorize_url: Option<&Url>) -> Self {
        Self { study: study.into(), origin, contact: contact.into(), policy: policy(authorize_url) }
    }

    /// Whom to ask: an address to write to, or words.
    pub(super) fn contact(&self) -> Markup {
        html! {
            @if is_mail_address(&self.contact) {
                a href={ "mailto:" (self.contact) } { (self.contact) }
            } @else {
                (self.contact)
            }
        }
    }

    /// The title of a page in the browser's list of tabs.
    pub(super) fn title(&self, heading: &str) -> String {
        format!("{heading} – {}", self.study)
    }

    /// A page as an answer.
    pub(super) fn answer(&self, page: Page) -> Response {
        let markup = self.frame(&page);
        let mut response = (page.status, Html(markup.into_string())).into_response();
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // The policy is made of ASCII only; without it a page would still be harmless, as all of it is escaped.
        if let Ok(policy) = HeaderValue::from_str(&self.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn frame(&self, page: &Page) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // No picture, so that browsers do not ask for one.
                    link rel="icon" href="data:,";
                    title { (page.title) }
                    style { (PreEscaped(STYLE)) }
                    @match &page.refresh {
                        Some(Refresh::Always(seconds)) => (refresh(*seconds)),
                        Some(Refresh::WithoutScript(seconds)) => noscript { (refresh(*seconds)) },
                        None => {},
                    }
                }
                body {
                    (page.content)
                    footer { "Questions? Ask " (self.contact()) "." }
                }
            }
        }
    }
}

fn refresh(seconds: u8) -> Markup {
    html! { meta http-equiv="refresh" content=(seconds); }
}

/// The Content-Security-Policy. Chrome applies `form-action` to the redirects that follow a form too, so Garmin's page
/// is named there; and its sister hosts, because that page may lead on to one of them to sign in.
fn policy(authorize_url: Option<&Url>) -> String {
    let mut form_action = "'self'".to_owned();
    if let Some(url) = authorize_url {
        form_action = format!("{form_action} {}", url.origin().ascii_serialization());
        if let Some(sisters) = sister_hosts(url) {
            form_action = format!("{form_action} {sisters}");
        }
    }
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; \
         form-action {form_action}; base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// `https://*.garmin.com` for `https://connect.garmin.com/…`; none for an address of numbers or a bare domain.
fn sister_hosts(url: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let (_, parent) = host.split_once('.')?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    parent.contains('.').then(|| format!("{}://*.{parent}{port}", url.scheme()))
}

fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// Whether it can become a link as it is.
fn is_mail_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte))
    };
    text.split_once('@').is_some_and(|(name, host)| is_plain(name) && is_plain(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The policy with which a page of this authorize URL comes.
    fn policy_for(url: &str) -> String {
        policy(Some(&url.parse().unwrap()))
    }

    #[test]
    fn a_form_may_lead_to_garmin_and_its_sign_in_only() {
        let garmin = policy_for("https://connect.garmin.com/oauth2Confirm?a=b");
        let form_action = "form-action 'self' https://connect.garmin.com https://*.garmin.com;";
        assert!(garmin.contains(form_action), "{garmin}");
        assert!(
            policy_for("http://127.0.0.1:9000/agree").contains("form-action 'self' http://127.0.0.1:9000;")
        );
        assert!(policy_for("https://example.org/agree").contains("form-action 'self' https://example.org;"));
        assert!(policy(None).contains("form-action 'self';"));
    }

    #[test]
    fn a_mail_address_becomes_a_link_and_words_do_not() {
        let contact = |text: &str| Site::new("", text, String::new(), None).contact().into_string();
        assert_eq!(
            contact("a.b@study.example"),
            r#"<a href="mailto:a.b@study.example">a.b@study.example</a>"#
        );
        assert_eq!(contact("Dr. A, room <3>, a@b.c"), "Dr. A, room &lt;3&gt;, a@b.c");
        assert_eq!(contact("a@b.c?cc=d@e.f"), "a@b.c?cc=d@e.f");
    }

    #[test]
    fn style_and_script_cannot_end_early() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }

    /// Colours by name; the second block of the style sheet is the one for dark surroundings.
    fn palettes() -> [HashMap<&'static str, [f64; 3]>; 2] {
        let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
        [light, dark].map(|block| {
            let lines = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
            lines.map(|(name, hex)| (name, colour(hex.trim_end_matches(';')))).collect()
        })
    }

    fn colour(hex: &str) -> [f64; 3] {
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
    }

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(colour: [f64; 3]) -> f64 {
        let [red, green, blue] = colour
            .map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// WCAG 2.2 AA: 4.5 for text, 3 for what marks a field or the focus.
    #[test]
    fn the_colours_can_be_told_apart() {
        for palette in palettes() {
            for (front, back, least) in [
                ("text", "surface", 4.5),
                ("text", "background", 4.5),
                ("muted", "surface", 4.5),
                ("muted", "background", 4.5),
                ("link", "surface", 4.5),
                ("link", "background", 4.5),
                ("error", "surface", 4.5),
                ("on-button", "button", 4.5),
                ("button", "surface", 3.0),
                ("line", "surface", 3.0),
                ("line", "background", 3.0),
                ("focus", "surface", 3.0),
                ("focus", "background", 3.0),
            ] {
                let ratio = contrast(palette[front], palette[back]);
                assert!(ratio >= least, "{front} on {back}: {ratio:.2}");
            }
        }
        assert!((contrast(colour("ffffff"), colour("000000")) - 21.0).abs() < 0.01);
    }
}
