//! The registry as a cell's bridge uses it, and people's command line. What is believed is decided in `swarm_tuf` and `swarm_artifact`, what is done next in
//! `swarm_bridge_core`; here are the network and the disk.
//!
//! ```text
//! DATA/metadata/{image,director}/*.json     what is believed of the two repositories; pinned.json is the root it began with
//!     /cache/<sha256>.tar.gz, .tar.gz.sig   artifacts, whole and checked before they have these names, and again at every use
//!           /<sha256>.tmp                   a download that goes on after a cut
//!           /<sha256>-<sha256>.delta.tmp    a delta that does, from the second artifact to the first
//!     /spool/X, X.upload                    what is to be handed in, see [`Spool`]
//!     /bridge.json                          the bridge's memory
//! ```
//!
//! - [`Connection`]: HTTP with the site's certificate or a person's token; every answer is bounded in length and in time.
//! - [`Repositories`]: both repositories, refreshed together; [`Repositories::look`] says what this cell is to run.
//! - [`Cache`]: artifacts by their digest; [`Cache::download_from`], [`Cache::verify`].
//! - [`Spool`]: uploads that wait until the registry is there; [`Upload`]: one of them.
//! - [`bridge`]: the threads that use all of these to keep a cell in step.
//!
//! The command line of people speaks to a registry through the same [`Connection`], [`Upload`], [`fetch_archive`] and [`Folder`]: there is
//! one client.

pub mod bridge;
mod cache;
mod connection;
mod delta;
mod download;
mod error;
mod files;
mod folder;
mod memory;
mod names;
mod pack;
mod repositories;
mod spool;
mod upload;

pub use cache::{ApplyDelta, Cache};
pub use connection::{Answer, Bounds, Connection, PlainHttp, Settings, Token};
pub use download::{Downloaded, fetch_archive, fetch_bag, read_archive};
pub use error::ClientError;
pub use folder::Folder;
pub use memory::{load_memory, store_memory};
pub use names::{parse_target_path, target_path};
pub use repositories::{Look, OfInterest, Repositories, Repository};
pub use spool::{Spool, SpoolState};
pub use upload::{PART, Submission, Upload};
