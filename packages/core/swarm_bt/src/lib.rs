//! Behaviour-tree engine for BehaviorTree.CPP v4 XML with a pure tick.
//!
//! A [`Tree`] is loaded once and never changes; a [`State`] holds everything that does; [`tick`] is a function of both, of the
//! time and of what the [`Leaves`] answer. There is no clock, no thread and no global in here, and after load a tick allocates
//! nothing for control nodes: the same inputs give the same run, bit for bit, at any speed.
//!
//! - Vocabulary: a *leaf* is a node carried out outside (an action or a condition); a *port* is how a leaf reads and writes
//!   the *blackboard*; a *slot* is one entry of the blackboard, its name resolved at load; a *transition* is a change of what a
//!   node keeps ([`NodeStatus`]), an *answer* is what its tick returned ([`Status`]).
//! - Flow: 1. [`Registry`] names the leaves. 2. [`Loader`] reads XML, reports every mistake with its line, gives a [`Tree`].
//!   3. [`State::new`]. 4. Per cycle: [`State::set`] what came from outside, then [`tick_observed`].
//! - Nodes: Sequence, AsyncSequence, SequenceWithMemory, Fallback, AsyncFallback, ReactiveSequence, ReactiveFallback, Parallel;
//!   Inverter, ForceSuccess, ForceFailure, KeepRunningUntilFailure, Repeat, RetryUntilSuccessful, Timeout, Delay; SubTree;
//!   AlwaysSuccess, AlwaysFailure, Script, ScriptCondition, SetBlackboard, Sleep; pre- and post-conditions on all of them.
//! - A tick recurses as deep as the tree, at most [`MAX_DEPTH`] levels.
//!
//! # Differences from BehaviorTree.CPP
//!
//! The rules are those of BehaviorTree.CPP 4.10, to the transition; `swarm_bt_script` replays recorded traces of the original.
//! On purpose different, each with a test:
//!
//! | here | there |
//! |---|---|
//! | time is an argument; a Timeout halts its child in the first tick after it is due | a thread halts it in between |
//! | after an error in a tick all leaves are halted and all nodes idle | the tree stays as it was |
//! | halting the tree runs `_onHalted` of the nodes that were running | of every node, some twice |
//! | a condition that answers RUNNING is an error | accepted |
//! | `1 .. 2` is an error | gives nothing, which fails later |
//! | text that is a number only at its beginning (`'3abc'`) is none | is 3 |
//! | SetBlackboard writes text over an entry that a script has made | empties the entry |
//! | an entry has the type of any port connected to it | only of a port met before the entry was made |
//! | mistakes found at load: a Parallel threshold above the number of children, a tree id used twice, a misspelt `_skipIf`, no `BTCPP_format` | when ticked, or never |
//! | scripts and keys that would themselves be read from the blackboard (`code="{x}"`, `output_key="{x}"`) are refused | allowed |
//!
//! ```
//! use swarm_base::Time;
//! use swarm_bt::{Halt, LeafCall, LeafModel, Leaves, Loader, PortType, Registry, State, Status, tick};
//!
//! struct Arm;
//! impl Leaves for Arm {
//!     fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
//!         match leaf.get::<f64>("height") {
//!             Ok(height) if height < 1.0 => Status::Running,
//!             _ => Status::Failure,
//!         }
//!     }
//!     fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
//!         match leaf.set("reached", 0.42) {
//!             Ok(()) => Status::Success,
//!             Err(_) => Status::Failure,
//!         }
//!     }
//!     fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
//!         Halt::Done
//!     }
//! }
//!
//! let registry = Registry::new()
//!     .leaf(LeafModel::action("Lift").input("height", PortType::Float).output("reached", PortType::Float));
//! let xml = r#"
//! <root BTCPP_format="4">
//!   <BehaviorTree ID="Main">
//!     <Sequence>
//!       <Script code="goal := 0.4"/>
//!       <Lift height="{goal}" reached="{z}"/>
//!       <ScriptCondition code="z > goal"/>
//!     </Sequence>
//!   </BehaviorTree>
//! </root>"#;
//! let tree = Loader::new(&registry).document("main.xml", xml).load()?;
//! let mut state = State::new(&tree);
//! assert_eq!(tick(&tree, &mut state, Time::from_millis(0), &mut Arm)?, Status::Running);
//! assert_eq!(tick(&tree, &mut state, Time::from_millis(10), &mut Arm)?, Status::Success);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod board;
mod digest;
mod leaf;
mod load;
mod model;
mod script;
mod state;
mod status;
mod substitute;
mod tick;
mod tree;
mod value;
mod view;

pub use leaf::{Halt, LeafCall, Leaves, PortError};
pub use load::{
    Include, IncludeProblem, LoadError, LoadErrorKind, LoadErrors, Loader, MAX_DEPTH, MAX_NODES, Resolve,
    is_builtin,
};
pub use model::{Direction, LeafKind, LeafModel, Port, PortId, PortKey, Registry};
pub use script::{ScriptError, ScriptErrorKind, SyntaxError};
pub use state::{Halting, SlotId, State};
pub use status::{NodeStatus, Observer, Ring, Status, Transition};
pub use substitute::{Replacement, SubstitutionError, Substitutions, TestAnswer, TestNode};
pub use tick::{TickError, TickErrorKind, halt, tick, tick_observed, tick_until_settled};
pub use tree::{Mode, NodeInfo, Tree};
pub use value::{ConvertError, FromValue, PortType, Value};
pub use view::{Access, Hook, NodeView, Number, ScriptView};
