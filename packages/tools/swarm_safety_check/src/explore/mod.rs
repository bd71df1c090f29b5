//! Exploration of the production [`step`](swarm_safety_core::step): every history of finite alphabets of inputs, up to equal keys;
//! of any length for the smaller alphabets, of two or three cycles for the whole one.
//!
//! Vocabulary
//! - *world*: the state of the decision, what it has heard, and three arms around it ([`World`]).
//! - *letter*: something that is not as in a healthy cycle; an *action* is a cycle with up to two of them ([`alphabet`]).
//! - *key*: what of a world the decision can tell apart ([`key`]). Of equal worlds one *representative* goes on.
//! - *invariant*: what holds of every step ([`invariants`]).
//!
//! Flow
//! 1. A [`Search`] begins in a [`Start`], under one [`Variant`] of the ceiling.
//! 2. Breadth first, every action of its alphabet is done in every representative; every step is judged.
//! 3. A world with a new key becomes a representative, and it is tried whether a healthy cell could be reset from there.
//!
//! What is explored
//! - Of any length, until nothing is new: all histories of what a person does (emergency stop, reset), of the monitor's own clock
//!   and limits, and of people; and of the stops and resets that one arm's silence and collisions bring about. From the monitor's start.
//! - Of two or three cycles: all histories of every letter of three arms, one or two at once, from five starts
//!   ([`searches`] says which to which depth). Faults that need more cycles than that to build up are the injector's
//!   ([`crate::faults`]).
//!
//! A search of any length has done every action of its alphabet in every key that can be reached with it. Two worlds of one key
//! differ in numbers (an output of 0.08 or 0.09 rad/s, a place), and one of them goes on: so this is no proof for every number. The
//! decision compares numbers with limits, each on both sides here, and the numbers between are the random tests'. Arms are not
//! exchanged for one another to save work: causes name the first robot, so that the cell is not symmetric.
//!
//! Deliberately absent: a model of the decision. What is explored is what is shipped.

pub mod alphabet;
pub mod invariants;
mod key;
mod search;
mod world;

pub use search::{
    Explorer, Extent, Outcome, Search, Start, Variant, explore, explore_all, reached, searches,
};
pub use world::{PERIOD, Transition, World};
