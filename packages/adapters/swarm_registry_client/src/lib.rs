//! The registry as a cell's bridge uses it. What is believed is decided in `swarm_tuf` and `swarm_artifact`, what is done next in
//! `swarm_bridge_core`; here are the network and the disk.
//!
//! ```text
//! DATA/metadata/{image,director}/*.json     what is believed of the two repositories; pinned.json is the root it began with
//!     /cache/<sha256>.tar.gz, .tar.gz.sig   artifacts, whole and checked before they have these names, and again at every use
//!           /<sha256>.tmp                   a download that goes on after a cut
//!     /spool/X, X.upload                    what is to be handed in, see [`Spool`]
//!     /bridge.json                          the bridge's memory
//! ```
//!
//! - [`Connection`]: HTTP with the site's certificate; every answer is bounded in length and in time.
//! - [`Repositories`]: both repositories, refreshed together; [`Repositories::look`] says what this cell is to run.
//! - [`Cache`]: artifacts by their digest; [`Cache::download`], [`Cache::verify`].
//! - [`Spool`]: uploads that wait until the registry is there.
//!
//! A difference between two artifacts (a delta) would be another way for [`Cache::download`] to come by the bytes of the `.tmp`; what
//! makes them an artifact stays the check of the whole file.

mod cache;
mod connection;
mod download;
mod error;
mod files;
mod folder;
mod memory;
mod names;
mod repositories;
mod spool;
mod upload;

pub use cache::Cache;
pub use connection::{Connection, Settings};
pub use error::ClientError;
pub use folder::Folder;
pub use memory::{load_memory, store_memory};
pub use names::{parse_target_path, target_path};
pub use repositories::{Look, Repositories, Repository};
pub use spool::{Spool, SpoolState};
