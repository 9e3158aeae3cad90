//! The pages: what a participant reads, in plain words.

use super::entry::{CONSENT_PATH, Entry};
use super::notice::Notice;
use super::site::{Page, Refresh, SCRIPT, Site};
use apollo_shared::consent::{SUBJECT_ID_CHARACTERS, Status};
use axum::http::StatusCode;
use maud::{Markup, PreEscaped, html};
use uuid::Uuid;

/// Seconds after which a waiting page loads itself again where its script does not run.
const WAITING_SECONDS: u8 = 3;

/// Seconds after which a page of Garmin's answer that was not recorded loads itself again.
const UNRECORDED_SECONDS: u8 = 5;

/// Every outcome that a waiting page may come to show.
const OUTCOMES: [Status; 5] =
    [Status::Linked, Status::SubjectTaken, Status::AccountTaken, Status::Declined, Status::Failed];

/// A heading and what stands under it.
struct Words {
    heading: &'static str,
    text: Markup,
}

impl Words {
    fn markup(&self) -> Markup {
        html! { h1 { (self.heading) } (self.text) }
    }

    fn page(&self, site: &Site, status: StatusCode) -> Page {
        let content = html! { main { (self.markup()) } };
        Page { status, title: site.title(self.heading), refresh: None, content }
    }
}

/// What this is.
pub(super) fn front(site: &Site) -> Page {
    let text = html! {
        p { "This server receives what participants of " (site.study) " record with their Garmin devices." }
        p { a.button href=(CONSENT_PATH) { "Take part with your Garmin account" } }
        p.hint { "Apollo " (env!("CARGO_PKG_VERSION")) }
    };
    Words { heading: "Your Garmin data for research", text }.page(site, StatusCode::OK)
}

/// The state of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// To be filled in.
    Open,
    /// The subject id was not one.
    Wrong,
    /// An invitation says the subject id.
    Invited,
}

/// The form that asks for the subject id, and says what that leads to.
pub(super) fn form(site: &Site, entry: &Entry, filling: Filling) -> Page {
    const HEADING: &str = "Link your Garmin account";
    let (status, title) = match filling {
        Filling::Wrong => (StatusCode::BAD_REQUEST, site.title(&format!("Error: {HEADING}"))),
        Filling::Open | Filling::Invited => (StatusCode::OK, site.title(HEADING)),
    };
    let content = html! {
        main {
            h1 { (HEADING) }
            p {
                "If you agree, Garmin sends what your device records to " strong { (site.study) } ". "
                "You decide about this at Garmin, on the page that comes next. We never see your password."
            }
            h2 { "What is collected" }
            p { "What your device and the app Garmin Connect record from now on:" }
            ul {
                li { "a summary of each day: steps, distance, energy, floors, active minutes" }
                li { "heart rate and its variability" }
                li { "sleep, stress, and Body Battery" }
                li { "breathing, blood oxygen, and skin temperature" }
                li { "weight, body composition, and blood pressure" }
                li { "activities such as walks, runs and rides, with where they led" }
                li { "menstrual cycle and pregnancy, if you keep a record of these" }
            }
            p { "At Garmin you can choose which of these you share, and whether older records are included." }
            h2 { "How to withdraw" }
            p {
                "You can stop at any time, and need not say why: disconnect the study in Garmin Connect, in the list of "
                "connected apps, or ask " (site.contact()) ". From then on nothing new is stored. "
                "What was received before is erased if you ask for it."
            }
            h2 { "Your agreement" }
            form method="post" action=(CONSENT_PATH) {
                (field(entry, filling))
                button { "Continue to Garmin" }
            }
        }
    };
    Page { status, title, refresh: None, content }
}

fn field(entry: &Entry, filling: Filling) -> Markup {
    let is_wrong = filling == Filling::Wrong;
    let described_by = if is_wrong { "sid-error sid-hint" } else { "sid-hint" };
    let hint = match filling {
        Filling::Invited => "Your invitation says it. If it is not yours, stop here and ask.",
        Filling::Open | Filling::Wrong => "The study has given it to you. It is not your name.",
    };
    html! {
        label for="sid" { "Subject id" }
        @if is_wrong {
            p.error #sid-error {
                "This is no subject id. It has 1 to " (SUBJECT_ID_CHARACTERS) " characters: please enter it as you were given it."
            }
        }
        input #sid type="text" name="sid" value=(entry.sid) required autocomplete="off" autocapitalize="none"
            spellcheck="false" aria-describedby=(described_by) aria-invalid=[is_wrong.then_some("true")]
            autofocus[is_wrong] readonly[filling == Filling::Invited];
        p.hint #sid-hint { (hint) }
        @if filling == Filling::Invited {
            input type="hidden" name="invitation" value=(entry.invitation);
        }
    }
}

/// The page that a participant comes back to. It holds the words for every outcome, and its script shows those that
/// apply; without it, the page loads itself again until the outcome is known.
pub(super) fn waiting(site: &Site, consent_id: Uuid, entry: &Entry) -> Page {
    let waiting = outcome_words(site, Status::Pending, entry);
    let content = html! {
        main data-consent-id=(consent_id) {
            div role="status" aria-live="polite" { (waiting.markup()) }
        }
        @for status in OUTCOMES {
            (template(site, status.name(), &outcome_words(site, status, entry)))
        }
        (template(site, "late", &late_words()))
        script { (PreEscaped(SCRIPT)) }
    };
    Page {
        status: StatusCode::ACCEPTED,
        title: site.title(waiting.heading),
        refresh: Some(Refresh::WithoutScript(WAITING_SECONDS)),
        content,
    }
}

/// Words that are not shown yet.
fn template(site: &Site, name: &str, words: &Words) -> Markup {
    html! {
        template id={ "words-" (name) } data-title=(site.title(words.heading)) { (words.markup()) }
    }
}

/// The page of an outcome that is known.
pub(super) fn outcome(site: &Site, status: Status, entry: &Entry) -> Page {
    outcome_words(site, status, entry).page(site, StatusCode::OK)
}

fn outcome_words(site: &Site, status: Status, entry: &Entry) -> Words {
    let (heading, text) = match status {
        Status::Pending => (
            "Linking your account",
            html! { p { "This takes a few seconds. Please leave this page open: it will tell how it went." } },
        ),
        Status::Linked => (
            "Your account is linked",
            html! {
                p { "Thank you. Garmin now sends what your device records to " (site.study) "." }
                p {
                    "There is nothing more to do: wear your device, and synchronise it with Garmin Connect as usual. "
                    "You may close this page."
                }
            },
        ),
        Status::SubjectTaken => (
            "This subject id is linked already",
            html! {
                p { "Another Garmin account is linked with this subject id. Nothing was changed." }
                p {
                    "Is the subject id wrong, or did you sign in to an account at Garmin that is not yours? Then start again. "
                    "Is it right, and you have a new account at Garmin? Then ask " (site.contact()) "."
                }
                (start_again(entry))
            },
        ),
        Status::AccountTaken => (
            "This Garmin account is linked already",
            html! {
                p { "This Garmin account is linked with another subject id of the study. Nothing was changed." }
                p {
                    "Did somebody else sign in to Garmin in this browser? Then sign out at Garmin, and start again with your own "
                    "account. Have you been given a new subject id? Then ask " (site.contact()) "."
                }
                (start_again(entry))
            },
        ),
        Status::Declined => (
            "You did not agree",
            html! {
                p { "At Garmin you did not agree, so nothing was linked, and nothing is sent to the study." }
                p { "If this is not what you wanted, start again." }
                (start_again(entry))
            },
        ),
        Status::Failed => (
            "It did not work this time",
            html! {
                p { "Garmin did not confirm the link, so nothing was linked. This is not your fault." }
                p { "Please start again in a few minutes. If it fails again, ask " (site.contact()) "." }
                (start_again(entry))
            },
        ),
    };
    Words { heading, text }
}

fn late_words() -> Words {
    Words {
        heading: "This takes longer than usual",
        text: html! {
            p {
                "Your agreement has arrived, but is not confirmed yet. You may leave this page open, "
                "or come back to it within the hour: it will tell how it went."
            }
        },
    }
}

/// The page for a request that was not followed.
pub(super) fn notice(site: &Site, notice: Notice, entry: &Entry) -> Page {
    let words = notice_words(site, notice, entry);
    let mut page = words.page(site, notice.status());
    if notice == Notice::Unrecorded {
        page.refresh = Some(Refresh::Always(UNRECORDED_SECONDS));
    }
    page
}

fn notice_words(site: &Site, notice: Notice, entry: &Entry) -> Words {
    let (heading, text) = match notice {
        Notice::NotSetUp => (
            "Accounts cannot be linked yet",
            html! { p { "This server is not set up for it. Please tell " (site.contact()) "." } },
        ),
        Notice::NoInvitation => (
            "You need an invitation",
            html! {
                p {
                    "Please open the link that the study has sent you. If you have none, ask " (site.contact())
                    " for one."
                }
            },
        ),
        Notice::InvalidInvitation => (
            "This invitation is not valid",
            html! {
                p {
                    "Its link may be incomplete: please open it exactly as you received it. If that does not help, ask "
                    (site.contact()) " for a new one."
                }
            },
        ),
        Notice::ExpiredInvitation => {
            ("This invitation has expired", html! { p { "Please ask " (site.contact()) " for a new one." } })
        }
        Notice::OtherSite => (
            "Please start on this server",
            html! {
                p { "The form was sent from another site, so it was not followed. Please fill it in here." }
                (start_again_at(&format!("{}{}", site.origin, entry.path())))
            },
        ),
        Notice::UnreadableForm => (
            "The form could not be read",
            html! { p { "Nothing was sent to Garmin. Please start again." } (start_again(entry)) },
        ),
        Notice::Unavailable => (
            "It does not work for now",
            html! {
                p { "Garmin or this server cannot be reached. Nothing was linked. Please start again in a few minutes." }
                (start_again(entry))
            },
        ),
        Notice::NotBegunHere => (
            "Please finish in the browser in which you began",
            html! {
                p {
                    "This browser has not begun to link an account, or it was more than an hour ago, or it keeps no cookies. "
                    "Nothing was linked. Please go back to the browser in which you began, or start again in this one."
                }
                (start_again(entry))
            },
        ),
        Notice::Unrecorded => (
            "Please reload this page in a moment",
            html! {
                p {
                    "You are back from Garmin, but your answer could not be recorded yet. "
                    "Reload this page, or wait: it tries again by itself."
                }
            },
        ),
    };
    Words { heading, text }
}

fn start_again(entry: &Entry) -> Markup {
    start_again_at(&entry.path())
}

fn start_again_at(address: &str) -> Markup {
    html! { p { a.button href=(address) { "Start again" } } }
}
