//! What keeps a cell in step with its registry, decided without I/O, clock or ROS: what it has, what it is to run, the time, and
//! out comes what is done next.
//!
//! Vocabulary
//! - *want*: the artifact that the director assigns to this cell, and that the image repository has too ([`Want`]). Only signed
//!   metadata makes one; a registry's answers are hints and appear nowhere here.
//! - *have*: what is deployed, what moves, what is in the cache, when the registry was last believed ([`Have`]).
//! - *plan*: the steps from here to there, in order, and what they stop at ([`plan()`]).
//! - *left*: an assignment that somebody on the cell went away from by hand. It is not brought back.
//! - *withdrawn*: what runs was believed once, and the image repository had it no more when it was asked last.
//!
//! Flow in the shell
//! 1. gather [`Have`] and [`Want`]; [`plan()`] gives the steps;
//! 2. carry out one step, tell [`Memory`] and [`Schedule`] what came of it;
//! 3. [`Standing`] says how the cell stands, for the status topic, the report to the registry and the operator; again from 1.
//!
//! Rules that every plan keeps, and that `tests/histories.rs` tries with random histories and faults: nothing is exchanged in
//! motion; a newer version waits for the maintenance window, a way back waits for rest alone; what is current, last good or
//! wanted is never evicted; what was not agreed, or has expired, is never deployed.
//!
//! Deliberately absent: HTTP, files, signatures (`swarm_tuf` and `swarm_artifact` have the rules), topics.

mod cache;
mod health;
mod memory;
mod offline;
mod plan;
mod report;
mod retry;
mod standing;
mod values;
mod window;

pub use cache::{Cached, NoRoom, evictions};
pub use health::{Ended, HealthWatch, RunSeen, SILENT_AFTER};
pub use memory::{Memory, Ran};
pub use offline::{OfflinePolicy, Then};
pub use plan::{Plan, Rest, Step, plan};
pub use report::{Reporter, Said};
pub use retry::{Backoff, Schedule};
pub use standing::{Standing, State};
pub use values::{Belief, Deployed, Have, Now, RegistryView, Runtime, Trouble, Want, Wanted};
pub use window::{Windows, WindowsError};
