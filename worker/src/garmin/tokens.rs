//! Tokens as Garmin gives and takes them.

use apollo_shared::oauth1::TokenPair;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

/// OAuth 1.0a: a token and its secret, be it a request token or a user's access token.
#[derive(Debug, Clone)]
pub struct Oauth1Token {
    /// The token; of an access token, what notifications call `userAccessToken`.
    pub token: SecretString,
    /// What requests are signed with.
    pub secret: SecretString,
}

impl Oauth1Token {
    pub(super) fn pair(&self) -> TokenPair<'_> {
        TokenPair { token: self.token.expose_secret(), secret: self.secret.expose_secret() }
    }
}

/// OAuth 2.0: what a code, a refresh token or an OAuth 1.0a token is given for.
#[derive(Debug, Clone)]
pub struct Oauth2Tokens {
    /// The bearer token.
    pub access_token: SecretString,
    /// What the next tokens are got with; the one that got these has ended.
    pub refresh_token: SecretString,
    /// How long the access token lives.
    pub expires_in: Duration,
    /// How long the refresh token lives, if Garmin says so.
    pub refresh_expires_in: Option<Duration>,
    /// What they are good for, in Garmin's words.
    pub scope: Option<String>,
}

/// What lets us call Garmin for a user.
#[derive(Debug, Clone)]
pub enum UserToken {
    /// OAuth 1.0a: requests are signed with it.
    Oauth1(Oauth1Token),
    /// OAuth 2.0: requests carry it.
    Oauth2 {
        /// The bearer token.
        access_token: SecretString,
    },
}
