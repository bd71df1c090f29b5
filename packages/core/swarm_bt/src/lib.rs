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
//! - Semantics: those of BehaviorTree.CPP 4.10, to the transition; see the `tests` folder for recorded traces of the original.
//!
//! ```
//! use swarm_base::Time;
//! use swarm_bt::{LeafCall, LeafModel, Leaves, Loader, PortType, Registry, State, Status, tick};
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
//!     fn halt(&mut self, _: &mut LeafCall<'_>) {}
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

mod leaf;
mod load;
mod model;
mod script;
mod state;
mod status;
mod tick;
mod tree;
mod value;

pub use leaf::{LeafCall, Leaves, PortError};
pub use load::{LoadError, LoadErrorKind, LoadErrors, Loader, MAX_DEPTH, MAX_NODES};
pub use model::{Direction, LeafKind, LeafModel, Port, Registry};
pub use script::{ScriptError, ScriptErrorKind, SyntaxError};
pub use state::{SlotId, State};
pub use status::{NodeStatus, Observer, Ring, Status, Transition};
pub use tick::{TickError, TickErrorKind, halt, tick, tick_observed, tick_until_settled};
pub use tree::{NodeInfo, Tree};
pub use value::{ConvertError, FromValue, PortType, Value};
