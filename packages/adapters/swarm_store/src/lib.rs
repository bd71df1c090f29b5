//! Artifacts on disk: packaging, verifying, unpacking, and the store from which a cell runs its skill.
//!
//! The rules are `swarm_artifact`'s; this crate reads and writes files and adds what only a disk can get wrong.
//!
//! - [`package`] makes the archive from a folder: same folder, same bytes.
//! - [`verify_archive`] hashes an archive once, in chunks, and checks its signatures. Nothing is unpacked.
//! - [`check_contents`] reads a verified archive through, against its manifest, without writing anything.
//! - [`read_ahead`] does the work of that while the archive arrives, and [`Contents::check`] the judging when it is verified.
//! - [`make_delta`], [`delta_between`] and [`apply_delta`]: what a cell needs to turn an archive that it has into one that it wants.
//! - [`Store`] keeps verified artifacts by their SHA-256, and one pointer to the deployed one. [`Store::prune`] bounds it.
//!
//! Deliberately absent: behaviour trees, ONNX models, envelopes. Their checks belong to the caller, who makes them on
//! [`Object::folder`] between [`Store::ingest`] and [`Store::deploy`]; until `deploy`, what is deployed stays.

mod ahead;
mod archive;
mod compare;
mod delta;
mod durable;
mod error;
mod package;
mod pointer;
mod prune;
mod store;
mod unpack;
mod verify;

pub use ahead::{Contents, read_ahead};
pub use delta::{DeltaError, Source, apply_delta, delta_between, make_delta};
pub use durable::{Fault, Step};
pub use error::{ArchiveError, PackageError, StoreError};
pub use package::{PackageOptions, Packaged, package};
pub use pointer::{Deployed, Deployment};
pub use prune::KEPT;
pub use store::{Object, Store};
pub use unpack::check_contents;
pub use verify::{
    VerifiedArchive, hash_archive, read_signatures, read_trust, signature_path, unix_now, verify_archive,
};
