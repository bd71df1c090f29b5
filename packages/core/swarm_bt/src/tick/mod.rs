//! The tick: a pure function of tree, state, time and leaf answers.
//!
//! A node is executed in the order of BehaviorTree.CPP's `TreeNode::executeTick`:
//!
//! 1. Pre-conditions. While the node is idle `_failureIf`, `_successIf`, `_skipIf` and `_while` are looked at in this
//!    order; while it runs only `_while`, which halts it.
//! 2. The node itself: [`controls`], [`branches`], [`decorators`] and [`leaves`] (built-in and outside ones).
//! 3. Post-conditions, if the answer is SUCCESS or FAILURE.
//! 4. The answer becomes the kept status, unless it is SKIPPED.
//!
//! The original has a fifth step, a decorator's reset of a child that has completed. Every decorator here does that itself.

mod branches;
mod controls;
mod decorators;
mod leaves;
mod test_node;

use swarm_base::Time;

use crate::board::Board;
use crate::leaf::Leaves;
use crate::script::ScriptError;
use crate::state::{Memory, State};
use crate::status::{NodeStatus, Observer, Status, Transition};
use crate::tree::{Int, Kind, NO_HOOKS, Node, ScriptId, Tree};
use crate::value::{PortType, Value};

/// A tick that could not be carried out. All leaves have been halted and all nodes are idle again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("node {path} ({document}:{line}): {kind}")]
pub struct TickError {
    pub uid: u16,
    pub path: String,
    pub document: String,
    pub line: u32,
    pub kind: Box<TickErrorKind>,
}

/// Why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TickErrorKind {
    #[error(transparent)]
    Script(#[from] Box<ScriptError>),
    #[error(
        "attribute {attribute} reads blackboard entry '{key}', which holds {found} instead of a whole number"
    )]
    Number { attribute: &'static str, key: String, found: String },
    #[error("Parallel needs {threshold} children for its {attribute} but has {children}")]
    Threshold { attribute: &'static str, threshold: i64, children: u16 },
    #[error(
        "the condition of {node} was skipped, which BehaviorTree.CPP does not allow (mode=\"strict\" skips the node)"
    )]
    SkippedCondition { node: &'static str },
    #[error("a condition answered RUNNING; only an action may")]
    ConditionRunning,
    #[error("SetBlackboard cannot store {value} in entry '{key}', which is {}", .ty.with_article())]
    Store { key: String, value: String, ty: PortType },
    #[error("return_status_script gives {found}, expected RUNNING, SUCCESS, FAILURE or SKIPPED")]
    Answer { found: String },
    #[error("the state was made for another tree")]
    ForeignState,
}

/// Ticks the tree once, without observer. See [`tick_observed`].
pub fn tick(tree: &Tree, state: &mut State, now: Time, leaves: &mut dyn Leaves) -> Result<Status, TickError> {
    tick_observed(tree, state, now, leaves, &mut ())
}

/// Ticks the tree exactly once, as `tickExactlyOnce` of BehaviorTree.CPP: a node that yields after a synchronous
/// child (AsyncSequence, SequenceWithMemory, Repeat, RetryUntilSuccessful) goes on in the next tick.
///
/// `now` should not go back from tick to tick; where it does, timers wait a little longer.
pub fn tick_observed<O: Observer>(
    tree: &Tree,
    state: &mut State,
    now: Time,
    leaves: &mut dyn Leaves,
    observer: &mut O,
) -> Result<Status, TickError> {
    let mut exec = Exec::begin(tree, state, now, leaves, observer)?;
    let answer = exec.execute(ROOT);
    if let Ok(Status::Success | Status::Failure) = answer {
        exec.reset_status(ROOT);
    }
    exec.end(answer)
}

/// Ticks again while a node has yielded and the tree runs, as `tickOnce` of BehaviorTree.CPP, but at most `limit` times.
pub fn tick_until_settled<O: Observer>(
    tree: &Tree,
    state: &mut State,
    now: Time,
    leaves: &mut dyn Leaves,
    observer: &mut O,
    limit: u32,
) -> Result<Status, TickError> {
    let mut answer = tick_observed(tree, state, now, leaves, observer)?;
    for _ in 1..limit {
        if !(answer == Status::Running && state.wants_tick()) {
            break;
        }
        answer = tick_observed(tree, state, now, leaves, observer)?;
    }
    Ok(answer)
}

/// Halts every running node, leaves included; everything is idle after it. SequenceWithMemory alone keeps its place.
pub fn halt<O: Observer>(
    tree: &Tree,
    state: &mut State,
    now: Time,
    leaves: &mut dyn Leaves,
    observer: &mut O,
) -> Result<(), TickError> {
    let mut exec = Exec::begin(tree, state, now, leaves, observer)?;
    let answer = exec.halt_all().map(|()| Status::Skipped);
    exec.end(answer).map(|_| ())
}

/// Stops the recursion; the reason is in [`Exec::fault`].
struct Faulted;
type Ticked = Result<Status, Faulted>;
type Done = Result<(), Faulted>;

/// Index of a node; its uid is one more.
type NodeId = u16;
const ROOT: NodeId = 0;

/// One tick under way.
struct Exec<'a, O> {
    tree: &'a Tree,
    state: &'a mut State,
    now: Time,
    leaves: &'a mut dyn Leaves,
    observer: &'a mut O,
    fault: Option<Box<(NodeId, TickErrorKind)>>,
}

impl<'a, O: Observer> Exec<'a, O> {
    fn begin(
        tree: &'a Tree,
        state: &'a mut State,
        now: Time,
        leaves: &'a mut dyn Leaves,
        observer: &'a mut O,
    ) -> Result<Self, TickError> {
        if !state.fits(tree) {
            return Err(error(tree, ROOT, TickErrorKind::ForeignState));
        }
        state.ticks += 1;
        state.wake = false;
        observer.begin(state.ticks, now);
        Ok(Exec { tree, state, now, leaves, observer, fault: None })
    }

    /// After a fault nothing is left running: a tree in an unknown state must not go on moving anything.
    fn end(mut self, answer: Ticked) -> Result<Status, TickError> {
        answer.map_err(|Faulted| {
            let fault = self.fault.take();
            let (id, kind) = fault.map_or((ROOT, TickErrorKind::ForeignState), |fault| *fault);
            // An `_onHalted` script that fails now is not what stopped the tree. Its node is idle by then, so that each
            // round has one script less to run.
            for _ in 0..=self.tree.nodes.len() {
                if self.halt_all().is_ok() {
                    break;
                }
            }
            error(self.tree, id, kind)
        })
    }

    /// Halts what runs and makes every node forget, as `Tree::haltTree`, which halts the root and then every node once
    /// more. The original runs the `_onHalted` scripts of idle nodes too; here only what was running is told.
    fn halt_all(&mut self) -> Done {
        self.reset(ROOT)?;
        for id in 0..self.tree.nodes.len() as NodeId {
            self.stop(id)?;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn fail<T>(&mut self, id: NodeId, kind: TickErrorKind) -> Result<T, Faulted> {
        self.fault = Some(Box::new((id, kind)));
        Err(Faulted)
    }

    /// Ticks one node, steps 1 to 4 of the module's description.
    fn execute(&mut self, id: NodeId) -> Ticked {
        let tree = self.tree;
        let node = &tree.nodes[usize::from(id)];
        let answer =
            if node.hooks == NO_HOOKS { self.dispatch(id, node)? } else { self.execute_hooked(id, node)? };
        match answer {
            Status::Running => self.set_status(id, NodeStatus::Running),
            Status::Success => self.set_status(id, NodeStatus::Success),
            Status::Failure => self.set_status(id, NodeStatus::Failure),
            Status::Skipped => {}
        }
        Ok(answer)
    }

    fn execute_hooked(&mut self, id: NodeId, node: &Node) -> Ticked {
        let tree = self.tree;
        let hooks = &tree.hooks[usize::from(node.hooks)];
        let mut answer = None;
        match self.status(id) {
            NodeStatus::Idle => {
                for (script, then) in [
                    (hooks.failure_if, Status::Failure),
                    (hooks.success_if, Status::Success),
                    (hooks.skip_if, Status::Skipped),
                ] {
                    if answer.is_none() && self.condition(id, script)? == Some(true) {
                        answer = Some(then);
                    }
                }
                if answer.is_none() && self.condition(id, hooks.while_true)? == Some(false) {
                    answer = Some(Status::Skipped);
                }
            }
            NodeStatus::Running => {
                if self.condition(id, hooks.while_true)? == Some(false) {
                    self.halt(id)?;
                    answer = Some(Status::Skipped);
                }
            }
            NodeStatus::Success | NodeStatus::Failure => {}
        }
        let answer = match answer {
            Some(answer) => answer,
            None => self.dispatch(id, node)?,
        };
        if answer.is_completed() {
            let first = if answer == Status::Success { hooks.on_success } else { hooks.on_failure };
            self.script(id, first)?;
            self.script(id, hooks.post)?;
        }
        Ok(answer)
    }

    fn dispatch(&mut self, id: NodeId, node: &Node) -> Ticked {
        match node.kind {
            Kind::Sequence { yields } => self.sequence(id, node, Status::Success, yields),
            Kind::Fallback { yields } => self.sequence(id, node, Status::Failure, yields),
            Kind::SequenceWithMemory => self.sequence_with_memory(id, node),
            Kind::ReactiveSequence => self.reactive(id, node, Status::Success),
            Kind::ReactiveFallback => self.reactive(id, node, Status::Failure),
            Kind::Parallel { success_count, failure_count, done } => {
                self.parallel(id, node, success_count, failure_count, done)
            }
            Kind::IfThenElse => self.if_then_else(id, node),
            Kind::WhileDoElse => self.while_do_else(id, node),
            Kind::Inverter => self.mapped(id, node, |answer| match answer {
                Status::Success => Status::Failure,
                _ => Status::Success,
            }),
            Kind::ForceSuccess => self.mapped(id, node, |_| Status::Success),
            Kind::ForceFailure => self.mapped(id, node, |_| Status::Failure),
            Kind::KeepRunningUntilFailure => self.keep_running_until_failure(id, node),
            Kind::Repeat { cycles } => self.repeat(id, node, cycles),
            Kind::Retry { attempts } => self.retry(id, node, attempts),
            Kind::Timeout { msec, timer } => self.timeout(id, node, msec, timer),
            Kind::Delay { msec, timer } => self.delay(id, node, msec, timer),
            Kind::SubTree => self.mapped(id, node, |answer| answer),
            Kind::Leaf { leaf, kind } => self.leaf(id, leaf, kind),
            Kind::AlwaysSuccess => Ok(Status::Success),
            Kind::AlwaysFailure => Ok(Status::Failure),
            Kind::Script(script) => self.script(id, Some(script)).map(|()| Status::Success),
            Kind::ScriptCondition(script) => {
                let holds = self.condition(id, Some(script))? == Some(true);
                Ok(if holds { Status::Success } else { Status::Failure })
            }
            Kind::SetBlackboard { value, target } => self.set_blackboard(id, value, target),
            Kind::Sleep { msec, timer } => self.sleep(id, msec, timer),
            Kind::Test { test, timer } => self.test_node(id, test, timer),
        }
    }

    /// Interrupts a node, then runs its `_onHalted` script.
    fn halt(&mut self, id: NodeId) -> Done {
        self.stop(id)?;
        let tree = self.tree;
        match tree.nodes[usize::from(id)].hooks {
            NO_HOOKS => Ok(()),
            hooks => self.script(id, tree.hooks[usize::from(hooks)].on_halted),
        }
    }

    /// What a node remembers, its children, its status.
    fn stop(&mut self, id: NodeId) -> Done {
        let tree = self.tree;
        let node = &tree.nodes[usize::from(id)];
        match node.kind {
            // Keeps its place on purpose: that is its memory.
            Kind::SequenceWithMemory => {}
            Kind::Parallel { done, .. } => self.parallel_clear(id, node, done),
            Kind::Timeout { timer, .. }
            | Kind::Delay { timer, .. }
            | Kind::Sleep { timer, .. }
            | Kind::Test { timer, .. } => self.stop_timer(timer),
            Kind::Leaf { leaf, .. } => self.halt_leaf(id, leaf),
            _ => self.state.memory[usize::from(id)] = Memory::default(),
        }
        self.reset_children(node)?;
        self.reset_status(id);
        Ok(())
    }

    /// Back to idle: halted if it runs, else only its status.
    fn reset(&mut self, id: NodeId) -> Done {
        if self.status(id) == NodeStatus::Running {
            self.halt(id)?;
        }
        self.reset_status(id);
        Ok(())
    }

    fn reset_children(&mut self, node: &Node) -> Done {
        for i in 0..node.child_count {
            self.reset(self.child(node, i))?;
        }
        Ok(())
    }

    #[inline]
    fn child(&self, node: &Node, i: u16) -> NodeId {
        self.tree.children[node.first_child as usize + usize::from(i)]
    }

    #[inline]
    fn status(&self, id: NodeId) -> NodeStatus {
        self.state.status[usize::from(id)]
    }

    #[inline]
    fn set_status(&mut self, id: NodeId, new: NodeStatus) {
        let kept = &mut self.state.status[usize::from(id)];
        let previous = *kept;
        if previous != new {
            *kept = new;
            self.observer.transition(Transition { uid: id + 1, previous, new });
        }
    }

    #[inline]
    fn reset_status(&mut self, id: NodeId) {
        self.set_status(id, NodeStatus::Idle);
    }

    fn script(&mut self, id: NodeId, script: Option<ScriptId>) -> Done {
        let Some(script) = script else { return Ok(()) };
        let tree = self.tree;
        let mut board = Board { tree, state: self.state };
        match tree.scripts[script as usize].run(&mut board) {
            Ok(_) => Ok(()),
            Err(error) => self.fail(id, error.into()),
        }
    }

    fn condition(&mut self, id: NodeId, script: Option<ScriptId>) -> Result<Option<bool>, Faulted> {
        let Some(script) = script else {
            return Ok(None);
        };
        let tree = self.tree;
        let mut board = Board { tree, state: self.state };
        match tree.scripts[script as usize].run_bool(&mut board) {
            Ok(holds) => Ok(Some(holds)),
            Err(error) => self.fail(id, error.into()),
        }
    }

    /// A number that XML gives, or the blackboard does.
    fn int(&mut self, id: NodeId, attribute: &'static str, int: Int) -> Result<i64, Faulted> {
        let slot = match int {
            Int::Is(i) => return Ok(i),
            Int::At(slot) => slot,
        };
        let value = self.state.get(slot);
        if let Some(Ok(Value::Int(i))) = value.map(|value| value.convert(PortType::Int)) {
            return Ok(i);
        }
        let found =
            value.map_or_else(|| "nothing".to_owned(), |value| format!("{} {value}", value.port_type()));
        let key = self.tree.slots[slot.0 as usize].key.to_string();
        self.fail(id, TickErrorKind::Number { attribute, key, found })
    }
}

fn error(tree: &Tree, id: NodeId, kind: TickErrorKind) -> TickError {
    let info = tree.node(id + 1);
    TickError {
        uid: id + 1,
        path: info.map(|i| i.path.clone()).unwrap_or_default(),
        document: info.map(|i| i.document.clone()).unwrap_or_default(),
        line: info.map_or(0, |i| i.line),
        kind: Box::new(kind),
    }
}
