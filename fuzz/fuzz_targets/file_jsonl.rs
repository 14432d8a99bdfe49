#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bridgehead_fuzz_targets::file_jsonl(data));
