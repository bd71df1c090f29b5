//! The blackboard as scripts and leaves see it: the entries of a state with what the tree knows of them.

use crate::state::{SlotId, State};
use crate::tree::{Mode, Tree};
use crate::value::{PortType, Value};

pub(crate) struct Board<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) state: &'a mut State,
}

impl Board<'_> {
    #[inline]
    pub(crate) fn get(&self, slot: SlotId) -> Option<&Value> {
        self.state.get(slot)
    }

    #[inline]
    pub(crate) fn put(&mut self, slot: SlotId, value: Value) {
        self.state.put(slot, value);
    }

    #[inline]
    pub(crate) fn exists(&self, slot: SlotId) -> bool {
        self.state.slots[slot.0 as usize].exists
    }

    /// The type that a port has declared; `Any` if none has.
    #[inline]
    pub(crate) fn declared(&self, slot: SlotId) -> PortType {
        self.tree.slots[slot.0 as usize].ty
    }

    /// Whether the tree's rules are the strict ones.
    #[inline]
    pub(crate) fn strict(&self) -> bool {
        self.tree.mode == Mode::Strict
    }

    pub(crate) fn key(&self, slot: SlotId) -> &str {
        &self.tree.slots[slot.0 as usize].key
    }

    pub(crate) fn constant(&self, name: &str) -> Option<i64> {
        self.tree.enum_value(name)
    }
}
