//! Decorators that have nothing to do with time or queues, after `src/decorators/*.cpp` of BehaviorTree.CPP 4.10.0.

use super::{Exec, NodeId, Ticked};
use crate::state::{Memory, SlotId};
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Flag, Int, Mode, Node, ScriptId};

impl<O: Observer> Exec<'_, O> {
    /// Inverter, ForceSuccess, ForceFailure: another answer once the child has completed.
    #[inline(never)]
    pub(super) fn mapped(&mut self, id: NodeId, node: &Node, completed: fn(Status) -> Status) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        self.pass_on(id, node, completed)
    }

    /// One that has completed and not been reset (a condition of IfThenElse, of WhileDoElse) does not become RUNNING first.
    #[inline(never)]
    pub(super) fn subtree(&mut self, id: NodeId, node: &Node) -> Ticked {
        if self.status(id) == NodeStatus::Idle {
            self.set_status(id, NodeStatus::Running);
        }
        self.pass_on(id, node, |answer| answer)
    }

    fn pass_on(&mut self, id: NodeId, node: &Node, completed: fn(Status) -> Status) -> Ticked {
        let child = self.child(id, node)?;
        let answer = self.execute(child)?;
        if !answer.is_completed() {
            return Ok(answer);
        }
        self.reset(child)?;
        Ok(completed(answer))
    }

    #[inline(never)]
    pub(super) fn keep_running_until_failure(&mut self, id: NodeId, node: &Node) -> Ticked {
        let child = self.child(id, node)?;
        self.set_status(id, NodeStatus::Running);
        let answer = self.execute(child)?;
        if answer.is_completed() {
            self.reset(child)?;
        }
        // A skipped child keeps it running too.
        Ok(if answer == Status::Failure { Status::Failure } else { Status::Running })
    }

    /// The child again as long as it succeeds, `cycles` times (-1: for ever).
    #[inline(never)]
    pub(super) fn repeat(&mut self, id: NodeId, node: &Node, cycles: Int) -> Ticked {
        let cycles = self.int(id, "num_cycles", cycles)?;
        let child = self.child(id, node)?;
        let goes_on = |round: u32| i64::from(round) < cycles || cycles == -1;
        self.set_status(id, NodeStatus::Running);
        let mut round = self.memory(id).index;
        while goes_on(round) {
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Success => {
                    round = round.saturating_add(1);
                    self.keep(id, Memory { index: round, count: 0 });
                    self.reset(child)?;
                    if before == NodeStatus::Idle && goes_on(round) {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Failure => {
                    self.keep(id, Memory::default());
                    self.reset(child)?;
                    return Ok(Status::Failure);
                }
                // The round does not count, and the rounds done are kept.
                Status::Skipped => {
                    self.reset(child)?;
                    return Ok(Status::Skipped);
                }
            }
        }
        self.keep(id, Memory::default());
        Ok(Status::Success)
    }

    /// The child again as long as it fails, `attempts` times (-1: for ever).
    #[inline(never)]
    pub(super) fn retry(&mut self, id: NodeId, node: &Node, attempts: Int) -> Ticked {
        let mut max = self.int(id, "num_attempts", attempts)?;
        let child = self.child(id, node)?;
        self.set_status(id, NodeStatus::Running);
        let mut tries = self.memory(id).index;
        while i64::from(tries) < max || max == -1 {
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Success => {
                    self.keep(id, Memory::default());
                    self.reset(child)?;
                    return Ok(Status::Success);
                }
                Status::Failure => {
                    tries = tries.saturating_add(1);
                    self.keep(id, Memory { index: tries, count: 0 });
                    // The child may have changed it.
                    max = self.int(id, "num_attempts", attempts)?;
                    self.reset(child)?;
                    if before == NodeStatus::Idle && (i64::from(tries) < max || max == -1) {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Skipped => {
                    self.reset(child)?;
                    return Ok(Status::Skipped);
                }
            }
        }
        self.keep(id, Memory::default());
        Ok(Status::Failure)
    }

    /// The child until it has completed once in the life of the tree; then SKIPPED, or what it answered.
    #[inline(never)]
    pub(super) fn run_once(&mut self, id: NodeId, node: &Node, then_skip: Flag) -> Ticked {
        const SUCCEEDED: u32 = 1;
        const FAILED: u32 = 2;
        let child = self.child(id, node)?;
        let skip = self.flag(then_skip, true);
        match self.memory(id).index {
            SUCCEEDED | FAILED if skip => return Ok(Status::Skipped),
            SUCCEEDED => return Ok(Status::Success),
            FAILED => return Ok(Status::Failure),
            _ => {}
        }
        self.set_status(id, NodeStatus::Running);
        let answer = self.execute(child)?;
        if answer.is_completed() {
            let index = if answer == Status::Success { SUCCEEDED } else { FAILED };
            self.keep(id, Memory { index, count: 0 });
            self.reset(child)?;
        }
        Ok(answer)
    }

    /// The child if the condition holds when it begins, else another answer.
    #[inline(never)]
    pub(super) fn precondition(
        &mut self,
        id: NodeId,
        node: &Node,
        condition: ScriptId,
        otherwise: Status,
    ) -> Ticked {
        let child = self.child(id, node)?;
        let held = self.memory(id).index == 1;
        if !held && !self.condition(id, condition)? {
            return Ok(otherwise);
        }
        let answer = self.execute(child)?;
        if answer.is_completed() {
            self.reset(child)?;
        }
        // In the original a skipped child leaves the condition unlooked at for ever.
        let holds = match answer {
            Status::Running => true,
            Status::Skipped => self.tree.mode == Mode::Compat,
            Status::Success | Status::Failure => false,
        };
        self.keep(id, Memory { index: u32::from(holds), count: 0 });
        Ok(answer)
    }

    /// SkipUnlessUpdated, WaitValueUpdate: the child if the entry has been written since the last look.
    #[inline(never)]
    pub(super) fn if_updated(
        &mut self,
        id: NodeId,
        node: &Node,
        entry: SlotId,
        otherwise: Status,
        seen: u32,
    ) -> Ticked {
        let child = self.child(id, node)?;
        let busy = self.memory(id).index == 1;
        if !busy && !self.updated(entry, seen) {
            return Ok(otherwise);
        }
        let answer = self.execute(child)?;
        self.keep(id, Memory { index: u32::from(answer == Status::Running), count: 0 });
        // The only decorator that leaves it to the base class to reset its child, after its own status has changed.
        if answer.is_completed() {
            let kept = if answer == Status::Success { NodeStatus::Success } else { NodeStatus::Failure };
            self.set_status(id, kept);
            self.reset(child)?;
        }
        Ok(answer)
    }

    #[inline(never)]
    pub(super) fn was_entry_updated(&mut self, entry: SlotId, seen: u32) -> Status {
        if self.updated(entry, seen) { Status::Success } else { Status::Failure }
    }

    /// Whether an entry exists and has been written since this was asked last.
    fn updated(&mut self, entry: SlotId, seen: u32) -> bool {
        let slot = self.state.slots.get(entry.0 as usize).filter(|slot| slot.exists);
        let (Some(slot), Some(seen)) = (slot, self.state.words.get_mut(seen as usize)) else { return false };
        std::mem::replace(seen, slot.writes) != slot.writes
    }
}
