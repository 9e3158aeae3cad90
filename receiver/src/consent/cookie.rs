//! The cookie that ties a consent to the browser in which it began.
//!
//! Each consent has one of its own, named after what Garmin gives back, so that two tabs do not hurt each other. Its
//! value is sealed: nobody else can make or read one, and the receiver needs no memory of consents under way.

use super::entry::Entry;
use apollo_shared::consent::{Invitation, SubjectId};
use apollo_shared::secrets::Keyring;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const PREFIX: &str = "apollo-consent-";

/// Hexadecimal digits of a name behind the prefix.
const NAME_DIGITS: usize = 16;

/// What cookies are sealed for, so that nothing else that is sealed passes for one.
const CONTEXT: &[u8] = b"consent cookie";

/// Seconds that a participant may take at Garmin, and may come back to the outcome.
const GOOD_FOR: i64 = 60 * 60;

/// Consents that one browser may have under way. With more of them (a tablet that is handed around) nginx would at last
/// refuse the header that carries their cookies.
const UNDER_WAY: usize = 8;

/// What a cookie says: which consent was begun, as whom, and what Garmin is to give back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) consent_id: Uuid,
    /// The state (OAuth 2.0) or the request token (OAuth 1.0a).
    pub(super) reference: String,
    pub(super) subject_id: SubjectId,
    /// Of the invitation that it was begun with, if any; Unix seconds.
    pub(super) invited_until: Option<i64>,
    /// Unix seconds.
    pub(super) began_at: i64,
}

impl Ticket {
    /// The value of a `Set-Cookie` header; `secure` where the pages are served by https.
    pub(super) fn to_set_cookie(&self, keyring: &Keyring, secure: bool) -> String {
        // A structure of texts and numbers always serializes; one that did not would not open either.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let value = URL_SAFE_NO_PAD.encode(keyring.seal(&plain, CONTEXT));
        set_cookie(&name(&self.reference), &value, GOOD_FOR, secure)
    }

    /// The consent that this browser began and that Garmin gave `reference`; `now` in Unix seconds.
    pub(super) fn find(headers: &HeaderMap, reference: &str, keyring: &Keyring, now: i64) -> Option<Self> {
        let name = name(reference);
        let (_, value) = cookies(headers).find(|(of, _)| *of == name)?;
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let ticket: Self = serde_json::from_slice(&keyring.open(&sealed, CONTEXT).ok()?).ok()?;
        let is_good = ticket.reference == reference && now < ticket.began_at + GOOD_FOR;
        is_good.then_some(ticket)
    }

    /// What the form was filled in with, to start again from.
    pub(super) fn entry(&self, keyring: &Keyring) -> Entry {
        let invitation = self.invited_until.map(|expires_at| {
            Invitation { subject_id: self.subject_id.clone(), expires_at }.to_link_text(keyring)
        });
        Entry { sid: self.subject_id.as_str().to_owned(), invitation: invitation.unwrap_or_default() }
    }
}

/// `Set-Cookie` headers that make a browser forget its older consents, once it has too many of them.
pub(super) fn forget_older(headers: &HeaderMap, secure: bool) -> Vec<String> {
    let names: Vec<&str> = cookies(headers).map(|(name, _)| name).filter(|name| is_name(name)).collect();
    if names.len() < UNDER_WAY {
        return vec![];
    }
    names.into_iter().map(|name| set_cookie(name, "", 0, secure)).collect()
}

/// SameSite=Lax: sent along when Garmin leads the browser back here, but with no form and no image of another site.
fn set_cookie(name: &str, value: &str, max_age: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/oauth/garmin; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}")
}

fn name(reference: &str) -> String {
    let digest = Sha256::digest(reference);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{}", &digits[..NAME_DIGITS])
}

fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Names and values of a request's cookies.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line: &HeaderValue| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_shared::secrets::SecretsConfig;

    fn keyring() -> Keyring {
        Keyring::new(&SecretsConfig { keys: Keyring::generate("a").into() }).unwrap()
    }

    fn ticket(reference: &str) -> Ticket {
        Ticket {
            consent_id: Uuid::new_v4(),
            reference: reference.into(),
            subject_id: SubjectId::parse("P-007").unwrap(),
            invited_until: None,
            began_at: 1000,
        }
    }

    /// What a browser sends back of what it was told to keep.
    fn sent_back(set_cookies: &[String]) -> HeaderMap {
        let pairs: Vec<&str> = set_cookies.iter().map(|cookie| cookie.split_once(';').unwrap().0).collect();
        HeaderMap::from_iter([(COOKIE, format!("other=1; {}", pairs.join("; ")).parse().unwrap())])
    }

    #[test]
    fn each_tab_finds_its_own_consent() {
        let keyring = keyring();
        let (first, second) = (ticket("state-1"), ticket("state-2"));
        let headers = sent_back(&[&first, &second].map(|ticket| ticket.to_set_cookie(&keyring, true)));
        assert_eq!(Ticket::find(&headers, "state-1", &keyring, 1001), Some(first));
        assert_eq!(Ticket::find(&headers, "state-2", &keyring, 1001), Some(second));
        assert_eq!(Ticket::find(&headers, "state-3", &keyring, 1001), None);
        assert_eq!(Ticket::find(&HeaderMap::new(), "state-1", &keyring, 1001), None);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites_and_tells_nothing() {
        let cookie = ticket("state-1").to_set_cookie(&keyring(), true);
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/oauth/garmin; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
        let value = pair.split_once('=').unwrap().1;
        let plain = String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(value).unwrap()).into_owned();
        assert!(!plain.contains("P-007") && !plain.contains("state-1"), "{plain}");
        assert!(pair.len() < 600, "{} bytes", pair.len());
        assert!(!ticket("state-1").to_set_cookie(&keyring(), false).contains("Secure"));
    }

    #[test]
    fn a_cookie_of_another_key_age_or_purpose_is_none() {
        let keyring = keyring();
        let cookie = ticket("state-1").to_set_cookie(&keyring, true);
        let headers = sent_back(std::slice::from_ref(&cookie));
        assert!(Ticket::find(&headers, "state-1", &keyring, 1000 + GOOD_FOR - 1).is_some());
        assert_eq!(Ticket::find(&headers, "state-1", &keyring, 1000 + GOOD_FOR), None);
        assert_eq!(Ticket::find(&headers, "state-1", &self::keyring(), 1001), None);

        let renamed = cookie.replace(&name("state-1"), &name("state-2"));
        assert_eq!(Ticket::find(&sent_back(&[renamed]), "state-2", &keyring, 1001), None);
        let plain = serde_json::to_vec(&ticket("state-1")).unwrap();
        let foreign = URL_SAFE_NO_PAD.encode(keyring.seal(&plain, b"invitation"));
        let foreign = set_cookie(&name("state-1"), &foreign, GOOD_FOR, true);
        assert_eq!(Ticket::find(&sent_back(&[foreign]), "state-1", &keyring, 1001), None);
    }

    #[test]
    fn a_browser_that_is_handed_around_forgets_in_time() {
        let keyring = keyring();
        let cookies: Vec<String> = (0..UNDER_WAY)
            .map(|number| ticket(&format!("state-{number}")).to_set_cookie(&keyring, true))
            .collect();
        assert!(forget_older(&sent_back(&cookies[1..]), true).is_empty());
        let forgotten = forget_older(&sent_back(&cookies), true);
        assert_eq!(forgotten.len(), UNDER_WAY);
        assert!(forgotten[0].starts_with(&format!("{}=; ", name("state-0"))), "{}", forgotten[0]);
        assert!(forgotten.iter().all(|cookie| cookie.contains("Max-Age=0")));
    }

    #[test]
    fn starting_again_keeps_the_invitation() {
        let keyring = keyring();
        let invited = Ticket { invited_until: Some(5000), ..ticket("state-1") };
        let invitation = Invitation::from_link_text(&invited.entry(&keyring).invitation, &keyring, 4999);
        assert_eq!(invitation.map(|invitation| invitation.subject_id), Ok(invited.subject_id));
        assert_eq!(ticket("state-1").entry(&keyring).path(), "/oauth/garmin/consent?sid=P-007");
    }
}
