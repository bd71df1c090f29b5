//! Leaves: those of the registry, which the caller carries out, and the built-in ones that keep something.

use super::{Exec, NodeId, TickErrorKind, Ticked};
use crate::board::Board;
use crate::leaf::LeafCall;
use crate::model::LeafKind;
use crate::state::{SlotId, Timer};
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Int, Source};

impl<O: Observer> Exec<'_, O> {
    pub(super) fn leaf(&mut self, id: NodeId, leaf: u16, kind: LeafKind) -> Ticked {
        let kept = self.status(id);
        let mut call = call(self.tree, self.state, self.now, id, leaf);
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

    pub(super) fn halt_leaf(&mut self, id: NodeId, leaf: u16) {
        if self.status(id) == NodeStatus::Running {
            self.leaves.halt(&mut call(self.tree, self.state, self.now, id, leaf));
        }
    }

    pub(super) fn sleep(&mut self, id: NodeId, msec: Int, timer: u32) -> Ticked {
        if self.status(id) != NodeStatus::Running {
            let msec = self.int(id, "msec", msec)?;
            if msec <= 0 {
                return Ok(Status::Success);
            }
            self.state.timers[timer as usize] = Timer::Until(self.after(msec));
            return Ok(Status::Running);
        }
        if matches!(self.state.timers[timer as usize], Timer::Until(end) if self.now < end) {
            return Ok(Status::Running);
        }
        self.stop_timer(timer);
        Ok(Status::Success)
    }

    /// Copies an entry, or stores a literal as text (or as what the target's ports declare).
    pub(super) fn set_blackboard(&mut self, id: NodeId, source: Source, target: SlotId) -> Ticked {
        let tree = self.tree;
        let value = match source {
            Source::Literal(at) => tree.literals[at as usize].clone(),
            Source::Entry(slot) => match self.state.get(slot) {
                Some(value) => value.clone(),
                None => return Ok(Status::Failure),
            },
        };
        let board = Board { tree, state: self.state };
        let ty = board.declared(target);
        match value.convert(ty) {
            Ok(value) => {
                self.state.put(target, value);
                Ok(Status::Success)
            }
            Err(error) => {
                let key = board.key(target).to_owned();
                self.fail(id, TickErrorKind::Store { key, value: error.value, ty })
            }
        }
    }
}

fn call<'a>(
    tree: &'a crate::Tree,
    state: &'a mut crate::State,
    now: swarm_base::Time,
    id: NodeId,
    leaf: u16,
) -> LeafCall<'a> {
    let leaf = &tree.leaves[usize::from(leaf)];
    LeafCall { tree, state, leaf, model: &tree.models[leaf.model as usize], uid: id + 1, now }
}
