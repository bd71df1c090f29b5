//! What goes over HTTP between the registry, the cells' bridges, the command line and the pages. Plain values, no rules.
//!
//! - [`artifact`]: artifacts and how they are handed in; [`audit`]: who did what;
//!   [`bag`]: recordings that cells hand in.
//! - [`cell`]: what a cell says of itself; [`deployment`]: which artifact a cell has been given, and what became of it.
//! - [`update`]: signed metadata of the update framework that is handed in; [`approval`]: what a second person confirms.
//! - [`provenance`]: what an artifact was made from, what was made from it, and where it ran.
//! - [`database`]: where the registry's database is, for it and for its backups.
//! - [`problem`]: why a request was refused; [`service`]: health and version.
//!
//! Names of moments end with `_unix` (seconds since 1970-01-01 UTC), or their values are RFC 3339 texts. Digests are SHA-256, 64 lower-case hex digits.
//!
//! Nothing in here is believed by a cell: what it may run is said by signed metadata and by signed artifacts alone.

pub mod approval;
pub mod artifact;
pub mod audit;
pub mod bag;
pub mod cell;
pub mod database;
pub mod deployment;
pub mod problem;
pub mod provenance;
pub mod service;
pub mod update;
