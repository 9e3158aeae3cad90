//! The receiver's configuration (design.md section 6).

use crate::budget::COPIES;
use apollo_shared::broker::BrokerConfig;
use apollo_shared::config::secret;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::SecretsConfig;
use apollo_shared::telemetry::LogConfig;
use apollo_shared::telemetry::traces::TracingConfig;
use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;

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
    /// Print every metric that /metrics shows: type, labels, meaning
    Metrics,
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
    /// What Garmin and browsers call it: scheme and host, and the port if it is not the usual one. Participants come
    /// back from Garmin to /oauth/garmin/callback under it
    #[arg(
        long = "receiver-public-url",
        env = "RECEIVER__PUBLIC_URL",
        value_name = "RECEIVER__PUBLIC_URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub public_url: Url,
    /// Whether participants need an invitation, a link that `apollo-worker invite` makes, to link an account. Without
    /// one they type their subject id, and could type another's
    #[arg(
        long = "receiver-invitations",
        env = "RECEIVER__INVITATIONS",
        value_name = "RECEIVER__INVITATIONS",
        default_value = "optional"
    )]
    pub invitations: Invitations,
    /// The study's name, as it stands in a sentence of the pages for participants: "the Sleep Study"
    #[arg(
        long = "receiver-study-name",
        env = "RECEIVER__STUDY_NAME",
        value_name = "RECEIVER__STUDY_NAME",
        default_value = STUDY_NAME
    )]
    pub study_name: String,
    /// Whom participants may ask: a mail address, which becomes a link, or words that can follow "ask"
    #[arg(
        long = "receiver-study-contact",
        env = "RECEIVER__STUDY_CONTACT",
        value_name = "RECEIVER__STUDY_CONTACT",
        default_value = STUDY_CONTACT
    )]
    pub study_contact: String,
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
    /// A larger body becomes several messages of at most this many bytes, divided between entries: a worker has as many of
    /// them in hand as WORKER__PREFETCH and WORKER__CONCURRENCY say
    #[arg(
        long = "receiver-split-bytes",
        env = "RECEIVER__SPLIT_BYTES",
        value_name = "RECEIVER__SPLIT_BYTES",
        default_value_t = 393_216
    )]
    pub split_bytes: usize,
    /// The folder in which notifications wait while RabbitMQ takes none: on a disk of this machine, and of this receiver
    /// alone
    #[arg(
        long = "receiver-spool-dir",
        env = "RECEIVER__SPOOL_DIR",
        value_name = "RECEIVER__SPOOL_DIR",
        default_value = "spool"
    )]
    pub spool_dir: PathBuf,
    /// Bytes that the file in it may have; what finds no room there gets 503. 0 is for no spool
    #[arg(
        long = "receiver-spool-max-bytes",
        env = "RECEIVER__SPOOL_MAX_BYTES",
        value_name = "RECEIVER__SPOOL_MAX_BYTES",
        default_value_t = 1_073_741_824
    )]
    pub spool_max_bytes: u64,
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
    /// Where participants are sent.
    #[command(flatten)]
    pub garmin: GarminConfig,
    /// What seals cookies, and secrets on their way to the worker.
    #[command(flatten)]
    pub secrets: SecretsConfig,
    /// How to log.
    #[command(flatten)]
    pub log: LogConfig,
    /// Where spans go.
    #[command(flatten)]
    pub tracing: TracingConfig,
}

/// Whether participants need an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Invitations {
    /// They may come without; an invitation that is given has to be good all the same.
    Optional,
    /// They do.
    Required,
}

const STUDY_NAME: &str = "this study";
const STUDY_CONTACT: &str = "the people who run the study";

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
    #[error("RECEIVER__SPLIT_BYTES is 0: set it to the bytes of an ordinary message, such as 393216")]
    NoSplit,
    /// Browsers could not find their way back.
    #[error("RECEIVER__PUBLIC_URL {0}: set it to the likes of https://apollo.example.org")]
    PublicUrl(PublicUrlFlaw),
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

/// What is wrong with the public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlFlaw {
    /// Pages are served by http and https only.
    #[error("is neither http:// nor https://")]
    Scheme,
    /// The pages' paths are fixed (design.md section 3), and so is what nginx lets through.
    #[error("has a path, but the pages are served at the root of their host")]
    Path,
    /// What does not belong into an address that others are to call.
    #[error("has a user, a query or a fragment")]
    Excess,
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
        self.public_origin()?;
        self.push_tokens().map(drop)
    }

    /// Scheme, host and port that browsers call, without a slash behind.
    pub(crate) fn public_origin(&self) -> Result<String, ConfigError> {
        let url = &self.public_url;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConfigError::PublicUrl(PublicUrlFlaw::Scheme));
        }
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::PublicUrl(PublicUrlFlaw::Excess));
        }
        if url.path() != "/" {
            return Err(ConfigError::PublicUrl(PublicUrlFlaw::Path));
        }
        Ok(url.origin().ascii_serialization())
    }

    /// The study's name; an empty one counts as unset.
    pub(crate) fn study_name(&self) -> &str {
        or_default(&self.study_name, STUDY_NAME)
    }

    /// Whom participants may ask; nobody counts as unset.
    pub(crate) fn study_contact(&self) -> &str {
        or_default(&self.study_contact, STUDY_CONTACT)
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

fn or_default<'a>(text: &'a str, default: &'static str) -> &'a str {
    Some(text.trim()).filter(|text| !text.is_empty()).unwrap_or(default)
}

/// A key that seals, for tests only.
#[cfg(test)]
pub(crate) const TEST_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The configuration with these arguments, the last of which counts, and [`TEST_KEYS`]; without a spool.
#[cfg(test)]
pub(crate) fn test_config(arguments: &[&str]) -> ReceiverConfig {
    use clap::{CommandFactory as _, FromArgMatches as _};
    let own = ["apollo-receiver", "--secrets-keys", TEST_KEYS, "--receiver-spool-max-bytes", "0"];
    let command = Cli::command().args_override_self(true);
    let matches = command.try_get_matches_from(own.iter().chain(arguments)).unwrap();
    Cli::from_arg_matches(&matches).unwrap().config
}

#[cfg(test)]
mod tests {
    use super::test_config as config;
    use super::*;
    use clap::CommandFactory as _;

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
            (["--receiver-public-url", "ftp://study.example"], "RECEIVER__PUBLIC_URL is neither"),
            (["--receiver-public-url", "mailto:a@study.example"], "RECEIVER__PUBLIC_URL is neither"),
            (["--receiver-public-url", "https://study.example/apollo"], "RECEIVER__PUBLIC_URL has a path"),
            (["--receiver-public-url", "https://study.example/?a"], "RECEIVER__PUBLIC_URL has a user"),
            (["--receiver-public-url", "https://a:b@study.example"], "RECEIVER__PUBLIC_URL has a user"),
        ] {
            let message = config(&arguments).check().unwrap_err().to_string();
            assert!(message.starts_with(variable), "{message}");
            assert!(!message.contains("b/d"), "{message}");
        }
        for (arguments, variable) in [
            (["--receiver-listen", "here"], "RECEIVER__LISTEN"),
            (["--receiver-public-url", "study.example"], "RECEIVER__PUBLIC_URL"),
            (["--receiver-invitations", "sometimes"], "RECEIVER__INVITATIONS"),
        ] {
            let unreadable = Cli::try_parse_from(["apollo-receiver"].iter().chain(&arguments)).unwrap_err();
            assert!(unreadable.to_string().contains(variable), "{unreadable}");
        }
        let without_keys = Cli::try_parse_from(["apollo-receiver"]).unwrap_err();
        assert!(without_keys.to_string().contains("SECRETS__KEYS"), "{without_keys}");
    }

    #[test]
    fn the_public_origin_has_no_slash_and_no_usual_port() {
        for (url, origin) in [
            ("https://study.example:443/", "https://study.example"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ] {
            assert_eq!(config(&["--receiver-public-url", url]).public_origin(), Ok(origin.into()));
        }
    }

    #[test]
    fn empty_settings_count_as_unset() {
        let config = config(&["--receiver-push-token", " , ", "--receiver-require-client-id", ""]);
        assert_eq!(config.check(), Ok(()));
        assert!(config.push_tokens().unwrap().is_none());
        assert_eq!(config.required_client_id(), None);
        let config = super::test_config(&["--receiver-study-name", " ", "--receiver-study-contact", ""]);
        assert_eq!((config.study_name(), config.study_contact()), (STUDY_NAME, STUDY_CONTACT));
    }

    #[test]
    fn no_token_is_printed() {
        let config = config(&["--receiver-push-token", "correct-horse-battery"]);
        let printed = format!("{config:?} {:?}", config.push_tokens());
        assert!(!printed.contains("horse"), "{printed}");
    }
}
