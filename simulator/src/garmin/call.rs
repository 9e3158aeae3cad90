//! The calls that a program makes, what it can meet with on each, and a record of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What a program asks of Garmin. The consent page is not among them: people ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// OAuth 1.0a: a request token, to begin a consent.
    RequestToken,
    /// OAuth 1.0a: an access token for a request token that was agreed to.
    AccessToken,
    /// OAuth 2.0: tokens for an authorization code.
    Token,
    /// OAuth 2.0: tokens for a refresh token.
    Refresh,
    /// Whose token this is.
    UserId,
    /// What the user lets us have.
    Permissions,
    /// The end of a user's connection.
    DeleteRegistration,
    /// OAuth 2.0 tokens for an OAuth 1.0a token.
    TokenExchange,
    /// What devices have uploaded, by a callback URL.
    Pull,
    /// The file of an activity, by its one-time URL.
    ActivityFile,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RequestToken,
        Self::AccessToken,
        Self::Token,
        Self::Refresh,
        Self::UserId,
        Self::Permissions,
        Self::DeleteRegistration,
        Self::TokenExchange,
        Self::Pull,
        Self::ActivityFile,
    ];
}

/// What a call meets with instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This status without a body; nothing is done.
    Status(u16),
    /// This status with this body, for refusals that a client is meant to tell apart; nothing is done.
    Refusal {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// 302 to this address; nothing is done.
    Redirect(String),
    /// The right answer, but only after so long.
    Slow(Duration),
    /// 200 with a page that is no answer; nothing is done.
    Nonsense,
    /// The connection ends without an answer; nothing is done.
    Drop,
    /// The connection ends without an answer, though what was asked for **is** done.
    LoseAnswer,
}

/// A call as Garmin saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What was asked.
    pub call: Call,
    /// When it arrived.
    pub arrived: Instant,
    /// What it was answered with; nothing while it is not, and for connections that ended without an answer.
    pub status: Option<u16>,
}

/// Which calls are to fail, and how.
#[derive(Debug, Default)]
pub(super) struct Failures {
    next: BTreeMap<Call, VecDeque<Failure>>,
    always: BTreeMap<Call, Failure>,
}

impl Failures {
    pub(super) fn add_next(&mut self, call: Call, failure: Failure) {
        self.next.entry(call).or_default().push_back(failure);
    }

    pub(super) fn set_always(&mut self, call: Call, failure: Failure) {
        self.always.insert(call, failure);
    }

    /// What the call that has just arrived is to meet with.
    pub(super) fn take(&mut self, call: Call) -> Option<Failure> {
        let next = self.next.get_mut(&call).and_then(VecDeque::pop_front);
        next.or_else(|| self.always.get(&call).cloned())
    }
}
