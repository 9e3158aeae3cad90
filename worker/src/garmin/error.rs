//! Why Garmin did not do what it was asked for, told apart by what helps.

use std::fmt;
use std::time::Duration;

/// What Garmin is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// OAuth 1.0a: an access token for a request token.
    AccessToken,
    /// OAuth 2.0: tokens for an authorization code.
    AuthorizationCode,
    /// OAuth 2.0: tokens for a refresh token.
    RefreshToken,
    /// OAuth 2.0 tokens for an OAuth 1.0a token.
    TokenExchange,
    /// Whose a token is.
    UserId,
    /// What a user permits.
    Permissions,
    /// The end of a user's registration.
    DeleteRegistration,
    /// A user's summaries of an upload range.
    Pull,
    /// The file of an activity.
    ActivityFile,
    /// Summaries of the past, to be sent later as notifications.
    Backfill,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AccessToken,
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::TokenExchange,
        Self::UserId,
        Self::Permissions,
        Self::DeleteRegistration,
        Self::Pull,
        Self::ActivityFile,
        Self::Backfill,
    ];

    /// The word in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "token_exchange",
            Self::UserId => "user_id",
            Self::Permissions => "permissions",
            Self::DeleteRegistration => "delete_registration",
            Self::Pull => "pull",
            Self::ActivityFile => "activity_file",
            Self::Backfill => "backfill",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed. None of its texts holds a token, a code, or anything else that Garmin was sent or has answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GarminError {
    /// Garmin is away, overloaded, or answers what nobody has foreseen: worth another attempt.
    #[error("Garmin ({call}) {why}")]
    Unavailable {
        /// What was asked.
        call: Call,
        /// How it failed, to be read after "Garmin".
        why: String,
        /// When Garmin asks to be left alone until then.
        retry_after: Option<Duration>,
    },
    /// Garmin does not take the user's token: it has ended.
    #[error("Garmin ({call}) refuses the user's token with {status}")]
    Refused {
        /// What was asked.
        call: Call,
        /// 401 or 403.
        status: u16,
    },
    /// What was to be exchanged is no good, and will not become so: it has ended, was used before, or is another's.
    #[error("Garmin ({call}) rejects what it was given: {error}")]
    Rejected {
        /// What was asked.
        call: Call,
        /// The code of the error in RFC 6749 (5.2) or OAuth's problem reporting.
        error: &'static str,
    },
    /// Garmin asks to be asked less often.
    #[error("Garmin ({call}) is asked too often")]
    RateLimited {
        /// What was asked.
        call: Call,
        /// When Garmin asks to be left alone until then.
        retry_after: Option<Duration>,
    },
    /// The user does not let us have it: 403, or 412 for a permission that is missing.
    #[error("Garmin ({call}) answers {status}: the user does not permit it")]
    NotPermitted {
        /// What was asked.
        call: Call,
        /// 403 or 412.
        status: u16,
    },
    /// It was there once: it has been fetched before, or the time for that is over.
    #[error("Garmin ({call}) answers {status}: it is not to be had any more")]
    Gone {
        /// What was asked.
        call: Call,
        /// Mostly 410.
        status: u16,
    },
    /// Garmin sends on to another address, which is not followed: it may be anyone's.
    #[error("Garmin ({call}) answers {status}, a redirect, which is not followed")]
    Redirected {
        /// What was asked.
        call: Call,
        /// 3xx.
        status: u16,
    },
    /// Garmin finds the request wrong.
    #[error("Garmin ({call}) answers {status}, which another attempt will not change")]
    NotAccepted {
        /// What was asked.
        call: Call,
        /// 4xx.
        status: u16,
    },
    /// The answer is larger than any that is taken.
    #[error("Garmin ({call}) answers with more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        call: Call,
        /// Bytes.
        limit: usize,
    },
    /// Garmin does not take our own credentials, the time of our clock, or a signature that was made with the wrong
    /// secret of a token: worth another attempt once that is mended.
    #[error(
        "Garmin ({call}) refuses Apollo itself ({error}): GARMIN__CONSUMER_KEY and GARMIN__CONSUMER_SECRET must be \
         those of the app in Garmin's developer portal, this machine's clock must be right, and a token that was \
         imported must have the secret that Garmin gave with it"
    )]
    Misconfigured {
        /// What was asked.
        call: Call,
        /// The code of the error in RFC 6749 (5.2) or OAuth's problem reporting.
        error: &'static str,
    },
}

impl GarminError {
    /// A pull was answered with something that is no list of summaries: not what Garmin does in health.
    #[must_use]
    pub fn no_array(call: Call) -> Self {
        Self::Unavailable {
            call,
            why: "answered 200 with a body that is no array".to_owned(),
            retry_after: None,
        }
    }
}
