//! The commands of `csactl`, run as an operator runs them, against a registry of their own.

mod artifacts;
mod backups;
mod bags;
mod common;
mod deltas;
mod expired;
mod keys;
#[cfg(feature = "peer-tests")]
mod postgres;
mod publish;
mod s3;
mod sign_in;
