//! The immutable half: a flat arena of nodes in XML order, with everything resolved.
//!
//! Nodes are numbered in pre-order over the expanded tree; a node's uid is its index + 1, which is also what
//! BehaviorTree.CPP gives it. SubTrees are expanded at load: one SubTree node, then a copy of the tree it names.

use std::sync::Arc;

use swarm_base::Duration;

use crate::model::{LeafKind, LeafModel};
use crate::script::Script;
use crate::state::SlotId;
use crate::status::Status;
use crate::value::{PortType, Value};

/// Whose rules a tree goes by where BehaviorTree.CPP 4.10 has a defect. The differences are listed in the crate's
/// documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As the original, to the transition; where it throws, the tick is an error.
    Compat,
    /// Without its defects.
    #[default]
    Strict,
}

/// A behaviour tree, ready to tick. See [`crate::Loader`].
#[derive(Debug)]
pub struct Tree {
    pub(crate) nodes: Box<[Node]>,
    /// The children of all nodes; each node has a range of it.
    pub(crate) children: Box<[u16]>,
    pub(crate) scripts: Box<[Script]>,
    /// Pre- and post-conditions of the nodes that have any.
    pub(crate) hooks: Box<[Hooks]>,
    pub(crate) leaves: Box<[Leaf]>,
    pub(crate) tests: Box<[TestLeaf]>,
    pub(crate) switches: Box<[Switch]>,
    pub(crate) loops: Box<[Loop]>,
    pub(crate) models: Box<[LeafModel]>,
    pub(crate) slots: Box<[SlotInfo]>,
    pub(crate) literals: Box<[Value]>,
    pub(crate) info: Box<[NodeInfo]>,
    /// Sorted by name.
    pub(crate) enums: Box<[(Box<str>, i64)]>,
    pub(crate) main: Box<str>,
    pub(crate) mode: Mode,
    pub(crate) timers: u32,
    pub(crate) words: u32,
    pub(crate) max_visits: u64,
}

/// What the tick needs of a node; the rest is in [`NodeInfo`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) first_child: u32,
    pub(crate) child_count: u16,
    /// Index into [`Tree::hooks`], or [`NO_HOOKS`].
    pub(crate) hooks: u16,
}

pub(crate) const NO_HOOKS: u16 = u16::MAX;

pub(crate) type ScriptId = u32;

/// What a node does. Numbers that XML may take from the blackboard are [`Int`]s.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Sequence {
        yields: bool,
    },
    SequenceWithMemory,
    Fallback {
        yields: bool,
    },
    ReactiveSequence,
    ReactiveFallback,
    Parallel {
        success_count: Int,
        failure_count: Int,
        done: u32,
    },
    ParallelAll {
        max_failures: Int,
        done: u32,
    },
    IfThenElse,
    WhileDoElse,
    /// Index into [`Tree::switches`].
    Switch(u32),
    TryCatch {
        catch_on_halt: Flag,
    },
    Inverter,
    ForceSuccess,
    ForceFailure,
    KeepRunningUntilFailure,
    Repeat {
        cycles: Int,
    },
    Retry {
        attempts: Int,
    },
    Timeout {
        msec: Int,
        timer: u32,
    },
    Delay {
        msec: Int,
        timer: u32,
    },
    RunOnce {
        then_skip: Flag,
    },
    Precondition {
        condition: ScriptId,
        otherwise: Status,
    },
    /// Index into [`Tree::loops`].
    Loop(u32),
    /// SkipUnlessUpdated and WaitValueUpdate; `seen` is a word of the state.
    IfUpdated {
        entry: SlotId,
        otherwise: Status,
        seen: u32,
    },
    SubTree,
    Leaf {
        leaf: u16,
        kind: LeafKind,
    },
    AlwaysSuccess,
    AlwaysFailure,
    Script(ScriptId),
    ScriptCondition(ScriptId),
    SetBlackboard {
        value: Source,
        target: SlotId,
    },
    /// `None` for an entry that is not the SubTree's own, which the original does not touch.
    UnsetBlackboard(Option<SlotId>),
    WasEntryUpdated {
        entry: SlotId,
        seen: u32,
    },
    Sleep {
        msec: Int,
        timer: u32,
    },
    /// What a substitution rule put here: index into [`Tree::tests`].
    Test {
        test: u16,
        timer: u32,
    },
}

/// A whole number: given in XML, or read from the blackboard at each tick.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Int {
    Is(i32),
    At(SlotId),
}

/// True or false: given in XML, or read from the blackboard at each tick.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flag {
    Is(bool),
    At(SlotId),
}

/// What a Switch compares.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) variable: Binding,
    pub(crate) cases: Box<[Binding]>,
    /// Of each case that is a literal, the number that it stands for, as [`case_number`] has it.
    pub(crate) numbers: Box<[Option<f64>]>,
}

/// What a Loop goes through, and where each item goes.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) queue: Items,
    /// What the items are.
    pub(crate) ty: PortType,
    pub(crate) item: Option<SlotId>,
    pub(crate) if_empty: Status,
}

/// The number that a text stands for in a Switch: an enum's, or what is one from the first character to the last.
pub(crate) fn case_number(text: &str, enum_value: impl Fn(&str) -> Option<i64>) -> Option<f64> {
    match enum_value(text) {
        Some(value) => Some(value as f64),
        // Rust reads `+1` as a number, `std::from_chars` does not.
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

#[derive(Debug)]
pub(crate) enum Items {
    Literal(Box<[Value]>),
    Entry(SlotId),
}

/// What SetBlackboard writes: a literal (index into [`Tree::literals`]) or a copy of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Literal(u32),
    Entry(SlotId),
}

/// Pre- and post-conditions, in the order in which BehaviorTree.CPP looks at them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) failure_if: Option<ScriptId>,
    pub(crate) success_if: Option<ScriptId>,
    pub(crate) skip_if: Option<ScriptId>,
    pub(crate) while_true: Option<ScriptId>,
    pub(crate) on_halted: Option<ScriptId>,
    pub(crate) on_failure: Option<ScriptId>,
    pub(crate) on_success: Option<ScriptId>,
    pub(crate) post: Option<ScriptId>,
}

/// A [`crate::TestNode`], its scripts compiled.
#[derive(Debug)]
pub(crate) struct TestLeaf {
    pub(crate) answer: Answer,
    pub(crate) delay_ms: i64,
    pub(crate) on_success: Option<ScriptId>,
    pub(crate) on_failure: Option<ScriptId>,
    pub(crate) post: Option<ScriptId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Always(Status),
    Script(ScriptId),
}

#[derive(Debug)]
pub(crate) struct Leaf {
    /// Index into [`Tree::nodes`].
    pub(crate) node: u16,
    /// Index into [`Tree::models`].
    pub(crate) model: u32,
    /// How long it may take to stop.
    pub(crate) halt_timeout: Option<Duration>,
    /// As many as the model has ports, in its order.
    pub(crate) ports: Box<[Binding]>,
}

#[derive(Clone, Debug)]
pub(crate) enum Binding {
    Unset,
    Literal(Value),
    Slot(SlotId),
}

#[derive(Debug)]
pub(crate) struct SlotInfo {
    pub(crate) key: Box<str>,
    /// The path of the SubTree whose blackboard it is on; empty for the main tree's.
    pub(crate) scope: Arc<str>,
    pub(crate) ty: PortType,
    pub(crate) exists: bool,
    pub(crate) initial: Option<Value>,
}

/// A node as its author knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// From 1 on, in XML order.
    pub uid: u16,
    /// uid of the parent; `None` for the root.
    pub parent: Option<u16>,
    /// `name` in XML, else the registration id.
    pub name: String,
    /// `Sequence`, `Script`, a leaf's id; for a SubTree the id of the tree it stands for.
    pub id: String,
    /// As BehaviorTree.CPP's `fullPath()`: `Outer::3/Inner`.
    pub path: String,
    /// Where it stands: name of the document and line (from 1 on).
    pub document: String,
    pub line: u32,
}

impl Tree {
    /// The id of the main tree.
    pub fn main(&self) -> &str {
        &self.main
    }

    /// Whose rules it goes by.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many nodes one tick visits at most, a node that is ticked twice counted twice. Whatever the leaves answer and the
    /// blackboard holds, a tick does no more: a Repeat or a RetryUntilSuccessful ticks its child at most twice, because a round
    /// that completes at once ends the tick. Halting a node adds a visit for each node below it.
    pub fn max_visits(&self) -> u64 {
        self.max_visits
    }

    /// All nodes in order of their uid.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.info
    }

    /// A node by uid.
    pub fn node(&self, uid: u16) -> Option<&NodeInfo> {
        self.info.get(usize::from(uid.checked_sub(1)?))
    }

    /// The leaf model of a node, if it is a leaf of the registry.
    pub fn leaf_model(&self, uid: u16) -> Option<&LeafModel> {
        let node = self.nodes.get(usize::from(uid.checked_sub(1)?))?;
        let Kind::Leaf { leaf, .. } = node.kind else {
            return None;
        };
        self.models.get(self.leaves.get(usize::from(leaf))?.model as usize)
    }

    /// The literal that XML gives to a leaf's port. `None` for another port, an entry of the blackboard, or no leaf.
    pub fn literal(&self, uid: u16, port: &str) -> Option<&Value> {
        let node = self.nodes.get(usize::from(uid.checked_sub(1)?))?;
        let Kind::Leaf { leaf, .. } = node.kind else {
            return None;
        };
        let leaf = self.leaves.get(usize::from(leaf))?;
        let at = self.models.get(leaf.model as usize)?.ports.iter().position(|known| known.name == port)?;
        match leaf.ports.get(at)? {
            Binding::Literal(value) => Some(value),
            Binding::Slot(_) | Binding::Unset => None,
        }
    }

    /// An entry of the main tree's blackboard. `None` if nothing in the tree mentions it.
    pub fn slot(&self, key: &str) -> Option<SlotId> {
        self.slot_in("", key)
    }

    /// An entry of a SubTree's own blackboard, by the SubTree's path. Remapped keys live where they are remapped to.
    pub fn slot_in(&self, scope: &str, key: &str) -> Option<SlotId> {
        let at = self.slots.iter().position(|slot| &*slot.scope == scope && &*slot.key == key)?;
        Some(SlotId(at as u32))
    }

    /// All entries: id, scope, key and declared type.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, &str, &str, PortType)> {
        self.slots.iter().enumerate().map(|(i, slot)| (SlotId(i as u32), &*slot.scope, &*slot.key, slot.ty))
    }

    pub(crate) fn enum_value(&self, name: &str) -> Option<i64> {
        let at = self.enums.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        self.enums.get(at).map(|(_, value)| *value)
    }
}
