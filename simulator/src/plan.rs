//! What is sent: a plan is a few numbers, and everything else follows from them.

use std::collections::BTreeMap;

use crate::chance::derived_seed;
use crate::household::Notifications;
use crate::user::User;
use fastrand::Rng;

/// The users of one household: few enough for one body, enough to have several.
const HOUSEHOLD_SIZE: std::ops::RangeInclusive<u32> = 5..=10;

/// Parts of the plan's seed (see [`derived_seed`]).
const SEED_OF_SIZES: u64 = 0;
const SEED_OF_USERS: u64 = 1;
const SEED_OF_HOUSEHOLDS: u64 = 2;

/// Who records for how long. Equal plans make equal notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many users.
    pub users: u32,
    /// How many calendar days each of them records.
    pub days: u32,
    /// Everything random follows from it.
    pub seed: u64,
    /// At most one sample in so many seconds in every series; `None` is as dense as the devices record. Tests that do
    /// not care about volume use an hour.
    pub sample_interval_seconds: Option<u32>,
}

impl Default for Plan {
    /// About 445,000 summaries of all types in 420 MB.
    fn default() -> Self {
        Self { users: 1_000, days: 2, seed: 1, sample_interval_seconds: None }
    }
}

impl Plan {
    /// The households of this plan, in order. Each is a sequence to be sent one notification after the other; between
    /// households no order is needed, as they share no user.
    pub fn groups(&self) -> Groups {
        Groups {
            plan: *self,
            sizes: Rng::with_seed(derived_seed(self.seed, SEED_OF_SIZES)),
            next_user: 0,
            next_index: 0,
        }
    }

    /// The distance in seconds of the samples of a device that takes one every `native` seconds.
    pub(crate) fn sample_interval(&self, native: u32) -> u32 {
        self.sample_interval_seconds.map_or(native, |at_least| native.max(at_least))
    }
}

/// The iterator of [`Plan::groups`].
#[derive(Debug, Clone)]
pub struct Groups {
    plan: Plan,
    sizes: Rng,
    next_user: u32,
    next_index: usize,
}

impl Iterator for Groups {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        let left = self.plan.users - self.next_user;
        if left == 0 {
            return None;
        }
        let size = self.sizes.u32(HOUSEHOLD_SIZE).min(left);
        let first_user = self.next_user;
        self.next_user += size;
        let index = self.next_index;
        self.next_index += 1;
        Some(Group { plan: self.plan, index, first_user, size })
    }
}

/// A household: users whose devices are synchronised together. Made anew from the plan whenever it is needed, so it
/// costs nothing to keep.
#[derive(Debug, Clone)]
pub struct Group {
    plan: Plan,
    index: usize,
    first_user: u32,
    size: u32,
}

impl Group {
    /// The household's place among the plan's.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many users it has.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Garmin's ids of its users.
    pub fn user_ids(&self) -> Vec<String> {
        self.users().map(|user| user.id).collect()
    }

    /// Its notifications in the order of sending, repeats included. Each must have been acknowledged before the next is
    /// sent: only then is the final database known.
    pub fn notifications(&self) -> impl Iterator<Item = Notification> + Send + use<> {
        let seed = derived_seed(derived_seed(self.plan.seed, SEED_OF_HOUSEHOLDS), self.index as u64);
        Notifications::of_household(self.plan, seed, self.users().collect())
    }

    fn users(&self) -> impl Iterator<Item = User> {
        let seed = derived_seed(self.plan.seed, SEED_OF_USERS);
        let days = self.plan.days;
        (self.first_user..self.first_user + self.size)
            .map(move |number| User::new(derived_seed(seed, number.into()), days))
    }
}

/// How many summaries of each type (Garmin's top-level key).
pub type SummaryCounts = BTreeMap<&'static str, u64>;

/// One POST of Garmin's.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The last part of the path, or `None` for those that go to the URL common to all types.
    pub endpoint: Option<&'static str>,
    /// The JSON body.
    pub body: Vec<u8>,
    /// What is in the body.
    pub summaries: SummaryCounts,
    /// How many days of the plan were over when it is first sent.
    pub days_over: u32,
}

#[cfg(test)]
mod tests;
