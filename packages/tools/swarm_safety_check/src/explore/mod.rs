//! Exploration of the production [`step`](swarm_safety_core::step): every history of a finite alphabet of inputs, up to equal
//! keys.
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
//! What "exhaustive" means here: a search that ends by itself has done every action in every key that can be reached with its
//! alphabet; one with a depth has done so for all histories of that many cycles. Two worlds of one key differ in numbers
//! (an output of 0.08 or 0.09 rad/s, a place), so this is no proof for every number: the decision compares numbers
//! with limits, each on both sides here, and the numbers between are the random tests'. Arms are not exchanged for one another
//! to save work: causes name the first robot, so that the cell is not symmetric.
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
