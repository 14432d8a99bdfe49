#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridgehead_fuzz_targets::account_keys(data));
