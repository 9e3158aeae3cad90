//! A consent on its way: what the receiver tells the worker when a participant begins and comes back, and what the
//! worker answers.
//!
//! The messages carry secrets (verifiers, codes, token secrets), so these travel sealed, each for the one consent it
//! belongs to. An invitation is sealed too: only who holds the keys can make one.

use crate::garmin::OauthVersion;
use crate::secrets::{Keyring, OpenError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use uuid::Uuid;

/// The `type` of [`Started`] messages.
pub const STARTED: &str = "consent.started";

/// The `type` of [`Callback`] messages.
pub const CALLBACK: &str = "consent.callback";

/// The routing key of a message of this `type`.
#[must_use]
pub fn routing_key(kind: &str) -> String {
    format!("account.{kind}")
}

/// The name that a study has given a participant: 1 to 100 characters, none of them a control character, without
/// white space at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectId(String);

/// Characters of a subject id at most.
pub const SUBJECT_ID_CHARACTERS: usize = 100;

/// A text that is no subject id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject id has 1 to {SUBJECT_ID_CHARACTERS} characters, none of them a control character")]
pub struct SubjectIdError;

impl SubjectId {
    /// Reads what a person has typed: white space around it does not count.
    ///
    /// # Errors
    /// It is empty, too long, or holds control characters.
    pub fn parse(text: &str) -> Result<Self, SubjectIdError> {
        let text = text.trim();
        let fits = !text.is_empty()
            && text.chars().count() <= SUBJECT_ID_CHARACTERS
            && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned())).ok_or(SubjectIdError)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SubjectId {
    type Error = SubjectIdError;

    fn try_from(text: String) -> Result<Self, SubjectIdError> {
        Self::parse(&text)
    }
}

impl From<SubjectId> for String {
    fn from(subject_id: SubjectId) -> Self {
        subject_id.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that only holders of the keys can read; in JSON, text of base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed<T> {
    text: String,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealed")
    }
}

/// A sealed value that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The keys do not open it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was opened, and is not what was sealed.
    #[error("a sealed value holds something else than it should")]
    Content,
}

impl<T: Serialize + DeserializeOwned> Sealed<T> {
    /// Seals `value` for one consent.
    #[must_use]
    pub fn seal(value: &T, consent_id: Uuid, keyring: &Keyring) -> Self {
        // Strings in enums always serialize; a value that did not would not open either.
        let plain = serde_json::to_vec(value).unwrap_or_default();
        let text = STANDARD.encode(keyring.seal(&plain, consent_id.as_bytes()));
        Self { text, of: PhantomData }
    }

    /// Opens what was sealed for the same consent.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn open(&self, consent_id: Uuid, keyring: &Keyring) -> Result<T, UnsealError> {
        let sealed = STANDARD.decode(&self.text).map_err(|_| UnsealError::Content)?;
        let plain = keyring.open(&sealed, consent_id.as_bytes())?;
        serde_json::from_slice(&plain).map_err(|_| UnsealError::Content)
    }
}

/// A participant has begun: `consent.started`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Made at random by the receiver: who knows it may ask for the outcome.
    pub consent_id: Uuid,
    /// Whom the account is to be linked with.
    pub subject_id: SubjectId,
    /// How.
    pub oauth_version: OauthVersion,
    /// Where Garmin was told to send the participant back to; OAuth 2.0 wants it again.
    pub redirect_uri: String,
    /// What the exchange will need.
    pub secret: Sealed<StartedSecret>,
}

/// What only the worker may know of a consent that has begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedSecret {
    /// OAuth 2.0: the PKCE code verifier (RFC 7636, 4.1).
    CodeVerifier(String),
    /// OAuth 1.0a: the request token and its secret.
    RequestToken {
        /// The token.
        token: String,
        /// Its secret.
        secret: String,
    },
}

/// A participant has come back: `consent.callback`. It may come many times, and before its [`Started`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Callback {
    /// As in [`Started`].
    pub consent_id: Uuid,
    /// What the participant brought back.
    pub answer: Sealed<Answer>,
}

/// What a participant brings back from Garmin.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// OAuth 2.0: the authorization code.
    Code(String),
    /// OAuth 1.0a: the verifier.
    Verifier(String),
    /// The participant did not agree.
    Declined,
    /// Garmin could not go on with it.
    Failed,
}

/// What came of a consent; sent to every receiver over the exchange [`crate::topology::OUTCOMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which consent.
    pub consent_id: Uuid,
    /// What came of it.
    pub status: Status,
}

/// The state of a consent, as the status path tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not known yet.
    Pending,
    /// The account is linked with the subject.
    Linked,
    /// The subject is linked with another account already; nothing was changed.
    SubjectTaken,
    /// The account is linked with another subject already; nothing was changed.
    AccountTaken,
    /// The participant did not agree.
    Declined,
    /// Garmin could not be asked, or refused; the participant may start again.
    Failed,
}

impl Status {
    /// The word in JSON, in the database, and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Linked => "linked",
            Self::SubjectTaken => "subject_taken",
            Self::AccountTaken => "account_taken",
            Self::Declined => "declined",
            Self::Failed => "failed",
        }
    }
}

/// Leave to consent as one subject, until a moment; travels in a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// As whom.
    pub subject_id: SubjectId,
    /// Unix seconds from which it is no longer good.
    pub expires_at: i64,
}

/// A link that does not invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Damaged, forged, or made with a key that is no longer used.
    #[error("the invitation is not valid")]
    Invalid,
    /// Too old.
    #[error("the invitation has expired")]
    Expired,
}

/// What invitations are sealed for, so that nothing else that is sealed passes for one.
const INVITATION: &[u8] = b"invitation";

impl Invitation {
    /// The text for a link: letters, digits, `-` and `_`.
    #[must_use]
    pub fn to_link_text(&self, keyring: &Keyring) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(keyring.seal(&plain, INVITATION))
    }

    /// Reads the text of a link; `now` in Unix seconds.
    ///
    /// # Errors
    /// See [`InvitationError`].
    pub fn from_link_text(text: &str, keyring: &Keyring, now: i64) -> Result<Self, InvitationError> {
        let sealed = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvitationError::Invalid)?;
        let plain = keyring.open(&sealed, INVITATION).map_err(|_| InvitationError::Invalid)?;
        let invitation: Self = serde_json::from_slice(&plain).map_err(|_| InvitationError::Invalid)?;
        if invitation.expires_at > now { Ok(invitation) } else { Err(InvitationError::Expired) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretsConfig;

    fn keyring(id: &str) -> Keyring {
        Keyring::new(&SecretsConfig { keys: Keyring::generate(id).into() }).unwrap()
    }

    #[test]
    fn a_subject_id_is_what_a_person_may_type() {
        assert_eq!(SubjectId::parse("  P-007 \n").unwrap().as_str(), "P-007");
        assert!(SubjectId::parse("Übung 3 (Kontrolle)").is_ok());
        for text in ["", "   ", "a\0b", "a\nb", &"x".repeat(101)] {
            assert_eq!(SubjectId::parse(text), Err(SubjectIdError), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_sealed_for_its_consent_alone() {
        let keyring = keyring("a");
        let (consent_id, other) = (Uuid::now_v7(), Uuid::now_v7());
        let secret = StartedSecret::CodeVerifier("correct-horse".into());
        let started = Started {
            consent_id,
            subject_id: SubjectId::parse("P-007").unwrap(),
            oauth_version: OauthVersion::Two,
            redirect_uri: "http://127.0.0.1/callback".into(),
            secret: Sealed::seal(&secret, consent_id, &keyring),
        };
        let json = serde_json::to_string(&started).unwrap();
        assert!(!json.contains("horse"));
        let read: Started = serde_json::from_str(&json).unwrap();
        assert!(read.secret.open(consent_id, &keyring).unwrap() == secret);
        assert!(read.secret.open(other, &keyring).is_err());
    }

    #[test]
    fn an_invitation_holds_until_it_expires_and_cannot_be_forged() {
        let keyring = keyring("a");
        let invitation = Invitation { subject_id: SubjectId::parse("P-007").unwrap(), expires_at: 1000 };
        let text = invitation.to_link_text(&keyring);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        assert_eq!(Invitation::from_link_text(&text, &keyring, 999), Ok(invitation));
        assert_eq!(Invitation::from_link_text(&text, &keyring, 1000), Err(InvitationError::Expired));
        let forged = Invitation::from_link_text(&text, &self::keyring("a"), 0);
        assert_eq!(forged, Err(InvitationError::Invalid));
        let other_use = URL_SAFE_NO_PAD.encode(keyring.seal(b"{}", b"something else"));
        assert_eq!(Invitation::from_link_text(&other_use, &keyring, 0), Err(InvitationError::Invalid));
    }

    #[test]
    fn a_status_has_one_name_everywhere() {
        for status in [
            Status::Pending,
            Status::Linked,
            Status::SubjectTaken,
            Status::AccountTaken,
            Status::Declined,
            Status::Failed,
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
}
