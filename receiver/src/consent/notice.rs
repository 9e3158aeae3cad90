//! Why a participant's request was not followed.

use apollo_shared::consent::InvitationError;
use axum::http::StatusCode;

/// Each has a page of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Apollo has no consumer key.
    NotSetUp,
    /// Invitations are required, and there is none.
    NoInvitation,
    /// The invitation is damaged or forged.
    InvalidInvitation,
    /// The invitation is too old.
    ExpiredInvitation,
    /// Another site has sent the form.
    OtherSite,
    /// What was sent is no form, or a large one.
    UnreadableForm,
    /// Garmin gave no request token, or the broker did not take the beginning.
    Unavailable,
    /// The callback comes without the cookie of its consent.
    NotBegunHere,
    /// The broker did not take the callback.
    Unrecorded,
}

impl Notice {
    /// The status of its page.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoInvitation | Self::InvalidInvitation | Self::ExpiredInvitation | Self::OtherSite => {
                StatusCode::FORBIDDEN
            }
            Self::UnreadableForm | Self::NotBegunHere => StatusCode::BAD_REQUEST,
            Self::NotSetUp | Self::Unavailable | Self::Unrecorded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<InvitationError> for Notice {
    fn from(error: InvitationError) -> Self {
        match error {
            InvitationError::Invalid => Self::InvalidInvitation,
            InvitationError::Expired => Self::ExpiredInvitation,
        }
    }
}
