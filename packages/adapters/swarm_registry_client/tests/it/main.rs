//! The cell's side of the registry, against a registry that breaks on demand.

mod bridge;
mod common;
mod deltas;
mod download;
mod look;
mod spool;
mod withdrawal;
