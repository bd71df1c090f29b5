//! The central registry of signed skill artifacts: takes them in, says what it has, hands them out, and withdraws a bad one.
//!
//! Vocabulary: an *artifact* is a signed archive (see `swarm_artifact`), known by its digest; its *record* is what the registry
//! knows about it; *quarantine* withdraws it without deleting it. A *cell* is assigned an artifact by the metadata of the
//! *director*, which only ever names what the *image* repository has (see `swarm_tuf`).
//!
//! Who reads here finds the rules first, then what keeps, then what speaks:
//! - [`record`], [`transfer`], [`audit`], [`access`]: rules; no HTTP, no SQL, no clock.
//! - [`database`], [`catalogue`], [`uploads`], [`blobs`]: what is kept, and where; [`deltas`]: what is made of it;
//!   [`bags`]: recordings that cells hand in.
//! - [`update`], [`fleet`], [`rollout`], [`approval`]: signed metadata, which cell runs what, by which stages, and what needs two
//!   people.
//! - [`intake`] (and `staging`, where bytes wait): the one way in; its numbered steps are the promise that nothing unverified is ever listed.
//! - [`http`]: routes, bodies, problems; `page`: what a browser shows; [`serve`]: connections and TLS; [`settings`] (and `arguments`): what the
//!   operator decides, and [`current`]: what is exchanged while the program runs.
//!
//! A replica keeps nothing between two requests: several of them may serve one PostgreSQL and one bucket.

pub mod access;
pub mod approval;
mod arguments;
pub mod bags;
pub mod blobs;
pub mod catalogue;
pub mod current;
pub mod database;
pub mod deltas;
pub mod fleet;
pub mod http;
pub mod intake;
pub mod metrics;
mod migrations;
mod page;
pub mod record;
pub mod rollout;
pub mod serve;
pub mod settings;
mod staging;
pub mod transfer;
pub mod update;
pub mod uploads;

/// The chain of the audit log, which the command line follows with the same code.
pub use swarm_audit as audit;
