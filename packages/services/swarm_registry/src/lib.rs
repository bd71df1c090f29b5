//! The central registry of signed skill artifacts: takes them in, says what it has, hands them out, and withdraws a bad one.
//!
//! Vocabulary: an *artifact* is a signed archive (see `swarm_artifact`), known by its digest; its *record* is what the registry
//! knows about it; *quarantine* withdraws it without deleting it.
//!
//! Who reads here finds the rules first, then what keeps, then what speaks:
//! - [`record`], [`transfer`], [`audit`], [`access`]: rules; no HTTP, no SQL, no clock.
//! - [`database`], [`catalogue`], [`uploads`], [`blobs`]: what is kept, and where.
//! - [`intake`]: the one way in; its numbered steps are the promise that nothing unverified is ever listed.
//! - [`http`]: routes, bodies, problems; [`serve`]: connections and TLS; [`settings`]: what the operator decides.
//!
//! A replica keeps nothing between two requests: several of them may serve one PostgreSQL and one bucket.

pub mod access;
pub mod audit;
pub mod blobs;
pub mod catalogue;
pub mod database;
pub mod http;
pub mod intake;
pub mod metrics;
pub mod record;
pub mod serve;
pub mod settings;
pub mod transfer;
pub mod uploads;
