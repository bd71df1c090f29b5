//! Leaves: those of the registry, which the caller carries out, and the built-in ones that write entries.

use swarm_base::Time;

use super::halt::Held;
use super::{Exec, NodeId, TickErrorKind, Ticked};
use crate::leaf::LeafCall;
use crate::model::LeafKind;
use crate::state::{SlotId, State};
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Mode, Source, Tree};

impl<O: Observer> Exec<'_, O> {
    #[inline(never)]
    pub(super) fn leaf(&mut self, id: NodeId, leaf: u16, kind: LeafKind) -> Ticked {
        let mut kept = self.status(id);
        if self.state.unsettled > 0 {
            match self.held_back(leaf, kept) {
                Some(Held::Wait) => return Ok(Status::Running),
                Some(Held::Start) => kept = NodeStatus::Idle,
                None => {}
            }
        }
        let Some(mut call) = call(self.tree, self.state, self.now, id, leaf) else { return self.broken(id) };
        match (kind, kept) {
            (LeafKind::Condition, _) => match self.leaves.start(&mut call) {
                Status::Running => self.fail(id, TickErrorKind::ConditionRunning),
                answer => Ok(answer),
            },
            (LeafKind::Action, NodeStatus::Idle) => Ok(self.leaves.start(&mut call)),
            (LeafKind::Action, NodeStatus::Running) => Ok(self.leaves.running(&mut call)),
            // A completed action that nobody has reset repeats its answer, as `StatefulActionNode` does.
            (LeafKind::Action, NodeStatus::Success) => Ok(Status::Success),
            (LeafKind::Action, NodeStatus::Failure) => Ok(Status::Failure),
        }
    }

    /// Copies an entry, or stores a literal as text (or as what the target's ports declare).
    #[inline(never)]
    pub(super) fn set_blackboard(&mut self, id: NodeId, source: Source, target: SlotId) -> Ticked {
        let tree = self.tree;
        let value = match source {
            Source::Literal(at) => tree.literals.get(at as usize),
            Source::Entry(slot) => self.state.get(slot),
        };
        let Some(value) = value.cloned() else { return Ok(Status::Failure) };
        self.store(id, "SetBlackboard", target, &value)?;
        Ok(Status::Success)
    }

    /// Makes an entry as if nothing had ever written it. The original counts its writes from the beginning then, so that a
    /// node that looks for updates may miss the next one.
    #[inline(never)]
    pub(super) fn unset_blackboard(&mut self, entry: Option<SlotId>) -> Status {
        if let Some(slot) = entry.and_then(|entry| self.state.slots.get_mut(entry.0 as usize)) {
            slot.value = None;
            slot.exists = false;
            if self.tree.mode == Mode::Compat {
                slot.writes = 0;
            }
        }
        Status::Success
    }
}

/// `None` for a leaf that the tree does not have.
pub(super) fn call<'a>(
    tree: &'a Tree,
    state: &'a mut State,
    now: Time,
    id: NodeId,
    leaf: u16,
) -> Option<LeafCall<'a>> {
    let leaf = tree.leaves.get(usize::from(leaf))?;
    let model = tree.models.get(leaf.model as usize)?;
    Some(LeafCall { tree, state, leaf, model, uid: id.saturating_add(1), now })
}
