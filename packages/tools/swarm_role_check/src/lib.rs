//! Evidence about the protocol between roles that is shipped, [`swarm_skill_core::Cooperation`], and nothing but it.
//!
//! - [`player`]: one role, with a program in the place of its tree; [`invariants`]: what must hold of what players do.
//! - [`sim`]: random runs under a link that drops, delays, duplicates, reorders and is cut, with crashes, restarts, second players of a
//!   role and clocks that drift; invariants judged on every tick, by what the roles really do and not by what they have heard.
//! - [`explore`]: every fate of every message up to a depth, for three roles.
//!
//! Deliberately absent: trees, robots, threads and sockets. A tree's leaves make the same calls as a program's steps do.

pub mod explore;
pub mod invariants;
pub mod player;
pub mod sim;
