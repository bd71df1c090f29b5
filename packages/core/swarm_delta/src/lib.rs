//! Deltas between two versions of trained weights.
//!
//! A fine-tuned policy differs from its base in every float, and in no byte sequence that a general delta could find. Here the
//! old and the new words are combined by exclusive or, which leaves sign, exponent and upper mantissa zero where a weight moved a
//! little; bytes of the same place in their words are put side by side; zstd does the rest. Where few words changed, only
//! their distances and changes are kept.
//!
//! Vocabulary
//! - *base*: the bytes that are there; *result*: those that are wanted.
//! - *chunk*: up to [`CHUNK`] bytes of the result, made in one of four ways (`record`), whichever is smallest.
//! - *word*: 1, 2 or 4 bytes: what a weight is stored as. Its place need not be aligned in the file.
//! - *region*: what has a name in both: a file of a tar archive, a tensor of an ONNX model. A region is compared with its
//!   namesake, so that a layer that grew does not spoil those behind it.
//!
//! Flow
//! 1. [`encode`] on the registry, with both in memory; [`encode_if_smaller`] gives nothing where the whole is no larger.
//! 2. [`apply`] on the cell: chunk by chunk, in about 6 MB of memory whatever the delta says, hashed on the way by
//!    a thread of its own. `Ok` means that
//!    what was written has the digest that the delta promises; before that, what was written is worth nothing.
//!
//! # Artifacts
//! An artifact is a `.tar.gz`, and what is signed is its compressed bytes. Compressed bytes have no words, so that the
//! delta is one between the *tar* archives: the cell unpacks the old artifact's gzip, applies the delta, and compresses again
//! as `swarm_store` does when it packages. That gives the signed bytes only if they were compressed by the same library in the
//! same way; an artifact that was packaged by something else, or at another level, comes out as other bytes. So nobody relies on it: the
//! digest of the whole archive, which signed metadata names, decides, and where it differs the whole artifact is downloaded.
//!
//! A delta is not signed and needs not be. Whoever forges one gains nothing but a digest that does not fit.

mod apply;
mod encode;
mod error;
mod namesakes;
mod onnx;
mod record;
mod regions;
mod words;

pub use apply::{Limits, apply};
pub use encode::{encode, encode_if_smaller};
pub use error::ApplyError;
pub use record::{CHUNK, Header};
