//! Why a delta is not applied.

use std::io;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("this is no delta: it begins with {found:02x?} instead of {expected:02x?}")]
    NotADelta { found: Vec<u8>, expected: [u8; 4] },
    #[error(
        "this delta is of format {found}, and format {known} is known here; download the whole, or update this program"
    )]
    Format { found: u8, known: u8 },
    /// Bombs, too.
    #[error("the delta's result would have {length} bytes, and {limit} are allowed")]
    TooLarge { length: u64, limit: u64 },
    #[error("the delta is for a base of {expected} bytes, and this one has {actual}; download the whole")]
    BaseLength { expected: u64, actual: u64 },
    #[error("the delta is for the base {expected}, and this is {actual}; download the whole")]
    WrongBase { expected: String, actual: String },
    #[error("the delta ends at byte {at}, in the middle of {what}; download it again")]
    Truncated { at: u64, what: &'static str },
    #[error("the delta is damaged at byte {at}: {problem}; download it again")]
    Malformed { at: u64, problem: String },
    #[error(
        "the base is the right one, but the result has the digest {actual}, and {expected} was promised; the delta is damaged, download it again"
    )]
    Digest { expected: String, actual: String },
    #[error("cannot {what}")]
    Io { what: &'static str, source: io::Error },
}

impl ApplyError {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotADelta { .. } => "not_a_delta",
            Self::Format { .. } => "format",
            Self::TooLarge { .. } => "too_large",
            Self::BaseLength { .. } => "base_length",
            Self::WrongBase { .. } => "wrong_base",
            Self::Truncated { .. } => "truncated",
            Self::Malformed { .. } => "malformed",
            Self::Digest { .. } => "digest",
            Self::Io { .. } => "io",
        }
    }
}
