//! The client of Garmin's API: OAuth of both versions, and what can be asked on a user's behalf.
//!
//! What matters to callers is what helps after a failure, so that is what its errors tell apart: another attempt, a new
//! consent, or other settings. Nothing that Garmin is sent or answers stands in an error or a log.

mod answer;
mod client;
mod error;
mod fetch;
pub mod permissions;
mod tokens;

pub use client::GarminClient;
pub use error::{Call, GarminError};
pub use fetch::{Fetched, LARGEST};
pub use tokens::{Oauth1Token, Oauth2Tokens, UserToken};
