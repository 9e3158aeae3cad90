//! Where Garmin is and who we are to it: the settings that both programs share, and the client that calls it.

use crate::config::secret;
use clap::{Args, ValueEnum};
use reqwest::{Certificate, Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How long Garmin may take to accept a connection, and to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// Where Garmin is, and who we are to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Garmin")]
pub struct GarminConfig {
    /// The consumer key of the app in Garmin's developer portal; the client id under OAuth 2.0
    #[arg(
        id = "garmin_consumer_key",
        long = "garmin-consumer-key",
        env = "GARMIN__CONSUMER_KEY",
        value_name = "GARMIN__CONSUMER_KEY"
    )]
    pub consumer_key: Option<String>,
    /// The consumer secret of the app; the client secret under OAuth 2.0
    #[arg(
        id = "garmin_consumer_secret",
        long = "garmin-consumer-secret",
        env = "GARMIN__CONSUMER_SECRET",
        value_name = "GARMIN__CONSUMER_SECRET",
        value_parser = secret,
        hide_env_values = true
    )]
    pub consumer_secret: Option<SecretString>,
    /// How participants consent: 2 for OAuth 2.0 with PKCE, 1 for OAuth 1.0a, which Garmin retires on 31 December
    /// 2026
    #[arg(
        id = "garmin_oauth_version",
        long = "garmin-oauth-version",
        env = "GARMIN__OAUTH_VERSION",
        value_name = "GARMIN__OAUTH_VERSION",
        default_value = "2"
    )]
    pub oauth_version: OauthVersion,
    /// OAuth 1.0a: where a request token is got
    #[arg(
        id = "garmin_request_token_url",
        long = "garmin-request-token-url",
        env = "GARMIN__REQUEST_TOKEN_URL",
        value_name = "GARMIN__REQUEST_TOKEN_URL",
        default_value = "https://connectapi.garmin.com/oauth-service/oauth/request_token"
    )]
    pub request_token_url: Url,
    /// OAuth 1.0a: the page on which the participant agrees
    #[arg(
        id = "garmin_oauth1_authorize_url",
        long = "garmin-oauth1-authorize-url",
        env = "GARMIN__OAUTH1_AUTHORIZE_URL",
        value_name = "GARMIN__OAUTH1_AUTHORIZE_URL",
        default_value = "https://connect.garmin.com/oauthConfirm"
    )]
    pub oauth1_authorize_url: Url,
    /// OAuth 1.0a: where a request token is exchanged for an access token
    #[arg(
        id = "garmin_access_token_url",
        long = "garmin-access-token-url",
        env = "GARMIN__ACCESS_TOKEN_URL",
        value_name = "GARMIN__ACCESS_TOKEN_URL",
        default_value = "https://connectapi.garmin.com/oauth-service/oauth/access_token"
    )]
    pub access_token_url: Url,
    /// OAuth 2.0: the page on which the participant agrees
    #[arg(
        id = "garmin_oauth2_authorize_url",
        long = "garmin-oauth2-authorize-url",
        env = "GARMIN__OAUTH2_AUTHORIZE_URL",
        value_name = "GARMIN__OAUTH2_AUTHORIZE_URL",
        default_value = "https://connect.garmin.com/oauth2Confirm"
    )]
    pub oauth2_authorize_url: Url,
    /// OAuth 2.0: where a code is exchanged for tokens, and tokens are refreshed
    #[arg(
        id = "garmin_oauth2_token_url",
        long = "garmin-oauth2-token-url",
        env = "GARMIN__OAUTH2_TOKEN_URL",
        value_name = "GARMIN__OAUTH2_TOKEN_URL",
        default_value = "https://diauth.garmin.com/di-oauth2-service/oauth/token"
    )]
    pub oauth2_token_url: Url,
    /// Where an OAuth 1.0a token is exchanged for OAuth 2.0 tokens
    #[arg(
        id = "garmin_token_exchange_url",
        long = "garmin-token-exchange-url",
        env = "GARMIN__TOKEN_EXCHANGE_URL",
        value_name = "GARMIN__TOKEN_EXCHANGE_URL",
        default_value = "https://apis.garmin.com/partner-gateway/rest/user/token-exchange"
    )]
    pub token_exchange_url: Url,
    /// The API: user ids, permissions, registrations, data
    #[arg(
        id = "garmin_api_url",
        long = "garmin-api-url",
        env = "GARMIN__API_URL",
        value_name = "GARMIN__API_URL",
        default_value = "https://apis.garmin.com/wellness-api/rest"
    )]
    pub api_url: Url,
    /// A file with certificates (PEM) of authorities to trust for Garmin's addresses, beside the system's own
    #[arg(
        id = "garmin_ca_file",
        long = "garmin-ca-file",
        env = "GARMIN__CA_FILE",
        value_name = "GARMIN__CA_FILE"
    )]
    pub ca_file: Option<PathBuf>,
}

/// How participants consent (garmin-health-api.md 4 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum OauthVersion {
    /// OAuth 1.0a (RFC 5849).
    #[value(name = "1")]
    #[serde(rename = "1")]
    One,
    /// OAuth 2.0 (RFC 6749) with PKCE (RFC 7636).
    #[value(name = "2")]
    #[serde(rename = "2")]
    Two,
}

/// Who we are to Garmin.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Not a secret: it stands in every authorise URL.
    pub key: String,
    /// The secret.
    pub secret: SecretString,
}

/// A wrong setting; the message names its variable.
#[derive(Debug, thiserror::Error)]
pub enum GarminConfigError {
    /// One of the two without the other.
    #[error("{0} is not set, though its counterpart is: copy both from Garmin's developer portal")]
    HalfAConsumer(&'static str),
    /// The file of certificates cannot be read.
    #[error("GARMIN__CA_FILE: {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no certificates, or the machine's own cannot be used.
    #[error("GARMIN__CA_FILE: the certificates cannot be used")]
    Client(#[source] reqwest::Error),
}

impl GarminConfig {
    /// Who we are to Garmin; nothing while neither part is set.
    ///
    /// # Errors
    /// One of the two is missing.
    pub fn consumer(&self) -> Result<Option<Consumer>, GarminConfigError> {
        let key = self.consumer_key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        let secret = self.consumer_secret.as_ref().filter(|secret| !secret.expose_secret().is_empty());
        match (key, secret) {
            (None, None) => Ok(None),
            (Some(key), Some(secret)) => Ok(Some(Consumer { key: key.to_owned(), secret: secret.clone() })),
            (None, Some(_)) => Err(GarminConfigError::HalfAConsumer("GARMIN__CONSUMER_KEY")),
            (Some(_), None) => Err(GarminConfigError::HalfAConsumer("GARMIN__CONSUMER_SECRET")),
        }
    }

    /// A client for Garmin's addresses. It follows no redirect: a signature or a token is for one address only.
    ///
    /// # Errors
    /// The file of certificates is of no use.
    pub fn client(&self) -> Result<Client, GarminConfigError> {
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("apollo/", env!("CARGO_PKG_VERSION")));
        let builder = match self.ca_file.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => builder,
            Some(path) => {
                let pem = std::fs::read(path)
                    .map_err(|source| GarminConfigError::CaFile { path: path.clone(), source })?;
                builder
                    .tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(GarminConfigError::Client)?)
            }
        };
        builder.build().map_err(GarminConfigError::Client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        garmin: GarminConfig,
    }

    fn config(arguments: &[&str]) -> GarminConfig {
        Arguments::try_parse_from(["test"].iter().chain(arguments)).unwrap().garmin
    }

    #[test]
    fn half_a_consumer_is_named() {
        assert!(config(&[]).consumer().unwrap().is_none());
        let error = config(&["--garmin-consumer-key", "key"]).consumer().unwrap_err().to_string();
        assert!(error.starts_with("GARMIN__CONSUMER_SECRET"), "{error}");
        let whole = config(&["--garmin-consumer-key", "key", "--garmin-consumer-secret", "hush"]);
        assert_eq!(whole.consumer().unwrap().unwrap().key, "key");
        assert!(!format!("{whole:?}").contains("hush"));
    }
}
