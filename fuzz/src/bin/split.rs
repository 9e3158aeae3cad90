//! A body that the receiver divides, behind two bytes that say how large its parts may be.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let [low, high, body @ ..] = input {
        apollo_fuzz::divide(body, usize::from(u16::from_le_bytes([*low, *high])).max(1));
    }
});
