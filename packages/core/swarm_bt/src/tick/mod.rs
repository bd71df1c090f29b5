//! The tick: a pure function of tree, state, time and leaf answers.
//!
//! A node is executed in the order of BehaviorTree.CPP's `TreeNode::executeTick`:
//!
//! 1. Pre-conditions. While the node is idle `_failureIf`, `_successIf`, `_skipIf` and `_while` are looked at in this
//!    order; while it runs only `_while`, which halts it.
//! 2. The node itself: [`controls`], [`branches`], [`decorators`], [`timed`], [`queues`] and [`leaves`].
//! 3. Post-conditions, if the answer is SUCCESS or FAILURE.
//! 4. The answer becomes the kept status, unless it is SKIPPED.
//!
//! The original has a fifth step, a decorator's reset of a child that has completed. Every decorator here does that itself.
//! What interrupts nodes, and asks leaves whether they have stopped, is in [`halt`](mod@halt).
//!
//! Nothing here panics, whatever tree and state are: places are looked up with `get`, numbers saturate, and the lints below
//! keep it so. A place that is not there (no tree that was loaded lacks one) ends the tick with an error.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod branches;
mod controls;
mod decorators;
mod error;
mod halt;
mod leaves;
mod queues;
mod test_node;
mod timed;

pub(crate) use branches::Variable;
pub use error::{TickError, TickErrorKind};
use error::{described, error};

use swarm_base::Time;

use crate::board::Board;
use crate::leaf::Leaves;
use crate::state::{Memory, SlotId, State};
use crate::status::{NodeStatus, Observer, Status, Transition};
use crate::tree::{Flag, Hooks, Int, Kind, Mode, NO_HOOKS, Node, ScriptId, Tree};
use crate::value::{PortType, Value};

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
    settle(state, limit, |state| tick_observed(tree, state, now, leaves, observer))
}

/// [`tick_until_settled`] for whoever does more in a tick than [`tick_observed`] does: `tick` is called once at least.
pub fn settle<E>(
    state: &mut State,
    limit: u32,
    mut tick: impl FnMut(&mut State) -> Result<Status, E>,
) -> Result<Status, E> {
    let mut answer = tick(state)?;
    for _ in 1..limit {
        if !(answer == Status::Running && state.wants_tick()) {
            break;
        }
        answer = tick(state)?;
    }
    Ok(answer)
}

/// Halts every running node, leaves included; every node is idle after it. SequenceWithMemory alone keeps its place.
///
/// A leaf may take longer than its node, see [`State::halting`]: repeating the halt asks it, and does nothing else.
pub fn halt<O: Observer>(
    tree: &Tree,
    state: &mut State,
    now: Time,
    leaves: &mut dyn Leaves,
    observer: &mut O,
) -> Result<(), TickError> {
    let mut exec = Exec::begin(tree, state, now, leaves, observer)?;
    let answer = exec.halt_tree().map(|()| Status::Skipped);
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
        state.ticks = state.ticks.wrapping_add(1);
        state.wake = false;
        observer.begin(state.ticks, now);
        let mut exec = Exec { tree, state, now, leaves, observer, fault: None };
        if exec.state.halting > 0 {
            exec.ask_halting();
        }
        Ok(exec)
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

    #[cold]
    #[inline(never)]
    fn fail<T>(&mut self, id: NodeId, kind: TickErrorKind) -> Result<T, Faulted> {
        self.fault = Some(Box::new((id, kind)));
        Err(Faulted)
    }

    /// A place that should be there is not.
    #[cold]
    #[inline(never)]
    fn broken<T>(&mut self, id: NodeId) -> Result<T, Faulted> {
        self.fail(id, TickErrorKind::ForeignState)
    }

    /// Ticks one node, steps 1 to 4 of the module's description.
    fn execute(&mut self, id: NodeId) -> Ticked {
        let tree = self.tree;
        let Some(node) = tree.nodes.get(usize::from(id)) else { return self.broken(id) };
        let answer =
            if node.hooks == NO_HOOKS { self.dispatch(id, node)? } else { self.execute_hooked(id, node)? };
        let kept = match answer {
            Status::Running => NodeStatus::Running,
            Status::Success => NodeStatus::Success,
            Status::Failure => NodeStatus::Failure,
            Status::Skipped => {
                self.skipped(id, node);
                return Ok(answer);
            }
        };
        self.set_status(id, kept);
        Ok(answer)
    }

    /// A node that answers SKIPPED keeps what it showed, in the original: RUNNING, if it has children, so that its
    /// pre-conditions are not looked at any more and it is halted later, as if it had been under way. A Delay does not delay
    /// again. Strictly, it has not been executed.
    #[cold]
    fn skipped(&mut self, id: NodeId, node: &Node) {
        if self.tree.mode == Mode::Strict {
            if let Kind::Timeout { timer, .. } | Kind::Delay { timer, .. } = node.kind {
                self.stop_timer(timer);
            }
            self.reset_status(id);
        }
    }

    #[inline(never)]
    fn execute_hooked(&mut self, id: NodeId, node: &Node) -> Ticked {
        let tree = self.tree;
        let Some(hooks) = tree.hooks.get(usize::from(node.hooks)) else { return self.broken(id) };
        let answer = match self.pre_condition(id, hooks)? {
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

    /// The answer, if a pre-condition gives it.
    fn pre_condition(&mut self, id: NodeId, hooks: &Hooks) -> Result<Option<Status>, Faulted> {
        match self.status(id) {
            NodeStatus::Idle => {
                if self.holds(id, hooks.failure_if)? {
                    return Ok(Some(Status::Failure));
                }
                if self.holds(id, hooks.success_if)? {
                    return Ok(Some(Status::Success));
                }
                let skips = self.holds(id, hooks.skip_if)? || !self.goes_on(id, hooks)?;
                Ok(skips.then_some(Status::Skipped))
            }
            NodeStatus::Running => {
                if self.goes_on(id, hooks)? {
                    return Ok(None);
                }
                self.halt(id)?;
                Ok(Some(Status::Skipped))
            }
            NodeStatus::Success | NodeStatus::Failure => Ok(None),
        }
    }

    /// What a pre-condition says; false without one.
    #[inline]
    fn holds(&mut self, id: NodeId, condition: Option<ScriptId>) -> Result<bool, Faulted> {
        match condition {
            Some(script) => self.condition(id, script),
            None => Ok(false),
        }
    }

    /// What `_while` says; true without it.
    #[inline]
    fn goes_on(&mut self, id: NodeId, hooks: &Hooks) -> Result<bool, Faulted> {
        match hooks.while_true {
            Some(script) => self.condition(id, script),
            None => Ok(true),
        }
    }

    /// Stays small although it is inlined: whatever needs the stack has a function of its own, which is not.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a fifth of the cost of a leaf")]
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
            Kind::ParallelAll { max_failures, done } => self.parallel_all(id, node, max_failures, done),
            Kind::IfThenElse => self.if_then_else(id, node),
            Kind::WhileDoElse => self.while_do_else(id, node),
            Kind::Switch(switch) => self.switch(id, node, switch),
            Kind::TryCatch { .. } => self.try_catch(id, node),
            Kind::Inverter => self.mapped(id, node, |answer| match answer {
                Status::Success => Status::Failure,
                _ => Status::Success,
            }),
            Kind::ForceSuccess => self.mapped(id, node, |_| Status::Success),
            Kind::ForceFailure => self.mapped(id, node, |_| Status::Failure),
            Kind::KeepRunningUntilFailure => self.keep_running_until_failure(id, node),
            Kind::Repeat { cycles } => self.repeat(id, node, cycles),
            Kind::Retry { attempts } => self.retry(id, node, attempts),
            Kind::RunOnce { then_skip } => self.run_once(id, node, then_skip),
            Kind::Precondition { condition, otherwise } => self.precondition(id, node, condition, otherwise),
            Kind::Timeout { msec, timer } => self.timeout(id, node, msec, timer),
            Kind::Delay { msec, timer } => self.delay(id, node, msec, timer),
            Kind::Loop(at) => self.looped(id, node, at),
            Kind::IfUpdated { entry, otherwise, seen } => self.if_updated(id, node, entry, otherwise, seen),
            Kind::SubTree => self.subtree(id, node),
            Kind::Leaf { leaf, kind } => self.leaf(id, leaf, kind),
            Kind::AlwaysSuccess => Ok(Status::Success),
            Kind::AlwaysFailure => Ok(Status::Failure),
            Kind::Script(script) => self.run_script(id, script).map(|()| Status::Success),
            Kind::ScriptCondition(script) => self.script_condition(id, script),
            Kind::SetBlackboard { value, target } => self.set_blackboard(id, value, target),
            Kind::UnsetBlackboard(entry) => Ok(self.unset_blackboard(entry)),
            Kind::WasEntryUpdated { entry, seen } => Ok(self.was_entry_updated(entry, seen)),
            Kind::Sleep { msec, timer } => self.sleep(id, msec, timer),
            Kind::Test { test, timer } => self.test_node(id, test, timer),
        }
    }

    #[inline]
    fn children(&self, node: &Node) -> &'a [NodeId] {
        let first = node.first_child as usize;
        let end = first.saturating_add(usize::from(node.child_count));
        self.tree.children.get(first..end).unwrap_or_default()
    }

    /// A decorator's child.
    #[inline]
    fn child(&mut self, id: NodeId, node: &Node) -> Result<NodeId, Faulted> {
        match self.tree.children.get(node.first_child as usize) {
            Some(child) => Ok(*child),
            None => self.broken(id),
        }
    }

    #[inline]
    fn status(&self, id: NodeId) -> NodeStatus {
        self.state.status.get(usize::from(id)).copied().unwrap_or_default()
    }

    #[inline]
    fn set_status(&mut self, id: NodeId, new: NodeStatus) {
        let Some(kept) = self.state.status.get_mut(usize::from(id)) else { return };
        let previous = *kept;
        if previous != new {
            *kept = new;
            self.observer.transition(Transition { uid: id.saturating_add(1), previous, new });
        }
    }

    #[inline]
    fn reset_status(&mut self, id: NodeId) {
        self.set_status(id, NodeStatus::Idle);
    }

    #[inline]
    fn memory(&self, id: NodeId) -> Memory {
        self.state.memory.get(usize::from(id)).copied().unwrap_or_default()
    }

    #[inline]
    fn keep(&mut self, id: NodeId, memory: Memory) {
        if let Some(kept) = self.state.memory.get_mut(usize::from(id)) {
            *kept = memory;
        }
    }

    #[inline(never)]
    fn script_condition(&mut self, id: NodeId, script: ScriptId) -> Ticked {
        Ok(if self.condition(id, script)? { Status::Success } else { Status::Failure })
    }

    #[inline]
    fn script(&mut self, id: NodeId, script: Option<ScriptId>) -> Done {
        match script {
            Some(script) => self.run_script(id, script),
            None => Ok(()),
        }
    }

    #[inline(never)]
    fn run_script(&mut self, id: NodeId, script: ScriptId) -> Done {
        let tree = self.tree;
        let Some(script) = tree.scripts.get(script as usize) else { return self.broken(id) };
        match script.run_unit(&mut Board { tree, state: self.state }) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(id, error.into()),
        }
    }

    fn value_of(&mut self, id: NodeId, script: ScriptId) -> Result<Value, Faulted> {
        let tree = self.tree;
        let Some(script) = tree.scripts.get(script as usize) else { return self.broken(id) };
        match script.run(&mut Board { tree, state: self.state }) {
            Ok(value) => Ok(value),
            Err(error) => self.fail(id, error.into()),
        }
    }

    fn condition(&mut self, id: NodeId, script: ScriptId) -> Result<bool, Faulted> {
        let tree = self.tree;
        let Some(script) = tree.scripts.get(script as usize) else { return self.broken(id) };
        match script.run_bool(&mut Board { tree, state: self.state }) {
            Ok(holds) => Ok(holds),
            Err(error) => self.fail(id, error.into()),
        }
    }

    /// A number that XML gives, or the blackboard does.
    fn int(&mut self, id: NodeId, attribute: &'static str, int: Int) -> Result<i64, Faulted> {
        let slot = match int {
            Int::Is(i) => return Ok(i64::from(i)),
            Int::At(slot) => slot,
        };
        let value = self.state.get(slot);
        if let Some(Ok(Value::Int(i))) = value.map(|value| value.convert(PortType::Int)) {
            return Ok(i);
        }
        let found = described(value);
        let key = self.key(slot);
        self.fail(id, TickErrorKind::Number { attribute, key, found })
    }

    /// A flag that XML gives, or the blackboard does; `default` if what is there is none.
    fn flag(&self, flag: Flag, default: bool) -> bool {
        match flag {
            Flag::Is(flag) => flag,
            Flag::At(slot) => match self.state.get(slot).map(|value| value.convert(PortType::Bool)) {
                Some(Ok(Value::Bool(flag))) => flag,
                _ => default,
            },
        }
    }

    /// Writes an entry in the type that its ports declare.
    fn store(&mut self, id: NodeId, node: &'static str, slot: SlotId, value: &Value) -> Done {
        let ty = self.tree.slots.get(slot.0 as usize).map_or(PortType::Any, |slot| slot.ty);
        match value.convert(ty) {
            Ok(value) => {
                self.state.put(slot, value);
                Ok(())
            }
            Err(error) => {
                let key = self.key(slot);
                self.fail(id, TickErrorKind::Store { node, key, value: error.value, ty })
            }
        }
    }

    fn key(&self, slot: SlotId) -> String {
        self.tree.slots.get(slot.0 as usize).map(|slot| slot.key.to_string()).unwrap_or_default()
    }
}
