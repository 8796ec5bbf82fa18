#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| taskyard_fuzz::authorization(data));
