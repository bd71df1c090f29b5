//! The blackboard as scripts and leaves see it: the entries of a state with what the tree knows of them.
//!
//! Part of the tick: nothing here panics, and the lints below keep it so.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

use crate::state::{SlotId, State};
use crate::tree::{Mode, Tree};
use crate::value::{PortType, Value};

/// Bytes of text that a script may make for one entry. The texts of documents may be longer: their own size bounds them.
const MAX_TEXT: usize = 64 << 10;
/// Bytes of text that scripts may make for all entries of a tree.
const MAX_ALL_TEXT: usize = 64 << 20;

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
        self.state.slots.get(slot.0 as usize).is_some_and(|slot| slot.exists)
    }

    /// The type that a port has declared; `Any` if none has.
    #[inline]
    pub(crate) fn declared(&self, slot: SlotId) -> PortType {
        self.tree.slots.get(slot.0 as usize).map_or(PortType::Any, |slot| slot.ty)
    }

    /// Whether the tree's rules are the strict ones.
    #[inline]
    pub(crate) fn strict(&self) -> bool {
        self.tree.mode == Mode::Strict
    }

    /// Bytes of text that a script may make here. An equal share for each entry, so that all of them stay below a bound without
    /// anyone counting in a tick; only a tree of more than 1,024 entries notices.
    pub(crate) fn text_limit(&self) -> usize {
        MAX_ALL_TEXT.checked_div(self.tree.slots.len()).map_or(MAX_TEXT, |share| share.min(MAX_TEXT))
    }

    pub(crate) fn key(&self, slot: SlotId) -> &str {
        self.tree.slots.get(slot.0 as usize).map_or("", |slot| &*slot.key)
    }

    pub(crate) fn constant(&self, name: &str) -> Option<i64> {
        self.tree.enum_value(name)
    }
}
