//! Everything that changes from tick to tick, and nothing else.
//!
//! Two runs that start from equal states, see the same times and get the same leaf answers stay equal: compare with
//! `==` or [`State::digest`]. A clone is a checkpoint to go back to.

use std::hash::{Hash, Hasher};

use swarm_base::Time;

use crate::status::NodeStatus;
use crate::tree::Tree;
use crate::value::{ConvertError, PortType, Value};

/// A place on the blackboard. Names, scopes and remapping are resolved at load, so reading one is an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u32);

/// The mutable half of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(crate) status: Box<[NodeStatus]>,
    pub(crate) memory: Box<[Memory]>,
    pub(crate) slots: Box<[Slot]>,
    /// When each timer (of a Timeout, Delay or Sleep) runs off.
    pub(crate) timers: Box<[Timer]>,
    /// Which children of each Parallel are done, one bit each.
    pub(crate) done: Box<[u64]>,
    pub(crate) ticks: u64,
    /// A node yielded in this tick and would go on at once.
    pub(crate) wake: bool,
}

/// What control nodes remember. The meaning of the numbers is the node's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Sequence, Fallback: the current child. Repeat, Retry: rounds done. Parallel: successes.
    pub(crate) index: u32,
    /// Sequence, Fallback: skipped children. Parallel: failures.
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
                .map(|slot| Slot { value: slot.initial.clone(), exists: slot.exists, writes: 0 })
                .collect(),
            timers: vec![Timer::Stopped; tree.timers as usize].into(),
            done: vec![0; tree.done_words as usize].into(),
            ticks: 0,
            wake: false,
        }
    }

    /// Whether this is a state of that tree, as far as their sizes tell.
    pub(crate) fn fits(&self, tree: &Tree) -> bool {
        self.status.len() == tree.nodes.len()
            && self.slots.len() == tree.slots.len()
            && self.timers.len() == tree.timers as usize
            && self.done.len() == tree.done_words as usize
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

    #[inline]
    pub(crate) fn put(&mut self, slot: SlotId, value: Value) {
        if let Some(slot) = self.slots.get_mut(slot.0 as usize) {
            slot.value = Some(value);
            slot.exists = true;
            slot.writes += 1;
        }
    }

    /// A 64-bit digest (FNV-1a) of the whole state, the same on every machine. For finding the first tick at which two runs
    /// part; it is no cryptographic hash.
    pub fn digest(&self) -> u64 {
        let mut h = Fnv(0xcbf2_9ce4_8422_2325);
        for &status in &*self.status {
            h.write(&[status as u8]);
        }
        for memory in &*self.memory {
            h.write(&memory.index.to_le_bytes());
            h.write(&memory.count.to_le_bytes());
        }
        for slot in &*self.slots {
            h.write(&[u8::from(slot.exists), u8::from(slot.value.is_some())]);
            h.write(&slot.writes.to_le_bytes());
            if let Some(value) = &slot.value {
                value.hash(&mut h);
            }
        }
        for timer in &*self.timers {
            match timer {
                Timer::Stopped => h.write(&[0]),
                Timer::Over => h.write(&[1]),
                Timer::Until(time) => {
                    h.write(&[2]);
                    h.write(&time.0.to_le_bytes());
                }
            }
        }
        for word in &*self.done {
            h.write(&word.to_le_bytes());
        }
        h.write(&self.ticks.to_le_bytes());
        h.write(&[u8::from(self.wake)]);
        h.finish()
    }
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
