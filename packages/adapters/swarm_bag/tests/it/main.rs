//! Bags: written, cut, read back, and read by others.

mod bag;
mod common;
mod fuzz_corpus;
#[cfg(feature = "peer-tests")]
mod peer;
mod recorder;
mod ring;
