//! Control nodes. Each function follows the `tick()` of the BehaviorTree.CPP class it is named for, line by line where the
//! order of transitions depends on it (`src/controls/*.cpp`, version 4.10.0).

use super::{Done, Exec, NodeId, TickErrorKind, Ticked};
use crate::state::Memory;
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Int, Node};

impl<O: Observer> Exec<'_, O> {
    /// Sequence (`go_on` = SUCCESS) and Fallback (`go_on` = FAILURE): the answer with which the next child gets its
    /// turn. With `yields` (the Async forms) a child that completed at once ends the tick.
    pub(super) fn sequence(&mut self, id: NodeId, node: &Node, go_on: Status, yields: bool) -> Ticked {
        let at = usize::from(id);
        if self.status(id) == NodeStatus::Idle {
            self.state.memory[at].count = 0;
        }
        self.set_status(id, NodeStatus::Running);

        let children = u32::from(node.child_count);
        while self.state.memory[at].index < children {
            let child = self.child(node, self.state.memory[at].index as u16);
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Skipped => {
                    self.state.memory[at].index += 1;
                    self.state.memory[at].count += 1;
                }
                answer if answer == go_on => {
                    self.state.memory[at].index += 1;
                    if yields && before == NodeStatus::Idle && self.state.memory[at].index < children {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                answer => {
                    self.reset_children(node)?;
                    self.state.memory[at].index = 0;
                    return Ok(answer);
                }
            }
        }
        let all_skipped = self.state.memory[at].count == children;
        self.reset_children(node)?;
        self.state.memory[at] = Memory::default();
        Ok(if all_skipped { Status::Skipped } else { go_on })
    }

    /// Goes on after a failure, and after a halt, with the child that it had come to.
    pub(super) fn sequence_with_memory(&mut self, id: NodeId, node: &Node) -> Ticked {
        let at = usize::from(id);
        if self.status(id) == NodeStatus::Idle {
            self.state.memory[at].count = 0;
        }
        self.set_status(id, NodeStatus::Running);

        let children = u32::from(node.child_count);
        while self.state.memory[at].index < children {
            let child = self.child(node, self.state.memory[at].index as u16);
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Failure => {
                    for i in self.state.memory[at].index as u16..node.child_count {
                        self.reset(self.child(node, i))?;
                    }
                    return Ok(Status::Failure);
                }
                Status::Success => {
                    self.state.memory[at].index += 1;
                    if before == NodeStatus::Idle && self.state.memory[at].index < children {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Skipped => {
                    self.state.memory[at].index += 1;
                    self.state.memory[at].count += 1;
                }
            }
        }
        let all_skipped = self.state.memory[at].count == children;
        self.reset_children(node)?;
        self.state.memory[at] = Memory::default();
        Ok(if all_skipped { Status::Skipped } else { Status::Success })
    }

    /// ReactiveSequence (`go_on` = SUCCESS) and ReactiveFallback (`go_on` = FAILURE): from the first child in every tick.
    pub(super) fn reactive(&mut self, id: NodeId, node: &Node, go_on: Status) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        let mut all_skipped = true;
        for i in 0..node.child_count {
            let child = self.child(node, i);
            let answer = self.execute(child)?;
            all_skipped &= answer == Status::Skipped;
            match answer {
                Status::Running => {
                    // The others become idle, so that they start afresh in the next tick.
                    for other in (0..node.child_count).filter(|&other| other != i) {
                        self.reset(self.child(node, other))?;
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
    pub(super) fn parallel(
        &mut self,
        id: NodeId,
        node: &Node,
        success: Int,
        failure: Int,
        done: u32,
    ) -> Ticked {
        let at = usize::from(id);
        let children = node.child_count;
        let success = self.int(id, "success_count", success)?;
        let failure = self.int(id, "failure_count", failure)?;
        let count = |threshold: i64| {
            if threshold < 0 { (i64::from(children) + threshold + 1).max(0) } else { threshold }
        };
        let (needed, fatal) = (count(success), count(failure));
        for (attribute, threshold) in [("success_count", needed), ("failure_count", fatal)] {
            if i64::from(children) < threshold {
                return self.fail(id, TickErrorKind::Threshold { attribute, threshold, children });
            }
        }

        self.set_status(id, NodeStatus::Running);
        let mut skipped = 0;
        for i in 0..children {
            let (word, bit) = (done as usize + usize::from(i / 64), 1 << (i % 64));
            if self.state.done[word] & bit == 0 {
                match self.execute(self.child(node, i))? {
                    Status::Skipped => skipped += 1,
                    Status::Running => {}
                    Status::Success => {
                        self.state.done[word] |= bit;
                        self.state.memory[at].index += 1;
                    }
                    Status::Failure => {
                        self.state.done[word] |= bit;
                        self.state.memory[at].count += 1;
                    }
                }
            }
            let succeeded = i64::from(self.state.memory[at].index);
            let failed = i64::from(self.state.memory[at].count);
            let answer = if succeeded >= needed || success < 0 && succeeded + i64::from(skipped) >= needed {
                Status::Success
            } else if i64::from(children) - failed < needed || failed == fatal {
                Status::Failure
            } else {
                continue;
            };
            self.parallel_clear(id, node, done);
            self.reset_children(node)?;
            return Ok(answer);
        }
        Ok(if skipped == children { Status::Skipped } else { Status::Running })
    }

    pub(super) fn parallel_clear(&mut self, id: NodeId, node: &Node, done: u32) {
        let words = usize::from(node.child_count.div_ceil(64));
        self.state.done[done as usize..done as usize + words].fill(0);
        self.state.memory[usize::from(id)] = Memory::default();
    }

    /// A child that completed goes back to idle.
    pub(super) fn reset_child(&mut self, node: &Node) -> Done {
        self.reset(self.child(node, 0))
    }
}
