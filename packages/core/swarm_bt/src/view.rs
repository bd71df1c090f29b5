//! A tree as a checker sees it: what its nodes are, which entries they read and write, and states without their history.
//!
//! The tick needs none of this. `swarm_bt_check` does: it reasons about the structure, and explores the states that a tick can
//! lead to by ticking clones.

use swarm_base::Time;

use crate::board::Board;
use crate::model::{Direction, LeafModel, Port};
use crate::script::Script;
use crate::state::{SlotId, State, Timer};
use crate::status::Status;
use crate::tick::Variable;
use crate::tree::{Binding, Flag, Int, Items, Kind, NO_HOOKS, Node, ScriptId, Source, Switch, Tree};
use crate::value::{PortType, Value};

/// One node, with everything that XML says of it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'t> {
    tree: &'t Tree,
    uid: u16,
    node: &'t Node,
}

/// A number that XML gives, or the blackboard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Is(i64),
    At(SlotId),
}

/// How a script or a port uses an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read(SlotId),
    Write(SlotId),
    /// Only on one side of a `?:`.
    MayWrite(SlotId),
}

impl Access {
    pub fn slot(self) -> SlotId {
        match self {
            Access::Read(slot) | Access::Write(slot) | Access::MayWrite(slot) => slot,
        }
    }
}

/// When a condition script of a node is looked at, in this order; see [`crate::tick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    FailureIf,
    SuccessIf,
    SkipIf,
    While,
    OnHalted,
    OnFailure,
    OnSuccess,
    Post,
}

impl Hook {
    pub const ALL: [Hook; 8] = [
        Hook::FailureIf,
        Hook::SuccessIf,
        Hook::SkipIf,
        Hook::While,
        Hook::OnHalted,
        Hook::OnFailure,
        Hook::OnSuccess,
        Hook::Post,
    ];
}

/// A compiled script.
#[derive(Clone, Copy, Debug)]
pub struct ScriptView<'t> {
    tree: &'t Tree,
    script: &'t Script,
}

impl Tree {
    /// A node with everything that XML says of it.
    pub fn view(&self, uid: u16) -> Option<NodeView<'_>> {
        let node = self.nodes.get(usize::from(uid.checked_sub(1)?))?;
        Some(NodeView { tree: self, uid, node })
    }

    /// Name of an entry, as its author wrote it in the scope that it lives in.
    pub fn key(&self, slot: SlotId) -> &str {
        self.slots.get(slot.0 as usize).map_or("", |slot| &*slot.key)
    }

    /// The type that ports declare for an entry; `Any` if none does.
    pub fn declared(&self, slot: SlotId) -> PortType {
        self.slots.get(slot.0 as usize).map_or(PortType::Any, |slot| slot.ty)
    }

    /// Entries that have a value before the first tick: literals given to SubTrees.
    pub fn initial(&self, slot: SlotId) -> Option<&Value> {
        self.slots.get(slot.0 as usize)?.initial.as_ref()
    }
}

impl<'t> NodeView<'t> {
    pub fn uid(&self) -> u16 {
        self.uid
    }

    /// True for a SubTree, whose [`crate::NodeInfo::id`] is that of the tree it stands for.
    pub fn is_subtree(&self) -> bool {
        matches!(self.node.kind, Kind::SubTree)
    }

    /// Registration id; `SubTree` for a SubTree.
    pub fn id(&self) -> &'t str {
        if self.is_subtree() { "SubTree" } else { self.tree.node(self.uid).map_or("", |info| &info.id) }
    }

    /// uids of the children, in order.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + use<'t> {
        let from = self.node.first_child as usize;
        let ids = self.tree.children.get(from..from + usize::from(self.node.child_count));
        ids.unwrap_or_default().iter().map(|id| id + 1)
    }

    /// The model, if it is a leaf of the registry.
    pub fn leaf(&self) -> Option<&'t LeafModel> {
        self.tree.leaf_model(self.uid)
    }

    /// The entry that a port of the leaf is connected to.
    pub fn entry(&self, port: &str) -> Option<SlotId> {
        let mut ports = self.bindings().filter_map(|(known, binding)| match binding {
            Binding::Slot(slot) if known.name == port => Some(*slot),
            _ => None,
        });
        ports.next()
    }

    /// A whole number that XML gives under this name, or its default.
    pub fn number(&self, attribute: &str) -> Option<Number> {
        let int = match (self.node.kind, attribute) {
            (Kind::Parallel { success_count, .. }, "success_count") => success_count,
            (Kind::Parallel { failure_count, .. }, "failure_count") => failure_count,
            (Kind::ParallelAll { max_failures, .. }, "max_failures") => max_failures,
            (Kind::Repeat { cycles }, "num_cycles") => cycles,
            (Kind::Retry { attempts }, "num_attempts") => attempts,
            (Kind::Timeout { msec, .. } | Kind::Sleep { msec, .. }, "msec") => msec,
            (Kind::Delay { msec, .. }, "delay_msec") => msec,
            _ => return None,
        };
        Some(match int {
            Int::Is(number) => Number::Is(number.into()),
            Int::At(slot) => Number::At(slot),
        })
    }

    /// The node's own script: that of Script, ScriptCondition and Precondition.
    pub fn script(&self) -> Option<ScriptView<'t>> {
        match self.node.kind {
            Kind::Script(id) | Kind::ScriptCondition(id) | Kind::Precondition { condition: id, .. } => {
                self.compiled(id)
            }
            _ => None,
        }
    }

    /// What a Precondition, a Loop, SkipUnlessUpdated or WaitValueUpdate answers where it does not tick its child.
    pub fn otherwise(&self) -> Option<Status> {
        match self.node.kind {
            Kind::Precondition { otherwise, .. } | Kind::IfUpdated { otherwise, .. } => Some(otherwise),
            Kind::Loop(at) => self.tree.loops.get(at as usize).map(|looped| looped.if_empty),
            _ => None,
        }
    }

    /// The entry that a Loop writes each item to.
    pub fn item(&self) -> Option<SlotId> {
        match self.node.kind {
            Kind::Loop(at) => self.tree.loops.get(at as usize)?.item,
            _ => None,
        }
    }

    /// How many items a Loop goes through, if XML lists them.
    pub fn items(&self) -> Option<usize> {
        match self.node.kind {
            Kind::Loop(at) => match &self.tree.loops.get(at as usize)?.queue {
                Items::Literal(items) => Some(items.len()),
                Items::Entry(_) => None,
            },
            _ => None,
        }
    }

    /// The child that a Switch always ticks, where its variable is a literal and so are the cases up to the one that it equals.
    pub fn constant_case(&self) -> Option<usize> {
        let Kind::Switch(at) = self.node.kind else { return None };
        let Switch { variable, cases, .. } = self.tree.switches.get(at as usize)?;
        let Binding::Literal(variable) = variable else { return None };
        let Some(variable) = Variable::of(self.tree, variable) else { return Some(cases.len()) };
        for (place, case) in cases.iter().enumerate() {
            match case {
                Binding::Unset => {}
                Binding::Literal(case) if variable.equals(self.tree, case) => return Some(place),
                Binding::Literal(_) => {}
                Binding::Slot(_) => return None,
            }
        }
        Some(cases.len())
    }

    /// What XML says under this name, or its default; `None` where the blackboard does.
    pub fn flag(&self, attribute: &str) -> Option<bool> {
        match (self.node.kind, attribute) {
            (Kind::TryCatch { catch_on_halt: Flag::Is(flag) }, "catch_on_halt")
            | (Kind::RunOnce { then_skip: Flag::Is(flag) }, "then_skip") => Some(flag),
            _ => None,
        }
    }

    /// The entry that the node empties.
    pub fn empties(&self) -> Option<SlotId> {
        match self.node.kind {
            Kind::UnsetBlackboard(entry) => entry,
            _ => None,
        }
    }

    /// A pre- or post-condition.
    pub fn hook(&self, hook: Hook) -> Option<ScriptView<'t>> {
        let hooks = match self.node.hooks {
            NO_HOOKS => return None,
            at => self.tree.hooks.get(usize::from(at))?,
        };
        self.compiled(match hook {
            Hook::FailureIf => hooks.failure_if,
            Hook::SuccessIf => hooks.success_if,
            Hook::SkipIf => hooks.skip_if,
            Hook::While => hooks.while_true,
            Hook::OnHalted => hooks.on_halted,
            Hook::OnFailure => hooks.on_failure,
            Hook::OnSuccess => hooks.on_success,
            Hook::Post => hooks.post,
        }?)
    }

    /// Whether the node has any pre- or post-condition.
    pub fn has_hooks(&self) -> bool {
        self.node.hooks != NO_HOOKS
    }

    /// The entries that the node itself reads each time it is started, before anything else, with the port or attribute.
    /// Entries of its script and its conditions are theirs; a port that goes both ways may as well be written first.
    pub fn reads(&self) -> Vec<(&'t str, SlotId)> {
        let attributes =
            ["success_count", "failure_count", "num_cycles", "num_attempts", "msec", "delay_msec"];
        let numbers = attributes.into_iter().filter_map(|name| match self.number(name) {
            Some(Number::At(slot)) => Some((name, slot)),
            _ => None,
        });
        let copied = match self.node.kind {
            Kind::SetBlackboard { value: Source::Entry(slot), .. } => Some(("value", slot)),
            Kind::Loop(at) => match self.tree.loops.get(at as usize).map(|looped| &looped.queue) {
                Some(Items::Entry(slot)) => Some(("queue", *slot)),
                _ => None,
            },
            Kind::Switch(at) => match self.tree.switches.get(at as usize).map(|switch| &switch.variable) {
                Some(Binding::Slot(slot)) => Some(("variable", *slot)),
                _ => None,
            },
            _ => None,
        };
        numbers.chain(copied).chain(self.ports(&[Direction::Input])).collect()
    }

    /// The entries that the node itself has written once it has succeeded.
    pub fn writes(&self) -> Vec<SlotId> {
        match self.node.kind {
            Kind::SetBlackboard { target, .. } => vec![target],
            _ => self.ports(&[Direction::Output, Direction::InOut]).map(|(_, slot)| slot).collect(),
        }
    }

    /// Entries that the node may have written by the time it has failed.
    pub fn writes_in_failure(&self) -> Vec<SlotId> {
        self.ports(&[Direction::InOut]).map(|(_, slot)| slot).collect()
    }

    /// Ports of these directions that are connected to entries.
    fn ports(&self, directions: &'static [Direction]) -> impl Iterator<Item = (&'t str, SlotId)> + use<'t> {
        self.bindings().filter_map(move |(port, binding)| match binding {
            Binding::Slot(slot) if directions.contains(&port.direction) => Some((port.name.as_str(), *slot)),
            _ => None,
        })
    }

    /// The leaf's ports and what XML connects them to.
    fn bindings(&self) -> impl Iterator<Item = (&'t Port, &'t Binding)> + use<'t> {
        let leaf = match self.node.kind {
            Kind::Leaf { leaf, .. } => self.tree.leaves.get(usize::from(leaf)),
            _ => None,
        };
        let bound = leaf.map(|leaf| {
            let ports = self.tree.models.get(leaf.model as usize).map(|model| &*model.ports);
            ports.unwrap_or_default().iter().zip(&leaf.ports)
        });
        bound.into_iter().flatten()
    }

    fn compiled(&self, id: ScriptId) -> Option<ScriptView<'t>> {
        Some(ScriptView { tree: self.tree, script: self.tree.scripts.get(id as usize)? })
    }
}

impl<'t> ScriptView<'t> {
    /// The text that was compiled.
    pub fn source(&self) -> &'t str {
        &self.script.source
    }

    /// Reads and writes in the order of evaluation. `x = 1` counts as a read too unless a port has made the entry, because it
    /// fails on one that does not exist.
    pub fn accesses(&self) -> Vec<Access> {
        let mut accesses = Vec::new();
        self.script.accesses(&|slot| self.tree.slots[slot.0 as usize].exists, &mut accesses);
        accesses
    }

    /// The truth of a condition that depends on no entry; `None` too if it fails.
    pub fn constant(&self) -> Option<bool> {
        if !self.accesses().is_empty() {
            return None;
        }
        let mut state = State::new(self.tree);
        self.script.run_bool(&mut Board { tree: self.tree, state: &mut state }).ok()
    }

    /// Literals in it, each once: what an entry that it compares may be equal to.
    pub fn literals(&self) -> Vec<Value> {
        self.script.literals()
    }
}

impl State {
    /// The time at which the next timer runs off.
    pub fn next_timer(&self) -> Option<Time> {
        let due = self.timers.iter().filter_map(|timer| match timer {
            Timer::Until(end) => Some(*end),
            Timer::Stopped | Timer::Over => None,
        });
        due.min()
    }

    /// Bytes of memory that this state takes, as if it shared no text and no vector with another one.
    pub fn bytes(&self) -> usize {
        let held = |value: &Option<Value>| match value {
            Some(Value::Str(text)) => text.len(),
            Some(Value::Vector(numbers)) => size_of_val(&**numbers),
            Some(Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => 0,
        };
        let slots: usize = self.slots.iter().map(|slot| held(&slot.value)).sum();
        let queues: usize = self.queues.iter().map(|queue| held(&queue.items)).sum();
        let fixed = [
            size_of::<State>(),
            size_of_val(&*self.status),
            size_of_val(&*self.memory),
            size_of_val(&*self.slots),
            size_of_val(&*self.timers),
            size_of_val(&*self.words),
            size_of_val(&*self.queues),
            size_of_val(&*self.stops),
        ];
        fixed.iter().sum::<usize>() + slots + queues
    }

    /// Makes `now` time zero and forgets how many ticks, writes and unbounded rounds there were, so that two states that go on
    /// alike from here are equal.
    pub fn forget_history(&mut self, tree: &Tree, now: Time) {
        let mut looked_at = Vec::new();
        for (node, memory) in tree.nodes.iter().zip(&mut self.memory) {
            match node.kind {
                Kind::Repeat { cycles: Int::Is(-1) } | Kind::Retry { attempts: Int::Is(-1) } => {
                    memory.index = 0;
                }
                Kind::IfUpdated { entry, seen, .. } | Kind::WasEntryUpdated { entry, seen } => {
                    looked_at.push((entry, seen));
                }
                _ => {}
            }
        }
        // Of the writes that a node has seen it only matters whether there were more since.
        for (entry, seen) in looked_at {
            let writes = self.writes(entry);
            if let Some(seen) = self.words.get_mut(seen as usize) {
                *seen = u64::from(*seen == writes);
            }
        }
        for slot in &mut self.slots {
            slot.writes = 1;
        }
        for timer in &mut self.timers {
            if let Timer::Until(end) = timer {
                *timer = Timer::Until(Time(end.0.saturating_sub(now.0)));
            }
        }
        self.ticks = 0;
        self.wake = false;
    }
}
