//! The receiver's configuration (design.md section 6).

use crate::budget::COPIES;
use apollo_shared::broker::BrokerConfig;
use apollo_shared::config::secret;
use apollo_shared::telemetry::LogConfig;
use clap::{Args, Parser, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::SocketAddr;

use crate::token::PushTokens;

/// Receives what Garmin pushes, makes it durable in RabbitMQ, and only then says 200.
///
/// Without a command it serves. Every option can be given as the environment variable that it names, or in a
/// file .env.
#[derive(Debug, Clone, Parser)]
#[command(name = "apollo-receiver", version)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub config: ReceiverConfig,
}

/// What the program can do besides serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Ask the receiver that runs here whether it is ready; exit code 0 if it is, 1 if not. For containers
    Health,
}

/// How to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Receiver")]
pub struct ReceiverConfig {
    /// Where the public listens: Garmin, through nginx; port 0 for any free one
    #[arg(
        long = "receiver-listen",
        env = "RECEIVER__LISTEN",
        value_name = "RECEIVER__LISTEN",
        default_value = "127.0.0.1:8000"
    )]
    pub listen: SocketAddr,
    /// Where /metrics, /health/live and /health/ready are served; never public
    #[arg(
        long = "receiver-admin-listen",
        env = "RECEIVER__ADMIN_LISTEN",
        value_name = "RECEIVER__ADMIN_LISTEN",
        default_value = "127.0.0.1:8001"
    )]
    pub admin_listen: SocketAddr,
    /// A secret path segment, without which Garmin's paths are 404 to everybody: /SECRET/api_client/garmin/…
    /// is then what to register at Garmin. Several, separated by commas, while one is being replaced.
    /// `openssl rand -hex 32` makes one
    #[arg(
        long = "receiver-push-token",
        env = "RECEIVER__PUSH_TOKEN",
        value_name = "RECEIVER__PUSH_TOKEN",
        value_parser = secret,
        hide_env_values = true
    )]
    pub push_token: Option<SecretString>,
    /// Largest body in bytes, after decompression. Garmin sends up to 100 MB
    #[arg(
        long = "receiver-max-body-bytes",
        env = "RECEIVER__MAX_BODY_BYTES",
        value_name = "RECEIVER__MAX_BODY_BYTES",
        default_value_t = 104_857_600
    )]
    pub max_body_bytes: usize,
    /// Memory for all bodies that are being read or published, in bytes. Each body counts twice, for itself
    /// and for the copy that is sent; what finds no room waits, then gets 503
    #[arg(
        long = "receiver-max-in-flight-bytes",
        env = "RECEIVER__MAX_IN_FLIGHT_BYTES",
        value_name = "RECEIVER__MAX_IN_FLIGHT_BYTES",
        default_value_t = 268_435_456
    )]
    pub max_in_flight_bytes: usize,
    /// A larger body becomes several messages of at most this many bytes, divided between entries
    #[arg(
        long = "receiver-split-bytes",
        env = "RECEIVER__SPLIT_BYTES",
        value_name = "RECEIVER__SPLIT_BYTES",
        default_value_t = 1_048_576
    )]
    pub split_bytes: usize,
    /// If set, the header garmin-client-id has to equal it, else 404. It is not secret: a noise filter only
    #[arg(
        long = "receiver-require-client-id",
        env = "RECEIVER__REQUIRE_CLIENT_ID",
        value_name = "RECEIVER__REQUIRE_CLIENT_ID"
    )]
    pub require_client_id: Option<String>,
    /// Where to publish to.
    #[command(flatten)]
    pub broker: BrokerConfig,
    /// How to log.
    #[command(flatten)]
    pub log: LogConfig,
}

/// `max_message_size` of the broker (design.md section 4). An entry that cannot be divided may be as large as
/// the largest body.
const BROKER_MAX_MESSAGE_BYTES: usize = 134_217_728;

/// A wrong setting; the message names its variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No body could be received.
    #[error("RECEIVER__MAX_BODY_BYTES is 0: set it to what Garmin may send, 104857600")]
    NoBody,
    /// The broker would refuse the largest body.
    #[error(
        "RECEIVER__MAX_BODY_BYTES is {0}, more than RabbitMQ takes in one message: set it to at most \
         {BROKER_MAX_MESSAGE_BYTES}"
    )]
    BodyOverBrokerLimit(usize),
    /// The largest body would never find room.
    #[error(
        "RECEIVER__MAX_IN_FLIGHT_BYTES is {in_flight}, too little for one body of RECEIVER__MAX_BODY_BYTES and \
         its copy: set it to at least {needed}, or lower RECEIVER__MAX_BODY_BYTES"
    )]
    InFlightTooSmall {
        /// What is set.
        in_flight: usize,
        /// What one largest body takes.
        needed: usize,
    },
    /// Parts of no bytes.
    #[error("RECEIVER__SPLIT_BYTES is 0: set it to the bytes of an ordinary message, such as 1048576")]
    NoSplit,
    /// A token cannot be a path segment. The token itself is not repeated.
    #[error(
        "RECEIVER__PUSH_TOKEN: token {number} of the list has other characters than letters, digits, '-', '.', \
         '_' and '~', which are safe in a URL; `openssl rand -hex 32` makes a good one"
    )]
    Token {
        /// Its place in the list, from 1.
        number: usize,
    },
}

/// Bytes of a token below which guessing it is thinkable.
const SAFE_TOKEN_BYTES: usize = 16;

impl ReceiverConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first one found that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let needed = self.max_body_bytes.saturating_mul(COPIES);
        if self.max_body_bytes == 0 {
            return Err(ConfigError::NoBody);
        }
        if self.max_body_bytes > BROKER_MAX_MESSAGE_BYTES {
            return Err(ConfigError::BodyOverBrokerLimit(self.max_body_bytes));
        }
        if self.max_in_flight_bytes < needed {
            return Err(ConfigError::InFlightTooSmall { in_flight: self.max_in_flight_bytes, needed });
        }
        if self.split_bytes == 0 {
            return Err(ConfigError::NoSplit);
        }
        self.push_tokens().map(drop)
    }

    /// The secret path segments, if any are set.
    pub(crate) fn push_tokens(&self) -> Result<Option<PushTokens>, ConfigError> {
        let Some(list) = &self.push_token else { return Ok(None) };
        let tokens: Vec<&str> =
            list.expose_secret().split(',').map(str::trim).filter(|token| !token.is_empty()).collect();
        for (index, token) in tokens.iter().enumerate() {
            if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
                return Err(ConfigError::Token { number: index + 1 });
            }
            if token.len() < SAFE_TOKEN_BYTES {
                tracing::warn!(
                    "RECEIVER__PUSH_TOKEN: token {} of the list is shorter than {SAFE_TOKEN_BYTES} characters \
                     and could be guessed",
                    index + 1
                );
            }
        }
        Ok((!tokens.is_empty()).then(|| PushTokens::new(&tokens)))
    }

    /// The client id to require, if one is set.
    pub(crate) fn required_client_id(&self) -> Option<&str> {
        self.require_client_id.as_deref().map(str::trim).filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn config(arguments: &[&str]) -> ReceiverConfig {
        Cli::try_parse_from(["apollo-receiver"].iter().chain(arguments)).unwrap().config
    }

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_fit_together() {
        assert_eq!(config(&[]).check(), Ok(()));
    }

    #[test]
    fn a_setting_that_cannot_work_is_named() {
        for (arguments, variable) in [
            (["--receiver-max-body-bytes", "0"], "RECEIVER__MAX_BODY_BYTES"),
            (["--receiver-max-body-bytes", "134217729"], "RECEIVER__MAX_BODY_BYTES"),
            (["--receiver-max-in-flight-bytes", "209715199"], "RECEIVER__MAX_IN_FLIGHT_BYTES"),
            (["--receiver-split-bytes", "0"], "RECEIVER__SPLIT_BYTES"),
            (["--receiver-push-token", "good-one,b/d"], "RECEIVER__PUSH_TOKEN: token 2"),
        ] {
            let message = config(&arguments).check().unwrap_err().to_string();
            assert!(message.starts_with(variable), "{message}");
            assert!(!message.contains("b/d"), "{message}");
        }
        let unreadable = Cli::try_parse_from(["apollo-receiver", "--receiver-listen", "here"]).unwrap_err();
        assert!(unreadable.to_string().contains("RECEIVER__LISTEN"), "{unreadable}");
    }

    #[test]
    fn empty_settings_count_as_unset() {
        let config = config(&["--receiver-push-token", " , ", "--receiver-require-client-id", ""]);
        assert_eq!(config.check(), Ok(()));
        assert!(config.push_tokens().unwrap().is_none());
        assert_eq!(config.required_client_id(), None);
    }

    #[test]
    fn no_token_is_printed() {
        let config = config(&["--receiver-push-token", "correct-horse-battery"]);
        let printed = format!("{config:?} {:?}", config.push_tokens());
        assert!(!printed.contains("horse"), "{printed}");
    }
}
