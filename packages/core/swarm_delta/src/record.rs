//! The format. All numbers are little-endian.
//!
//! ```text
//! header   "CSAD", u8 format = 1, u64 base length, u64 result length, [32] base SHA-256, [32] result SHA-256
//! records  one after the other, until the result is complete; nothing follows
//!
//! record   u8 kind, u32 length of what it makes (at most CHUNK), then by kind
//!   0 plain   part(length)
//!   1 same    u64 place in the base
//!   2 dense   u64 place in the base, u8 phase, edges, 4 x part(words)
//!   3 sparse  u64 place in the base, u8 width, u8 phase, u32 changed words, u32 length of the gaps, edges,
//!             part(length of the gaps), width x part(changed words)
//!
//! part(n)  u32 m <= n, then m bytes: n plain bytes if m = n, or else zstd of n bytes. No part where n = 0.
//! ```
//!
//! Dense and sparse change a copy of the base. Words begin at byte `phase` of it and have 4 bytes (dense) or `width` (sparse); the
//! bytes before the first word and after the last are the *edges*. Each value is the exclusive or of base and result. The
//! k-th part of values holds the k-th byte of each word. A *gap* is how many words stay the same before one that changes: bytes of
//! 255 that add up, and one below 255 that ends it.

/// The most that one record makes, in bytes.
pub const CHUNK: usize = 1 << 20;

pub(crate) const MAGIC: [u8; 4] = *b"CSAD";
pub(crate) const FORMAT: u8 = 1;
pub(crate) const HEADER: usize = 4 + 1 + 8 + 8 + 32 + 32;

pub(crate) const PLAIN: u8 = 0;
pub(crate) const SAME: u8 = 1;
pub(crate) const DENSE: u8 = 2;
pub(crate) const SPARSE: u8 = 3;

/// Bytes of a dense word.
pub(crate) const DENSE_WIDTH: usize = 4;
/// Bytes that a sparse word may have, those of the commonest weights first.
pub(crate) const WIDTHS: [usize; 3] = [4, 2, 1];

/// What a delta says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// In bytes.
    pub base_length: u64,
    /// In bytes.
    pub result_length: u64,
    /// SHA-256.
    pub base_digest: [u8; 32],
    /// SHA-256.
    pub result_digest: [u8; 32],
}

impl Header {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend(MAGIC);
        bytes.push(FORMAT);
        bytes.extend(self.base_length.to_le_bytes());
        bytes.extend(self.result_length.to_le_bytes());
        bytes.extend(self.base_digest);
        bytes.extend(self.result_digest);
        bytes
    }
}

/// Where words lie in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    /// Where the first word begins.
    pub(crate) phase: usize,
    /// How many there are.
    pub(crate) words: usize,
}

impl Grid {
    /// `None` if there is no such grid in `length` bytes.
    pub(crate) fn new(length: usize, width: usize, phase: usize) -> Option<Self> {
        if width == 0 || phase >= width || phase > length {
            return None;
        }
        Some(Self { width, phase, words: (length - phase) / width })
    }

    /// The words within a chunk's bytes.
    pub(crate) fn body(self) -> std::ops::Range<usize> {
        self.phase..self.phase + self.words * self.width
    }
}
