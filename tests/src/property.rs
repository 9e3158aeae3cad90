//! Properties whose cases go through real services.

use crate::Result;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Handle;

/// How long a smaller failing case is looked for, in milliseconds.
const SHRINKING: u32 = 30_000;

/// Sees that `test` holds for `cases` values of `strategy`, one after the other. Its runtime must have several
/// threads.
///
/// # Panics
/// It does not: with the smallest case that was found, and why it fails.
pub fn holds<S: Strategy>(cases: u32, strategy: &S, test: impl AsyncFn(S::Value) -> Result<()>) {
    let config = Config { cases, failure_persistence: None, max_shrink_time: SHRINKING, ..Config::default() };
    let runtime = Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(strategy, |value| {
            runtime.block_on(test(value)).map_err(|error| TestCaseError::fail(error.to_string()))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
