//! One entry of the type whose top-level key is in `APOLLO_FUZZ_KEY`.

#![no_main]

use std::sync::LazyLock;

static HEAD: LazyLock<String> = LazyLock::new(|| {
    let key = std::env::var("APOLLO_FUZZ_KEY").unwrap_or_else(|_| "dailies".to_owned());
    format!("{{\"{key}\": [")
});

libfuzzer_sys::fuzz_target!(|entry: &[u8]| {
    apollo_fuzz::read_notification(&[HEAD.as_bytes(), entry, b"]}"].concat());
});
