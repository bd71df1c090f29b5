//! Behaviour-tree engine for BehaviorTree.CPP v4 XML with a pure tick.
//!
//! A [`Tree`] is loaded once and never changes; a [`State`] holds everything that does; [`tick`] is a function of both, of the
//! time and of what the [`Leaves`] answer. There is no clock, no thread and no global in here: the same inputs give the same run,
//! bit for bit, at any speed. After load a tick allocates nothing, unless a script makes text of more than 23 bytes; what leaves
//! allocate is theirs.
//!
//! - Vocabulary: a *leaf* is a node carried out outside (an action or a condition); a *port* is how a leaf reads and writes
//!   the *blackboard*; a *slot* is one entry of the blackboard, its name resolved at load; a *transition* is a change of what a
//!   node keeps ([`NodeStatus`]), an *answer* is what its tick returned ([`Status`]).
//! - Flow: 1. [`Registry`] names the leaves. 2. [`Loader`] reads XML, reports every mistake with its line, gives a [`Tree`].
//!   3. [`State::new`]. 4. Per cycle: [`State::set`] what came from outside, then [`tick_observed`].
//! - Nodes: every built-in one of BehaviorTree.CPP 4.10, with pre- and post-conditions on all of them, but ManualSelector (it
//!   asks a person in the middle of a tick; loading says what to write instead) and the templates ConsumeQueue, PopFromQueue
//!   and QueueSize (a Loop does what they did; whoever needs them registers leaves).
//! - Documents: a tree may be spread over several, by `<include>`; [`Resolve`] reads them, the engine no file. XML that only the
//!   original's parser takes (`code="a && b"`) is taken too. What a document can cost is bounded. [`Xml`] is the one way in, for
//!   whoever reads documents before they are loaded as well.
//! - Tests of trees: [`Substitutions`] put other nodes, or [`TestNode`]s, in the place of leaves.
//! - A tick recurses as deep as the tree, at most [`MAX_DEPTH`] levels, and visits [`Tree::max_visits`] nodes at most. It
//!   takes no lock, and panics at nothing: lints keep indexing and unchecked arithmetic out of it.
//! - Halting: a node that is halted is idle at once, a leaf may need time ([`Leaves`]). It is asked in every tick until it has
//!   stopped, and not started again before; [`State::halting`] counts such leaves, [`State::overdue`] names those that take
//!   longer than they may, so that whoever ticks the tree can stop the robot in another way.
//!
//! # Differences from BehaviorTree.CPP
//!
//! In [`Mode::Compat`] the rules are those of BehaviorTree.CPP 4.10, to the transition, defects included: `tests/hand_vectors.rs`
//! holds what the original's own tests assert, `swarm_bt_script` replays recorded traces of the original on random trees.
//! [`Mode::Strict`] is the default; a document says which it wants: `<root BTCPP_format="4" mode="compat">`.
//!
//! ## Only in strict mode
//!
//! | strict | the original, and compat | test |
//! |---|---|---|
//! | a Parallel of which nothing runs and that lacks successes fails | goes on for ever, if children were skipped | `strict::a_parallel_that_cannot_have_its_successes_any_more_fails` |
//! | an IfThenElse or WhileDoElse whose condition is skipped is skipped | throws | `strict::a_skipped_condition_skips_the_node` |
//! | a WhileDoElse asks its condition anew in every tick | an action that has completed repeats its answer | `strict::a_while_do_else_asks_its_condition_anew_in_every_tick` |
//! | an IfThenElse without else asks a condition that failed again | an action stays failed | `strict::a_condition_that_failed_is_asked_again` |
//! | a node that answers SKIPPED is idle | shows RUNNING, so that its pre-conditions are not looked at and it is halted later | `strict::a_node_that_answers_skipped_is_idle` |
//! | an action that answers SKIPPED is started the next time | continued | `strict::an_action_that_answers_skipped_is_started_anew` |
//! | a Delay whose child was skipped delays again | does not | `strict::a_delay_whose_child_is_skipped_delays_the_next_time` |
//! | a Precondition is looked at after a halt and after a skip | holds for ever | `strict::a_precondition_is_looked_at_again_after_a_halt_and_after_a_skip` |
//! | an entry that is removed and written again is updated | may not be | `strict::an_entry_that_was_removed_and_written_again_is_updated` |
//! | UnsetBlackboard removes an entry through a remapping | only one of its own SubTree | `strict::an_entry_is_removed_through_a_remapping` |
//! | halting the tree runs `_onHalted` of the nodes that were running | of every node, of some twice | `strict::a_halt_tells_only_what_was_running_and_once` |
//! | a leaf may have a time limit of its own for stopping: `_halt_timeout_ms` | unknown; compat has [`Loader::halt_timeout`] alone | `halting::a_leaf_that_takes_too_long_to_stop_is_reported_until_it_has` |
//! | an output of another type on an entry of strings is found at load | at the first write | `blackboard::an_entry_of_strings_takes_nothing_else` |
//! | a script that gives no finite number is an error | goes on with infinity or NaN | `scripts::a_strict_script_stops_where_a_number_would_not_be_one` |
//! | NaN is below and above nothing | below and above everything | `scripts::nan_from_outside_is_below_and_above_nothing_in_a_strict_script` |
//!
//! ## In both modes
//!
//! | here | there |
//! |---|---|
//! | time is an argument; a Timeout halts its child in the first tick after it is due | a thread halts it in between |
//! | an action may take ticks to stop, and is not started meanwhile: its node shows RUNNING | has stopped when `halt()` returns |
//! | after an error in a tick all leaves are halted and all nodes idle | the tree stays as it was |
//! | a condition that answers RUNNING is an error | accepted |
//! | a Loop goes through what an entry held when it began | pops a shared queue, whoever else holds it |
//! | `1 .. 2` is an error | gives nothing, which fails later |
//! | text that a script makes has 64 KiB at most, less in a tree of more than 1,024 entries | grows until the memory is used up |
//! | text that is a number only at its beginning (`'3abc'`) is none | is 3 |
//! | SetBlackboard writes text over an entry that a script has made | empties the entry |
//! | an entry has the type of any port connected to it | only of a port met before the entry was made |
//! | mistakes found at load: a threshold above the number of children, a wrong number of children, a tree id used twice, a misspelt `_skipIf`, no `BTCPP_format` | when ticked, or never |
//! | an entry that no port has typed takes every value | the type of the first write stays |
//! | a port of whole numbers reads the name of a constant | only a port whose C++ type is that enum |
//! | `<TreeNodesModel>` must agree with the registry about ports | only SubTree models are read |
//! | what stands below a node that a substitution rule has replaced is left out | is built and never ticked |
//! | of several substitution rules that fit, the alphabetically first counts | any |
//! | an included document is read once, and from nowhere but below the place of the first | read again each time, from anywhere |
//! | control and decorator nodes cannot be added | registered from C++ |
//! | scripts, keys and answers that would themselves be read from the blackboard (`code="{x}"`, `output_key="{x}"`, `else="{x}"`) are refused | allowed |
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
mod tree_xml;
mod value;
mod view;

pub use leaf::{Halt, LeafCall, Leaves, PortError};
pub use load::{
    Include, IncludeProblem, LoadError, LoadErrorKind, LoadErrors, Loader, MAX_DEPTH, MAX_NODES, Resolve,
    Xml, XmlError, XmlErrorKind, builtins, is_builtin,
};
pub use model::{Direction, LeafKind, LeafModel, Port, PortId, PortKey, Registry};
pub use script::{ScriptError, ScriptErrorKind, SyntaxError};
pub use state::{Halting, SlotId, State};
pub use status::{NodeStatus, Observer, Ring, Status, Transition};
pub use substitute::{Replacement, SubstitutionError, Substitutions, TestAnswer, TestNode};
pub use tick::{TickError, TickErrorKind, halt, settle, tick, tick_observed, tick_until_settled};
pub use tree::{Mode, NodeInfo, Tree};
pub use tree_xml::tree_xml;
pub use value::{ConvertError, FromValue, PortType, Value};
pub use view::{Access, Hook, NodeView, Number, ScriptView};
