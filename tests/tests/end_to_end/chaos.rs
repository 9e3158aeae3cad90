//! Two minutes of `cargo xtask chaos`: everything that can break does, and every row is right in the end.

use apollo_tests::Result;
use std::time::Duration;
use xtask::chaos::{ChaosOptions, run};
use xtask::stack::of_tests;

#[test]
fn nothing_that_was_acknowledged_is_lost_whatever_breaks() -> Result<()> {
    let worker = of_tests()?.binary("apollo-worker");
    let options = ChaosOptions {
        lasts: Duration::from_secs(120),
        seed: 5,
        faults: Vec::new(),
        rate: 15.0,
        sample_interval: Some(900),
        binaries: worker.parent().ok_or("the programs are in a folder")?.to_owned(),
    };
    let report = run(&options)?;
    println!("{report}");
    assert_eq!(report.verdict(), Vec::<String>::new());
    assert!(report.acknowledged > 200, "hardly anything was sent");
    Ok(())
}
