//! Control nodes. Each function follows the `tick()` of the BehaviorTree.CPP class it is named for, line by line where the
//! order of transitions depends on it (`src/controls/*.cpp`, version 4.10.0).

use super::{Exec, Faulted, NodeId, TickErrorKind, Ticked};
use crate::state::Memory;
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Int, Mode, Node};

impl<O: Observer> Exec<'_, O> {
    /// Sequence (`go_on` = SUCCESS) and Fallback (`go_on` = FAILURE): the answer with which the next child gets its
    /// turn. With `yields` (the Async forms) a child that completed at once ends the tick.
    #[inline(never)]
    pub(super) fn sequence(&mut self, id: NodeId, node: &Node, go_on: Status, yields: bool) -> Ticked {
        let mut memory = self.memory(id);
        if self.status(id) == NodeStatus::Idle {
            memory.count = 0;
        }
        self.set_status(id, NodeStatus::Running);

        let children = self.children(node);
        while let Some(&child) = children.get(memory.index as usize) {
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => {
                    self.keep(id, memory);
                    return Ok(Status::Running);
                }
                Status::Skipped => {
                    memory.index = memory.index.saturating_add(1);
                    memory.count = memory.count.saturating_add(1);
                }
                answer if answer == go_on => {
                    memory.index = memory.index.saturating_add(1);
                    if yields && before == NodeStatus::Idle && memory.index < u32::from(node.child_count) {
                        self.keep(id, memory);
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                answer => {
                    self.reset_children(node)?;
                    self.keep(id, Memory { index: 0, ..memory });
                    return Ok(answer);
                }
            }
        }
        self.reset_children(node)?;
        self.keep(id, Memory::default());
        Ok(if memory.count == u32::from(node.child_count) { Status::Skipped } else { go_on })
    }

    /// Goes on after a failure, after a halt and after an error with the child that it had come to.
    #[inline(never)]
    pub(super) fn sequence_with_memory(&mut self, id: NodeId, node: &Node) -> Ticked {
        let mut memory = self.memory(id);
        if self.status(id) == NodeStatus::Idle {
            memory.count = 0;
        }
        self.set_status(id, NodeStatus::Running);

        let children = self.children(node);
        while let Some(&child) = children.get(memory.index as usize) {
            self.keep(id, memory);
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Failure => {
                    for &child in children.iter().skip(memory.index as usize) {
                        self.reset(child)?;
                    }
                    return Ok(Status::Failure);
                }
                Status::Success => {
                    memory.index = memory.index.saturating_add(1);
                    if before == NodeStatus::Idle && memory.index < u32::from(node.child_count) {
                        self.keep(id, memory);
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Skipped => {
                    memory.index = memory.index.saturating_add(1);
                    memory.count = memory.count.saturating_add(1);
                }
            }
        }
        self.reset_children(node)?;
        self.keep(id, Memory::default());
        Ok(if memory.count == u32::from(node.child_count) { Status::Skipped } else { Status::Success })
    }

    /// ReactiveSequence (`go_on` = SUCCESS) and ReactiveFallback (`go_on` = FAILURE): from the first child in every tick.
    #[inline(never)]
    pub(super) fn reactive(&mut self, id: NodeId, node: &Node, go_on: Status) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        let mut all_skipped = true;
        let children = self.children(node);
        for &child in children {
            let answer = self.execute(child)?;
            all_skipped &= answer == Status::Skipped;
            match answer {
                Status::Running => {
                    // The others become idle, so that they start afresh in the next tick.
                    for &other in children.iter().filter(|&&other| other != child) {
                        self.reset(other)?;
                    }
                    return Ok(Status::Running);
                }
                Status::Skipped => self.reset(child)?,
                answer if answer == go_on => {}
                answer => {
                    self.reset_children(node)?;
                    return Ok(answer);
                }
            }
        }
        self.reset_children(node)?;
        Ok(if all_skipped { Status::Skipped } else { go_on })
    }

    /// All children in every tick, until enough have succeeded or failed. Negative thresholds count from the end:
    /// -1 is all children.
    #[inline(never)]
    pub(super) fn parallel(
        &mut self,
        id: NodeId,
        node: &Node,
        success: Int,
        failure: Int,
        done: u32,
    ) -> Ticked {
        let success = self.int(id, "success_count", success)?;
        let failure = self.int(id, "failure_count", failure)?;
        let needed = self.threshold(id, node, "Parallel", "success_count", success)?;
        let fatal = self.threshold(id, node, "Parallel", "failure_count", failure)?;
        let total = i64::from(node.child_count);

        self.set_status(id, NodeStatus::Running);
        let (mut skipped, mut runs) = (0_i64, false);
        for (i, &child) in (0..).zip(self.children(node)) {
            if !self.is_done(done, i) {
                match self.execute(child)? {
                    Status::Skipped => skipped = skipped.saturating_add(1),
                    Status::Running => runs = true,
                    answer => self.set_done(id, done, i, answer),
                }
            }
            let memory = self.memory(id);
            let (succeeded, failed) = (i64::from(memory.index), i64::from(memory.count));
            let answer = if succeeded >= needed || success < 0 && succeeded.saturating_add(skipped) >= needed
            {
                Status::Success
            } else if total.saturating_sub(failed) < needed || failed == fatal {
                Status::Failure
            } else {
                continue;
            };
            return self.parallel_completed(id, node, done, answer);
        }
        if skipped == total {
            return Ok(Status::Skipped);
        }
        // Nothing is under way, and what is needed has not been had: the original goes on for ever.
        if !runs && self.tree.mode == Mode::Strict {
            return self.parallel_completed(id, node, done, Status::Failure);
        }
        Ok(Status::Running)
    }

    /// All children until each has completed; then FAILURE if so many have failed.
    #[inline(never)]
    pub(super) fn parallel_all(&mut self, id: NodeId, node: &Node, failures: Int, done: u32) -> Ticked {
        let failures = self.int(id, "max_failures", failures)?;
        let fatal = self.threshold(id, node, "ParallelAll", "max_failures", failures)?;

        self.set_status(id, NodeStatus::Running);
        let (mut skipped, total) = (0_u32, u32::from(node.child_count));
        for (i, &child) in (0..).zip(self.children(node)) {
            if !self.is_done(done, i) {
                match self.execute(child)? {
                    Status::Skipped => skipped = skipped.saturating_add(1),
                    Status::Running => {}
                    answer => self.set_done(id, done, i, answer),
                }
            }
        }
        let Memory { index: succeeded, count: failed } = self.memory(id);
        if skipped == total {
            return Ok(Status::Skipped);
        }
        if skipped.saturating_add(succeeded).saturating_add(failed) < total {
            return Ok(Status::Running);
        }
        let answer = if i64::from(failed) >= fatal { Status::Failure } else { Status::Success };
        self.parallel_completed(id, node, done, answer)
    }

    /// A threshold as a number of children.
    fn threshold(
        &mut self,
        id: NodeId,
        node: &Node,
        name: &'static str,
        attribute: &'static str,
        given: i64,
    ) -> Result<i64, Faulted> {
        let children = i64::from(node.child_count);
        let threshold =
            if given < 0 { children.saturating_add(given).saturating_add(1).max(0) } else { given };
        if threshold > children {
            let children = usize::from(node.child_count);
            return self.fail(id, TickErrorKind::Threshold { node: name, attribute, threshold, children });
        }
        Ok(threshold)
    }

    fn parallel_completed(&mut self, id: NodeId, node: &Node, done: u32, answer: Status) -> Ticked {
        self.parallel_clear(id, node, done);
        self.reset_children(node)?;
        Ok(answer)
    }

    pub(super) fn parallel_clear(&mut self, id: NodeId, node: &Node, done: u32) {
        let words = usize::from(node.child_count.div_ceil(64));
        for word in self.state.words.iter_mut().skip(done as usize).take(words) {
            *word = 0;
        }
        self.keep(id, Memory::default());
    }

    fn is_done(&self, done: u32, child: u32) -> bool {
        let word = self.state.words.get(done.saturating_add(child / 64) as usize);
        word.is_some_and(|word| word & bit(child) != 0)
    }

    /// Child number `child` has completed.
    fn set_done(&mut self, id: NodeId, done: u32, child: u32, answer: Status) {
        if let Some(word) = self.state.words.get_mut(done.saturating_add(child / 64) as usize) {
            *word |= bit(child);
        }
        let mut memory = self.memory(id);
        let counter = if answer == Status::Success { &mut memory.index } else { &mut memory.count };
        *counter = counter.saturating_add(1);
        self.keep(id, memory);
    }
}

fn bit(child: u32) -> u64 {
    1_u64.wrapping_shl(child)
}
