//! Behaviour trees without their leaves: a script says what each leaf answers, a trace says everything that happened.
//!
//! For whoever writes a tree and has no robot yet, and for whoever compares this engine with another one.
//!
//! - Vocabulary: a *script* is the list of answers of one leaf, given in a cycle; a *step* is one tick or one halt of the tree; a
//!   *trace* is every transition and every leaf call in the order in which they happened; a *vector* is a tree, its scripts
//!   and what another engine did with them.
//! - Flow: 1. [`Scripts::parse`] reads the answers. 2. [`declare`] makes a registry of the leaves that the documents use.
//!   3. [`Run::tick`] ticks with them and hands each [`Event`] of the step over, in order. 4. [`json_line`] writes it down.
//! - [`Vector::replay`] does the same with a vector, and says the first thing in which this engine differs.
//!
//! # The script file
//!
//! A JSON object with one entry for each leaf. Its key is the `name` of a node, or else the registration id; the nodes that
//! share a key share its answers, each call taking the next one. After the last answer the first comes again.
//!
//! ```json
//! {
//!   "Grasp": ["RUNNING", "RUNNING", "SUCCESS"],
//!   "Place": "RRF",
//!   "SeesPart": {"kind": "condition", "answers": "SSF", "outputs": {"pose": ["0.1;0.2", "0.3;0.2"]}}
//! }
//! ```
//!
//! An answer is RUNNING, SUCCESS, FAILURE or SKIPPED, or its letter R, S, F or K. `kind` is
//! needed only where neither the element (`<Condition ID=..>`) nor `<TreeNodesModel>` says it; without any it is `action`.
//! `outputs` are written with the answer of the same place in the list: `null` writes nothing, and a list that is shorter
//! begins again by itself. `stops_after` says how often a halted leaf is asked before it has stopped (0: it stops at once).
//!
//! # The trace
//!
//! One JSON object per line, see [`json_line`].
//!
//! Deliberately absent: files and the command line (`cell bt run`).

mod declare;
mod run;
mod scripts;
mod trace;
mod vector;

pub use declare::{declare, included};
pub use run::{Call, Event, Heard, Run, Sink};
pub use scripts::{Scripts, ScriptsError};
pub use trace::{json_line, tree_line};
pub use vector::{Batch, Compared, Difference, Entry, Vector};
