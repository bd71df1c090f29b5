//! What must hold for every input. Used by the fuzz target and by `tests/any_bytes.rs`.
#![allow(dead_code)] // the fuzz target uses one of them

use std::io::{Cursor, Write};

use swarm_delta::{ApplyError, Limits, apply, encode};

const LIMITS: Limits = Limits { max_result: 4 << 20 };

/// Counts, and keeps nothing.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Any bytes as a delta: an end, a text, and never more output than allowed. As two files, one after the other: what is
/// encoded comes out again.
pub(crate) fn delta(bytes: &[u8]) {
    let base = base();
    let mut output = Counting(0);
    match apply(bytes, Cursor::new(&base), &mut output, LIMITS) {
        Ok(header) => assert_eq!(output.0, header.result_length),
        Err(error) => assert!(!error.to_string().is_empty() && !error.code().is_empty()),
    }
    assert!(output.0 <= LIMITS.max_result);

    let (one, other) = bytes.split_at(bytes.len() / 2);
    let mut result = Vec::new();
    apply(&encode(one, other)[..], Cursor::new(one), &mut result, LIMITS).unwrap();
    assert_eq!(result, other);
}

/// The base of damaged deltas.
pub(crate) fn base() -> Vec<u8> {
    (0..20_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// A delta of every kind of record, and its result.
pub(crate) fn honest() -> (Vec<u8>, Vec<u8>) {
    let mut result = base();
    result[40_000..40_100].fill(7); // few words
    (50_000..70_000).for_each(|i| result[i] ^= 1); // many
    result.extend(b"and something new behind it, and something new behind it");
    (encode(&base(), &result), result)
}

/// A damaged delta gives the promised result, or an error.
pub(crate) fn damaged(delta: &[u8], result: &[u8]) -> Result<(), ApplyError> {
    let mut output = Vec::new();
    apply(delta, Cursor::new(base()), &mut output, LIMITS)?;
    assert!(output == result, "a damaged delta made something else");
    Ok(())
}
