//! Any bytes as a SOAP answer; what must hold is in `check.rs`.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::answer(bytes));
