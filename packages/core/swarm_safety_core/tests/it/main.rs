//! Tests of the decision on the shipped robots: every promise is one test.

mod bench;
mod commands;
mod envelopes;
mod faults;
mod invariants;
mod limits;
mod messages;
mod obedience;
mod people;
mod purity;
mod requirements;
mod running;
mod stops;
