//! Evidence about the safety decision that is shipped, [`swarm_safety_core::step`], and nothing but it.
//!
//! - [`explore`]: every history of a finite alphabet of inputs, with invariants judged on every step.
//! - [`mutants`]: deliberate defects of the core's source; exploration and tests must find each.
//! - [`faults`]: what goes wrong in a real cell, injected into a running one at random moments; how soon it is found.
//!
//! Deliberately absent: the real-time thread and the node around the decision, which have evidence of their own.

pub mod cell;
pub mod explore;
pub mod faults;
pub mod mutants;
