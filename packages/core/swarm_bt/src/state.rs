//! Everything that changes from tick to tick, and nothing else.
//!
//! Two runs that start from equal states, see the same times and get the same leaf answers stay equal: compare with
//! `==` or [`State::digest`]. A clone is a checkpoint to go back to.

use swarm_base::{Duration, Time};

use crate::status::NodeStatus;
use crate::tree::Tree;
use crate::value::{ConvertError, PortType, Value};

/// A place on the blackboard. Names, scopes and remapping are resolved at load, so reading one is an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u32);

impl SlotId {
    /// Its place among [`Tree::slots`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The mutable half of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(crate) status: Box<[NodeStatus]>,
    pub(crate) memory: Box<[Memory]>,
    pub(crate) slots: Box<[Slot]>,
    /// When each timer (of a Timeout, Delay or Sleep) runs off.
    pub(crate) timers: Box<[Timer]>,
    /// Which children of each Parallel are done, one bit each; how often an entry had been written when a node looked last.
    pub(crate) words: Box<[u64]>,
    /// How far each Loop is.
    pub(crate) queues: Box<[Queue]>,
    /// Of each leaf, how it stops.
    pub(crate) stops: Box<[Stop]>,
    /// Leaves that are [`Stop::Halting`].
    pub(crate) halting: u32,
    /// Leaves whose stop is not [`Stop::No`].
    pub(crate) unsettled: u32,
    pub(crate) ticks: u64,
    /// A node yielded in this tick and would go on at once.
    pub(crate) wake: bool,
}

/// What control nodes remember. The meaning of the numbers is the node's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Sequence, Fallback, TryCatch: the current child. Repeat, Retry: rounds done. Parallel: successes. IfThenElse: the branch.
    /// Switch: one more than the running child. RunOnce: what was answered. Precondition: 1 once it held.
    pub(crate) index: u32,
    /// Sequence, Fallback, TryCatch: skipped children. Parallel: failures.
    pub(crate) count: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    #[default]
    Stopped,
    Until(Time),
    /// Ran off, or waits for nothing, while its node goes on.
    Over,
}

/// How far a Loop is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    /// What the entry held when the Loop began; `None` for a literal.
    pub(crate) items: Option<Value>,
    /// The next item: its number, or where it begins in text.
    pub(crate) next: u32,
    /// The child answered RUNNING, so that no item is taken.
    pub(crate) busy: bool,
}

/// How a leaf stops. The node has forgotten it, and may already want to start it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Stop {
    #[default]
    No,
    /// Told to stop, not yet known to have. `wanted`: the node shows RUNNING and waits for that.
    Halting { since: Time, overdue: bool, wanted: bool },
    /// Has stopped, and its node waits to start it.
    Stopped,
}

/// A leaf that was told to stop and is not yet known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halting {
    pub uid: u16,
    /// When it was told.
    pub since: Time,
    /// How long it may take, if there is a limit.
    pub timeout: Option<Duration>,
    /// The limit has passed: whoever ticks the tree must stop the robot in another way.
    pub overdue: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) value: Option<Value>,
    /// Entries exist once a port or a script has made them; reading one that exists but is empty is an error too.
    pub(crate) exists: bool,
    /// How often it was written.
    pub(crate) writes: u64,
}

impl State {
    /// All nodes idle, the blackboard as the tree's literals set it.
    pub fn new(tree: &Tree) -> Self {
        let nodes = tree.nodes.len();
        State {
            status: vec![NodeStatus::Idle; nodes].into(),
            memory: vec![Memory::default(); nodes].into(),
            slots: tree
                .slots
                .iter()
                .map(|slot| Slot {
                    value: slot.initial.clone(),
                    exists: slot.exists,
                    writes: u64::from(slot.initial.is_some()),
                })
                .collect(),
            timers: vec![Timer::Stopped; tree.timers as usize].into(),
            words: vec![0; tree.words as usize].into(),
            queues: vec![Queue::default(); tree.loops.len()].into(),
            stops: vec![Stop::No; tree.leaves.len()].into(),
            halting: 0,
            unsettled: 0,
            ticks: 0,
            wake: false,
        }
    }

    /// Whether this is a state of that tree, as far as their sizes tell.
    pub(crate) fn fits(&self, tree: &Tree) -> bool {
        self.status.len() == tree.nodes.len()
            && self.slots.len() == tree.slots.len()
            && self.timers.len() == tree.timers as usize
            && self.words.len() == tree.words as usize
            && self.queues.len() == tree.loops.len()
            && self.stops.len() == tree.leaves.len()
    }

    /// What a node keeps. `None` for a uid that the tree does not have.
    pub fn status(&self, uid: u16) -> Option<NodeStatus> {
        self.status.get(usize::from(uid.checked_sub(1)?)).copied()
    }

    /// Ticks and halts so far.
    pub fn tick_count(&self) -> u64 {
        self.ticks
    }

    /// True if in the last tick a node yielded after a synchronous child and would go on at once, which is when
    /// BehaviorTree.CPP emits its wake-up signal. [`crate::tick_until_settled`] acts on it.
    pub fn wants_tick(&self) -> bool {
        self.wake
    }

    /// How many leaves were told to stop and are not yet known to have. While it is not zero nothing may be taken for finished,
    /// not even a tree that has answered SUCCESS: go on with [`tick`](crate::tick), or with [`halt`](crate::halt()), which asks
    /// the leaves without starting anything.
    pub fn halting(&self) -> usize {
        self.halting as usize
    }

    /// Those of them that have taken longer than they may.
    pub fn overdue<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = Halting> + 'a {
        self.halts(tree).filter(|halting| halting.overdue)
    }

    /// The leaves that are still stopping.
    pub fn halts<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = Halting> + 'a {
        self.stops.iter().zip(&tree.leaves).filter_map(|(stop, leaf)| match *stop {
            Stop::Halting { since, overdue, .. } => {
                Some(Halting { uid: leaf.node.saturating_add(1), since, timeout: leaf.halt_timeout, overdue })
            }
            Stop::No | Stop::Stopped => None,
        })
    }

    /// The value of an entry; `None` while nothing has been written.
    pub fn get(&self, slot: SlotId) -> Option<&Value> {
        self.slots.get(slot.0 as usize)?.value.as_ref()
    }

    /// How often an entry has been written.
    pub fn writes(&self, slot: SlotId) -> u64 {
        self.slots.get(slot.0 as usize).map_or(0, |slot| slot.writes)
    }

    /// Writes an entry from outside the tree, between ticks. The value is converted to the type that the entry's
    /// ports declare; an undeclared entry takes any value.
    pub fn set(&mut self, tree: &Tree, slot: SlotId, value: impl Into<Value>) -> Result<(), ConvertError> {
        let value = value.into();
        let to = tree.slots.get(slot.0 as usize).map_or(PortType::Any, |slot| slot.ty);
        let value = value.convert(to)?;
        self.put(slot, value);
        Ok(())
    }

    /// Writes an entry as it was written in a recorded run: as it is, `times` times.
    pub fn restore(&mut self, slot: SlotId, value: Value, times: u64) {
        if times > 0 {
            self.put(slot, value);
            if let Some(slot) = self.slots.get_mut(slot.0 as usize) {
                slot.writes = slot.writes.wrapping_add(times - 1);
            }
        }
    }

    /// Changes the value of an entry where it stands, as a write; `None`, and no write, if there is none or `change` gives none.
    #[inline]
    pub(crate) fn change<T>(
        &mut self,
        slot: SlotId,
        change: impl FnOnce(&mut Value) -> Option<T>,
    ) -> Option<T> {
        let slot = self.slots.get_mut(slot.0 as usize)?;
        let changed = change(slot.value.as_mut()?)?;
        slot.exists = true;
        slot.writes = slot.writes.wrapping_add(1);
        Some(changed)
    }

    #[inline]
    pub(crate) fn put(&mut self, slot: SlotId, value: Value) {
        if let Some(slot) = self.slots.get_mut(slot.0 as usize) {
            slot.value = Some(value);
            slot.exists = true;
            slot.writes = slot.writes.wrapping_add(1);
        }
    }
}
