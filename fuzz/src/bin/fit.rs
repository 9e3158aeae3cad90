//! A FIT file.

#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| apollo_fuzz::read_fit(file));
