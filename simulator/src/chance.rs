//! Repeatable randomness.
//!
//! Every household, every user and every day of a user draws from a generator of its own, whose seed is derived from
//! the plan's. What one of them draws therefore never depends on how many others there are or who was asked first.

use fastrand::Rng;

/// The seed of part number `part` of whatever `seed` stands for, by the finaliser of splitmix64: neighbouring parts get
/// unrelated seeds.
pub(crate) fn derived_seed(seed: u64, part: u64) -> u64 {
    let mut mixed = seed ^ part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// True with the given probability (0 to 1).
pub(crate) fn happens(rng: &mut Rng, probability: f64) -> bool {
    rng.f64() < probability
}

/// One of the items, each as likely as the others.
pub(crate) fn one_of<T: Copy, const N: usize>(rng: &mut Rng, items: &[T; N]) -> T {
    items[rng.usize(..N)]
}

/// A number between the bounds, each as likely as the others.
pub(crate) fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + rng.f64() * (high - low)
}
