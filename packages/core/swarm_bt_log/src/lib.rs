//! Runs of behaviour trees, recorded by what came from outside and executed again bit for bit.
//!
//! A tick of `swarm_bt` is a function. So a run needs no log of what happened in it: the inputs of every tick are enough, and a
//! digest of the state after it says whether a replay is what was recorded. Everything else (each transition, each entry of
//! the blackboard at any moment) follows.
//!
//! - Vocabulary: a *step* is one tick or one halt of the tree; its *inputs* are the time, what was written into the blackboard
//!   from outside, and each leaf's answer with what it wrote; a *recipe* is what the tree is made from.
//! - Flow: 1. [`Recorder::begin`] with the [`Recipe`] of the tree. 2. [`Recorder::tick`] and [`Recorder::halt`] in place of the
//!   engine's functions. 3. [`Recording::read`], [`Replay`]; [`Narrator`] shows steps, [`first_difference`] two runs.
//!
//! # The stream
//!
//! [`MAGIC`], then records until the end. A record is a length (4 bytes, of kind and body), CRC-32 of length, kind and body (4), a
//! kind (1) and a body. Records are only ever added, each with one write, so that a recorder that is killed at any byte loses at
//! most the step that was under way; the reader says how many bytes of it there are ([`Tail::Cut`]). Little endian; *n* is a
//! number of 64 bits in groups of seven, lowest first; *z* a signed one, as `n = 2 |z|` with the sign lowest (ZigZag).
//!
//! | record | body |
//! |---|---|
//! | 0 header | SHA-256 of the recipe; version of the engine (text); recipe; digest of the first state (8) |
//! | 1 tick, 2 halt | time since the step before, ns (*z*); entries written from outside; calls; `0`; outcome (1); digest of the state (8) |
//! | 3 close | none |
//!
//! | part | bytes |
//! |---|---|
//! | text | length (*n*), UTF-8 |
//! | value | kind (1): 0 bool (1), 1 int (*z*), 2 float (8), 3 text, 4 count (*n*) and floats |
//! | entries | count (*n*); of each its place among the tree's slots (*n*), how often it was written (*n*), the last value |
//! | call | one byte: 1 start, 2 running, 3 halt, 4 halting; 8 where it wrote; the answer times 16 (status, or 1 for a halt that is pending); uid (*n*); entries, where it wrote |
//! | outcome | a status (0 RUNNING, 1 SUCCESS, 2 FAILURE, 3 SKIPPED; 0 of a halt), or 4 for an error |
//! | recipe | documents: count, name and text of each; main tree (text, empty where the document says it); mode (1: 0 compat, 1 strict); leaves: count, and id, kind (0 action, 1 condition), ports; constants: count, and name and number (*z*); 1 where leaves have a limit for stopping; that limit, ns (*n*) |
//! | port | name; direction (0 in, 1 out, 2 both); type (0 any, 1 bool, 2 int, 3 float, 4 text, 5 vector); 1 where it has a default; default |
//!
//! What it does not hold: why a leaf answered as it did, and what an operator saw.
//!
//! Deliberately absent: files and `fsync` (an adapter's), and rotation: one run, one stream.
//!
//! ```
//! use swarm_base::Time;
//! use swarm_bt::{Halt, LeafCall, LeafModel, Leaves, Registry, State, Status};
//! use swarm_bt_log::{Recipe, Recorder, Recording, Replay, Tail};
//!
//! struct Arm;
//! impl Leaves for Arm {
//!     fn start(&mut self, _: &mut LeafCall<'_>) -> Status { Status::Running }
//!     fn running(&mut self, _: &mut LeafCall<'_>) -> Status { Status::Success }
//!     fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt { Halt::Done }
//! }
//!
//! let registry = Registry::new().leaf(LeafModel::action("Lift"));
//! let xml = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Lift/></BehaviorTree></root>"#;
//! let recipe = Recipe::new("main.xml", xml, &registry);
//! let tree = recipe.load()?;
//! let mut state = State::new(&tree);
//! let mut recorder = Recorder::begin(Vec::new(), &recipe, &tree)?;
//! recorder.tick(&tree, &mut state, Time::from_millis(0), &mut Arm, &mut ())?;
//! recorder.tick(&tree, &mut state, Time::from_millis(10), &mut Arm, &mut ())?;
//!
//! let recording = Recording::read(recorder.finish()?)?;
//! assert_eq!((recording.len(), recording.tail), (2, Tail::Closed));
//! let mut replay = Replay::new(&recording)?;
//! replay.seek(2)?; // every answer, call and digest compared
//! assert_eq!(replay.state(), &state);
//! replay.seek(1)?; // and back
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod btlog;
mod diff;
mod frame;
mod reading;
mod recipe;
mod recorder;
mod replay;
mod wire;

pub use btlog::{BTLOG_MAGIC, write_btlog};
pub use diff::{Difference, Narrator, first_difference, standing};
pub use frame::MAGIC;
pub use reading::{CallAnswer, CallRecord, Outcome, ReadError, Recording, Step, StepKind, Tail, Written};
pub use recipe::Recipe;
pub use recorder::{Health, Recorder, TickRecorder};
pub use replay::{Parted, Parting, Replay, ReplayError};
pub use wire::Malformed;
