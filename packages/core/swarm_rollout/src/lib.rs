//! Staged roll-outs: an artifact goes to a few cells first, and further only while those do well. No I/O and no clock.
//!
//! Vocabulary
//! - *plan*: what a person asks for: artifact, cells, stages, gates ([`Plan`]).
//! - *stage*: a share of the cells, or named ones. The first is the canary.
//! - *gate*: what must hold for the roll-out to go on ([`Gates`]).
//! - *member*: a cell that belongs to the roll-out; its *standing* says how far it is ([`Member`]).
//! - *holder*: a member to which this roll-out has assigned the artifact.
//!
//! Flow
//! 1. [`Rollout::begin`] checks the plan, all its mistakes at once.
//! 2. [`step`], at every report and otherwise every second or so, is shown all cells and gives the next state and what is to be
//!    done. Caller and registry carry both out in one transaction: what a step asks for is taken as done in the next.
//! 3. [`command`] is what a person asks in between: pause, resume, abort.
//!
//! What holds, whatever the cells report (`tests/fleet.rs` tries it on random fleets with faults)
//! - A gate that fails takes everything back in that one step, from cells that look healthy too; a roll-out that has failed never
//!   assigns again. Gates guard while it is paused, too.
//! - A stage hands out only to cells that can be reached, so that a cell that is switched off holds nobody up. When it comes back,
//!   its first report brings what is then right: the artifact, or nothing if the roll-out has failed meanwhile.
//! - Silence is no evidence. Time counts as observed when a report of a cell that runs the artifact comes after it, and cells that fell
//!   silent after they were given it are not replaced by others: an artifact that kills cells stays with the canary.
//! - Which cells come first is drawn by the plan's seed, not by name or age: neighbours share their faults. The draw does
//!   not change when cells come or go.
//! - Who assigns a cell something else by hand takes it out of the roll-out. Who decommissions one does not: if it comes back and
//!   still runs the artifact, that is taken back from it as from all others.
//!
//! When a cell exchanges its artifact (at rest, in its window) is the cell's decision, and not made here.

mod answer;
mod command;
mod gate;
mod members;
mod plan;
mod rank;
mod state;
mod step;
mod view;
mod waits;

pub use answer::{HistoryEntry, RolloutListed, RolloutPage, RolloutStatus};
pub use command::{Command, CommandError, command};
pub use plan::{Cells, Gates, Mistake, Plan, PlanError, Stage};
pub use state::{Counted, Handover, Member, Rollout, Standing, State, Summary};
pub use step::step;
pub use view::{Action, Assigned, CellView};
pub use waits::waits_for;
