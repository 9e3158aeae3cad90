//! Sealing what must not lie about in the clear: tokens, code verifiers, notifications as received.
//!
//! XChaCha20-Poly1305 with a random nonce of 192 bits, which is long enough never to repeat by chance
//! (draft-irtf-cfrg-xchacha). A sealed value names its key, so several keys can open while the first seals.
//! Layout: format (1 byte), length of the key's id (1), the id, nonce (24), ciphertext with tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::config::secret;

/// The keys to seal and open with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct SecretsConfig {
    /// Keys as id:base64 of 32 bytes, separated by commas; the first seals, all open. `apollo-worker keys
    /// new` makes one
    #[arg(
        long = "secrets-keys",
        env = "SECRETS__KEYS",
        value_name = "SECRETS__KEYS",
        value_parser = secret,
        hide_env_values = true
    )]
    pub keys: SecretString,
}

/// A wrong setting. The keys themselves are never repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// None at all.
    #[error("SECRETS__KEYS is empty: make a key with `apollo-worker keys new`")]
    None,
    /// Entry `number`, from 1, is malformed.
    #[error(
        "SECRETS__KEYS: entry {number} is not of the form id:base64 of 32 bytes; `apollo-worker keys new` makes one"
    )]
    Malformed {
        /// Its place in the list, from 1.
        number: usize,
    },
}

/// A sealed value that cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// Too short, or of a format that this version does not know.
    #[error("not a sealed value")]
    Format,
    /// The key is not among those given.
    #[error("sealed with the key {0:?}, which SECRETS__KEYS does not hold")]
    UnknownKey(String),
    /// Altered, or sealed for something else.
    #[error("the sealed value was altered, or belongs to something else")]
    Altered,
}

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;

/// The keys, ready for use. Its `Debug` shows ids only.
pub struct Keyring {
    keys: Vec<NamedKey>,
}

struct NamedKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// Reads the setting.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn new(config: &SecretsConfig) -> Result<Self, KeyError> {
        let keys = config
            .keys
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .enumerate()
            .map(|(index, entry)| named_key(entry).ok_or(KeyError::Malformed { number: index + 1 }))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self { keys }) }
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn first_id(&self) -> &str {
        &self.keys[0].id
    }

    /// The ids of all keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// A fresh entry for `SECRETS__KEYS`.
    #[must_use]
    pub fn generate(id: &str) -> String {
        format!("{id}:{}", STANDARD.encode(Key::<XChaCha20Poly1305>::generate()))
    }

    /// Seals `plain` with the first key, for the place that `context` names: only with the same context can
    /// it be opened again.
    #[must_use]
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let NamedKey { id, cipher } = &self.keys[0];
        let nonce = XNonce::generate();
        #[expect(clippy::expect_used, reason = "encryption fails only beyond 256 GB")]
        let sealed = cipher
            .encrypt(&nonce, Payload { msg: plain, aad: context })
            .expect("a value below 256 GB can be sealed");
        let mut value = sealed_prefix(id);
        value.reserve(NONCE_BYTES + sealed.len());
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        value
    }

    /// Opens what [`Keyring::seal`] sealed for the same context.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, value: &[u8], context: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = split_id(value).ok_or(OpenError::Format)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Format)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id.as_bytes() == id)
            .ok_or_else(|| OpenError::UnknownKey(String::from_utf8_lossy(id).into_owned()))?;
        key.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: context })
            .map_err(|_| OpenError::Altered)
    }
}

/// The bytes that everything begins with that the key `id` has sealed.
#[must_use]
pub fn sealed_prefix(id: &str) -> Vec<u8> {
    let mut prefix = vec![FORMAT, id.len() as u8];
    prefix.extend_from_slice(id.as_bytes());
    prefix
}

/// The id of the key that has sealed what begins with these bytes; nothing if no key of Apollo's has.
#[must_use]
pub fn key_id(beginning: &[u8]) -> Option<&str> {
    split_id(beginning).and_then(|(id, _)| std::str::from_utf8(id).ok())
}

fn split_id(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = value.split_first().filter(|(format, _)| **format == FORMAT)?;
    let (id_length, rest) = rest.split_first()?;
    rest.split_at_checked((*id_length).into())
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

fn named_key(entry: &str) -> Option<NamedKey> {
    let (id, encoded) = entry.split_once(':')?;
    let key: [u8; 32] = STANDARD.decode(encoded).ok()?.try_into().ok()?;
    let fits = !id.is_empty() && id.len() <= usize::from(u8::MAX);
    fits.then(|| NamedKey { id: id.to_owned(), cipher: XChaCha20Poly1305::new(&key.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(entries: &[&str]) -> Result<Keyring, KeyError> {
        Keyring::new(&SecretsConfig { keys: entries.join(",").into() })
    }

    #[test]
    fn what_was_sealed_opens_after_the_key_was_replaced() {
        let (old, new) = (Keyring::generate("2026-01"), Keyring::generate("2026-02"));
        let sealed = keyring(&[&old]).unwrap().seal(b"token", b"user 1");
        assert!(!sealed.windows(5).any(|window| window == b"token"));
        assert_eq!(keyring(&[&new, &old]).unwrap().open(&sealed, b"user 1"), Ok(b"token".to_vec()));
        assert_eq!(
            keyring(&[&new]).unwrap().open(&sealed, b"user 1"),
            Err(OpenError::UnknownKey("2026-01".into()))
        );
    }

    #[test]
    fn the_key_of_a_sealed_value_is_known_by_its_first_bytes() {
        let both = keyring(&[&Keyring::generate("a"), &Keyring::generate("ab")]).unwrap();
        assert_eq!((both.first_id(), both.ids().collect::<Vec<_>>()), ("a", vec!["a", "ab"]));
        let sealed = both.seal(b"token", b"user 1");
        assert!(sealed.starts_with(&sealed_prefix("a")) && !sealed.starts_with(&sealed_prefix("ab")));
        assert_eq!((key_id(&sealed), key_id(&sealed[..2]), key_id(b"token")), (Some("a"), None, None));
    }

    #[test]
    fn a_value_cannot_be_altered_or_moved() {
        let keyring = keyring(&[&Keyring::generate("a")]).unwrap();
        let mut sealed = keyring.seal(b"token", b"user 1");
        assert_eq!(keyring.open(&sealed, b"user 2"), Err(OpenError::Altered));
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(keyring.open(&sealed, b"user 1"), Err(OpenError::Altered));
        assert_eq!(keyring.open(&sealed[..10], b"user 1"), Err(OpenError::Format));
    }

    #[test]
    fn a_wrong_setting_is_named_without_being_repeated() {
        assert_eq!(keyring(&[]).unwrap_err(), KeyError::None);
        let error = keyring(&[&Keyring::generate("a"), "b:c2VjcmV0"]).unwrap_err();
        assert_eq!(error, KeyError::Malformed { number: 2 });
        assert!(error.to_string().contains("SECRETS__KEYS") && !error.to_string().contains("c2Vj"));
    }
}
