//! A whole notification, as the worker reads it.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| apollo_fuzz::read_notification(body));
