//! See `checks::proxy_header`.
#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code, reason = "each target makes one check")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::proxy_header(bytes));
