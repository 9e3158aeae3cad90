//! The secret path segment: since Garmin signs nothing, this is how Garmin is told from a stranger.

use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq as _};

/// The tokens that are accepted, as SHA-256 digests: of equal length, so comparing them takes the same time
/// whatever is presented, and neither contents nor lengths can be found out by measuring.
#[derive(Clone)]
pub(crate) struct PushTokens(Vec<[u8; 32]>);

impl PushTokens {
    /// Accepts each of `tokens`.
    pub(crate) fn new(tokens: &[&str]) -> Self {
        Self(tokens.iter().map(|token| digest(token)).collect())
    }

    /// Whether `presented` is one of them; all of them are looked at in any case.
    pub(crate) fn accept(&self, presented: &str) -> bool {
        let presented = digest(presented);
        self.0.iter().fold(Choice::from(0), |found, token| found | token.ct_eq(&presented)).into()
    }
}

impl fmt::Debug for PushTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_tokens_is_accepted_and_nothing_else() {
        let tokens = PushTokens::new(&["old", "new"]);
        for (presented, accepted) in
            [("old", true), ("new", true), ("", false), ("ol", false), ("old,new", false), ("OLD", false)]
        {
            assert_eq!(tokens.accept(presented), accepted, "{presented}");
        }
    }
}
