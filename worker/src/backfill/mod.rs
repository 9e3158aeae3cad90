//! History: what Garmin recorded of a participant before the link, asked for range by range.
//!
//! Garmin accepts a request and sends the summaries later, as ordinary notifications that nothing marks. So all there is
//! to keep is which ranges have been asked for, and that is kept in PostgreSQL rather than in messages: it outlives
//! restarts, can be looked at, and is worked off by any worker of the lane `pull`, at the pace that Garmin allows.

pub mod automatic;
mod kind;
mod range;
mod runner;

pub use kind::{BackfillKind, KINDS};
pub use range::Range;
pub use runner::Runner;

/// How far a range is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// To be asked for.
    Pending,
    /// Garmin has accepted it.
    Requested,
    /// Garmin had accepted it earlier.
    DoneBefore,
    /// The user does not permit it: history at all (403), or this type (412).
    NotPermitted,
    /// Garmin's portal is not set to send this type to the app.
    NotEnabled,
    /// Earlier than Garmin reaches back.
    BeforeMinimum,
    /// The user has withdrawn, or Garmin takes none of their tokens.
    NoConsent,
    /// An operator did not want it any more.
    Cancelled,
    /// Garmin has refused it for another reason, or could not be asked for a day.
    Failed,
}

impl State {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Requested,
        Self::DoneBefore,
        Self::NotPermitted,
        Self::NotEnabled,
        Self::BeforeMinimum,
        Self::NoConsent,
        Self::Cancelled,
        Self::Failed,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Requested => "requested",
            Self::DoneBefore => "done_before",
            Self::NotPermitted => "not_permitted",
            Self::NotEnabled => "not_enabled",
            Self::BeforeMinimum => "before_minimum",
            Self::NoConsent => "no_consent",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// What an operator can do about it, if anything.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Pending => "workers with the lane pull ask for it",
            Self::Requested | Self::DoneBefore => "Garmin sends it, as ordinary notifications",
            Self::NotPermitted => "asked for again once the participant permits it at Garmin",
            Self::NotEnabled => "enable the type in Garmin's developer portal, then ask again",
            Self::BeforeMinimum => "Garmin has nothing so old",
            Self::NoConsent => "asked for again once the participant has consented again",
            Self::Cancelled | Self::Failed => "ask again when you want it",
        }
    }
}
