//! Cooperative skill artifact (CSA): what is inside, who signed it, and whether it may replace what is deployed.
//!
//! A CSA is `NAME_vX.Y.Z.tar.gz` beside `NAME_vX.Y.Z.tar.gz.sig`. This crate holds every rule about the two and does no
//! I/O: bytes and values come in, decisions and typed errors go out. `swarm_store` reads and writes the disk.
//!
//! Vocabulary
//! - *archive*: the bytes of the `.tar.gz`; its SHA-256 is the [`ArtifactId`].
//! - *signing digest*: the 32 bytes that are signed, see [`ArchiveDigest::signing_digest`].
//! - *signature file*: the `.sig`, one or more Ed25519 signatures over the signing digest ([`SignatureFile`]).
//! - *trust file*: the keys that this cell believes, and how many signers an artifact needs ([`Trust`]). It is pinned on
//!   the cell by its operator and never comes with an artifact.
//! - *manifest*: `manifest.yaml`, the first entry of the archive; names every other file with size and SHA-256 ([`Manifest`]).
//!
//! Flow of an artifact through these rules
//! 1. [`ArchiveHasher`] over the bytes gives the [`ArchiveDigest`].
//! 2. [`verify`] decides whether enough trusted signers signed it. Nothing is unpacked before that.
//! 3. [`Manifest::parse`] reads the first entry and reports all its mistakes at once.
//! 4. [`ContentsCheck`] holds every further entry against the manifest.
//! 5. [`check_version`] decides whether this version may follow the one that is deployed.
//!
//! The threshold rule exists once, in [`verify`]; the command line, the runtime and the safety monitor all call it.

mod canonical;
mod contents;
mod keys;
mod manifest;
mod path;
mod policy;
mod signature;
mod sum;
mod trust;
mod verify;
mod version;

pub use canonical::{ArchiveDigest, ArchiveHasher, SIGNING_DOMAIN, SigningDigest};
pub use contents::{ContentsCheck, ContentsError, Limits};
pub use keys::{
    KeyError, KeyId, private_key_from_pem, private_key_to_pem, public_key_from_pem, public_key_to_pem,
};
pub use manifest::{
    FileEntry, MANIFEST_NAME, Manifest, ManifestError, RoleEntry, SCHEMA_VERSION, SkillId, SkillSource,
};
pub use path::{EntryPath, PathError};
pub use policy::{
    ActionKind, ChunkEntry, ChunkedEntry, HistoryEntry, InputEntry, InputSource, PolicyEntry, Scaling,
};
pub use signature::{SignatureEntry, SignatureFile, SignatureFileError};
pub use sum::{ArtifactId, ParseSumError, Sha256Sum};
pub use trust::{KeyRole, Trust, TrustError, TrustedKey};
pub use verify::{Rejection, Verified, VerifyError, verify};
pub use version::{Intent, VersionError, check_version};
