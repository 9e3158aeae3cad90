//! The URL in a ping, once it is known to be Garmin's.
//!
//! Nobody signs a ping. A forged one could have Apollo send a user's token anywhere, or ask what only its own network can
//! reach; so nothing is asked but https at the hosts that are configured (garmin-health-api.md 8), and no redirect is
//! followed.

use apollo_shared::envelope::Microseconds;
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The port of https.
const HTTPS: u16 = 443;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// A host that a callback URL may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackHost {
    host: String,
    port: u16,
}

/// A host that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a host name, perhaps with a port behind a colon, such as apis.garmin.com")]
pub struct CallbackHostError;

impl FromStr for CallbackHost {
    type Err = CallbackHostError;

    fn from_str(text: &str) -> Result<Self, CallbackHostError> {
        let text = text.trim();
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| CallbackHostError)?;
        let bare = url.username().is_empty() && url.password().is_none() && !text.contains(['/', '?', '#']);
        match url.host_str().filter(|host| bare && !host.is_empty()) {
            Some(host) => Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(HTTPS) }),
            None => Err(CallbackHostError),
        }
    }
}

/// Why a callback URL is not followed. The URL may hold a token, and is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackUrlError {
    /// It cannot be read.
    #[error("callbackURL is no URL")]
    NotAUrl,
    /// Tokens are not sent in the clear.
    #[error("callbackURL is not https")]
    NotHttps,
    /// Garmin's have none; they are a means to disguise the host.
    #[error("callbackURL names a user before its host")]
    UserInformation,
    /// It is not at Garmin.
    #[error("the host of callbackURL is not among GARMIN__CALLBACK_HOSTS: {0}")]
    Host(String),
}

/// A URL of Garmin's that holds what a ping announces. A secret, as it may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl(Url);

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a callback URL")
    }
}

impl CallbackUrl {
    /// Reads it.
    ///
    /// # Errors
    /// It is none of Garmin's.
    pub fn read(text: &str, hosts: &[CallbackHost]) -> Result<Self, CallbackUrlError> {
        let url = Url::parse(text).map_err(|_| CallbackUrlError::NotAUrl)?;
        if url.scheme() != "https" {
            return Err(CallbackUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CallbackUrlError::UserInformation);
        }
        let host = url.host_str().unwrap_or_default();
        let port = url.port().unwrap_or(HTTPS);
        if !hosts.iter().any(|allowed| allowed.host == host && allowed.port == port) {
            return Err(CallbackUrlError::Host(format!("{host}:{port}")));
        }
        Ok(Self(url))
    }

    /// The URL, to be asked as it is (garmin-health-api.md 2.2).
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// By which the URL is known again when a ping is repeated: its own digest, with that of the user it came for.
    #[must_use]
    pub fn digest(&self, user_id: &str) -> [u8; 32] {
        Sha256::new().chain_update(user_id).chain_update([0]).chain_update(self.0.as_str()).finalize().into()
    }

    /// The end of the range of upload times that it asks for, if it names one: a ping comes after it.
    #[must_use]
    pub fn upload_end(&self) -> Option<Microseconds> {
        let (_, seconds) = self.0.query_pairs().find(|(name, _)| name == "uploadEndTimeInSeconds")?;
        seconds.parse::<i64>().ok()?.checked_mul(SECOND).map(Microseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts(texts: &[&str]) -> Vec<CallbackHost> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_https_at_the_very_host_and_port_is_followed() {
        let hosts = hosts(&["apis.garmin.com", "127.0.0.1:8443"]);
        for good in [
            "https://apis.garmin.com/wellness-api/rest/dailies?token=t",
            "https://apis.garmin.com:443/x",
            "HTTPS://APIS.GARMIN.COM/x",
            "https://127.0.0.1:8443/x",
        ] {
            assert!(CallbackUrl::read(good, &hosts).is_ok(), "{good}");
        }
        for (forged, why) in [
            ("", CallbackUrlError::NotAUrl),
            ("apis.garmin.com/x", CallbackUrlError::NotAUrl),
            ("http://apis.garmin.com/x", CallbackUrlError::NotHttps),
            ("file:///etc/passwd", CallbackUrlError::NotHttps),
            ("gopher://apis.garmin.com/x", CallbackUrlError::NotHttps),
            ("https://apis.garmin.com@evil.example/x", CallbackUrlError::UserInformation),
            ("https://a:b@apis.garmin.com/x", CallbackUrlError::UserInformation),
            ("https://apis.garmin.com:8443/x", CallbackUrlError::Host("apis.garmin.com:8443".into())),
            (
                "https://apis.garmin.com.evil.example/",
                CallbackUrlError::Host("apis.garmin.com.evil.example:443".into()),
            ),
            ("https://evil.example\\@apis.garmin.com/", CallbackUrlError::Host("evil.example:443".into())),
            (
                "https://169.254.169.254/latest/meta-data",
                CallbackUrlError::Host("169.254.169.254:443".into()),
            ),
            ("https://0x7f000001/x", CallbackUrlError::Host("127.0.0.1:443".into())),
            ("https://[::1]:8443/x", CallbackUrlError::Host("[::1]:8443".into())),
            ("https://localhost:8443/x", CallbackUrlError::Host("localhost:8443".into())),
            ("https://apis.garmin.com./x", CallbackUrlError::Host("apis.garmin.com.:443".into())),
        ] {
            assert_eq!(CallbackUrl::read(forged, &hosts), Err(why), "{forged}");
        }
    }

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for bad in
            ["", "https://apis.garmin.com", "apis.garmin.com/rest", "user@apis.garmin.com", "a:b:c", "a?b"]
        {
            assert_eq!(bad.parse::<CallbackHost>(), Err(CallbackHostError), "{bad}");
        }
        assert_eq!(hosts(&["APIS.garmin.com "]), hosts(&["apis.garmin.com:443"]));
    }

    #[test]
    fn the_same_url_is_another_for_another_user() {
        let url = CallbackUrl::read("https://a/?uploadEndTimeInSeconds=12&token=t", &hosts(&["a"])).unwrap();
        assert_eq!(url.digest("u"), url.clone().digest("u"));
        assert_ne!(url.digest("u"), url.digest("v"));
        assert_eq!(url.upload_end(), Some(Microseconds(12_000_000)));
        assert_eq!(format!("{url:?}"), "a callback URL");
    }

    proptest! {
        #[test]
        fn no_text_makes_apollo_ask_another_host(text in "[hH]?ttps?:[/\\\\]{0,3}[a-z.@:%\\[\\]0-9#?/\\\\ -]{0,40}") {
            if let Ok(url) = CallbackUrl::read(&text, &hosts(&["apis.garmin.com"])) {
                prop_assert_eq!(url.url().host_str(), Some("apis.garmin.com"));
                prop_assert_eq!(url.url().port_or_known_default(), Some(HTTPS));
                prop_assert_eq!(url.url().scheme(), "https");
            }
        }
    }
}
