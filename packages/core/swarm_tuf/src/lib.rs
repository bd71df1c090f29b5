//! The Update Framework 1.0: what a cell believes of a repository, and what a repository signs. No I/O and no clock.
//!
//! With it a cell survives a registry, a mirror or a network that has been taken over: none of them can make it take a file
//! that was not signed for it, go back to an older state, stay on an old one without notice, or mix two states.
//!
//! Vocabulary, as in the specification
//! - *metadata*: signed JSON. *Root* names the keys of all four top-level roles; *targets* names files with length and
//!   digests; *snapshot* names the versions of all targets metadata; *timestamp* names the newest snapshot.
//! - *delegation*: targets metadata that trusts another role with some paths, such as those of one skill.
//! - *threshold*: how many different keys of a role must sign. The rule exists once, in `threshold`.
//! - *director*: a second repository that says which cell runs what, see [`director`].
//!
//! Flow on a cell
//! 1. [`Client::new`] with the root of the local folder and the time, which does not move during an update.
//! 2. [`Client::step`] says what to load, fetch, store or remove, and is told what came of it, until [`Step::Refreshed`].
//! 3. [`Client::search`] and the same loop, until [`Step::Found`] gives a [`Target`].
//! 4. [`Target::check`] over its bytes, after the download and before every use.
//!
//! [`refresh`] and [`find`] are that loop over a [`Host`]. Flow of a repository: see [`repository`].
//!
//! ```
//! use std::collections::BTreeMap;
//! use ed25519_dalek::SigningKey;
//! use swarm_tuf::repository::{Keyring, Lifetimes, NewRole, NewRoles, Repository};
//! use swarm_tuf::{Answer, Client, Ed25519Signer, Limits, Mode, Moment, Step, TargetFile};
//! # use std::num::NonZeroU64;
//!
//! let now = Moment(1_800_000_000);
//! let day = 86_400;
//! let mut keyring = Keyring::default();
//! let mut role = |seed| NewRole {
//!     keys: vec![keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[seed; 32])))],
//!     threshold: NonZeroU64::MIN,
//! };
//! let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
//! let lifetimes = Lifetimes { root_s: 365 * day, targets_s: 90 * day, snapshot_s: 7 * day, timestamp_s: day };
//! let mut repository = Repository::create(roles, lifetimes);
//! repository.set_target("targets", &"pick_v1.0.0.tar.gz".parse()?, TargetFile::of(b"an archive"))?;
//! let server: BTreeMap<String, Vec<u8>> =
//!     repository.publish(&keyring, now)?.into_iter().map(|file| (file.name, file.bytes)).collect();
//!
//! let mut client = Client::new(&server["1.root.json"], now, Mode::Online, Limits::default())?;
//! client.search(&"pick_v1.0.0.tar.gz".parse()?);
//! let mut answer = Answer::Done;
//! let target = loop {
//!     answer = match client.step(answer)? {
//!         Step::Load { .. } => Answer::Missing, // a folder that is still empty
//!         Step::Fetch(fetch) => server.get(&fetch.file).cloned().map_or(Answer::Missing, Answer::Bytes),
//!         Step::Store { .. } | Step::Remove { .. } => Answer::Done,
//!         Step::Refreshed => {
//!             client.search(&"pick_v1.0.0.tar.gz".parse()?);
//!             Answer::Done
//!         }
//!         Step::Found(target) => break target,
//!     };
//! };
//! let mut check = target.check()?;
//! check.update(b"an archive")?;
//! check.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately absent: HTTP, files, clocks (the shells have them), the mirrors role, and key types beyond Ed25519, ECDSA on
//! P-256 and RSA-PSS.

mod client;
mod delegation;
pub mod director;
mod glob;
mod host;
mod json;
mod key;
mod limits;
mod metadata;
mod moment;
mod names;
mod refusal;
pub mod repository;
mod rules;
mod target;
mod threshold;

pub use client::{Answer, Client, Fetch, Mode, Step};
pub use delegation::{DelegatedRole, Delegations, SuccinctRoles};
pub use host::{Host, find, refresh};
pub use json::Json;
pub use key::{Ed25519Signer, Key, KeyId, KeyValue, Signer};
pub use limits::Limits;
pub use metadata::{
    Draft, Head, MetaFile, Metadata, RoleKeys, Root, SPEC_VERSION, Signature, Signed, Snapshot, TargetFile,
    Targets, Timestamp,
};
pub use moment::Moment;
pub use names::{
    ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TargetPath, TargetPathError, encoded, local_file, remote_file,
};
pub use refusal::{Refusal, Rejection};
pub use target::{Target, TargetCheck};
