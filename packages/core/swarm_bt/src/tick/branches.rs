//! Control nodes that choose: one child says which of the others is ticked.

use super::{Exec, NodeId, TickErrorKind, Ticked};
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Mode, Node};

impl<O: Observer> Exec<'_, O> {
    /// The first child decides once; then the second is ticked until it completes, or the third.
    pub(super) fn if_then_else(&mut self, id: NodeId, node: &Node) -> Ticked {
        let at = usize::from(id);
        self.set_status(id, NodeStatus::Running);
        if self.state.memory[at].index == 0 {
            let branch = match self.execute(self.child(node, 0))? {
                Status::Running => return Ok(Status::Running),
                Status::Skipped => return self.skipped_condition(id, node, "IfThenElse"),
                Status::Success => 1,
                Status::Failure if node.child_count > 2 => 2,
                Status::Failure => {
                    // The original leaves its condition completed: an action stays so, and repeats its answer, for ever.
                    if self.tree.mode == Mode::Strict {
                        self.reset_children(node)?;
                    }
                    return Ok(Status::Failure);
                }
            };
            self.state.memory[at].index = branch;
        }
        let answer = self.execute(self.child(node, self.state.memory[at].index as u16))?;
        if answer != Status::Running {
            self.reset_children(node)?;
            self.state.memory[at].index = 0;
        }
        Ok(answer)
    }

    /// As IfThenElse, but the condition is looked at in every tick, and a branch that is no longer wanted halts.
    pub(super) fn while_do_else(&mut self, id: NodeId, node: &Node) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        let (wanted, other) = match self.execute(self.child(node, 0))? {
            Status::Running => return Ok(Status::Running),
            Status::Skipped => return self.skipped_condition(id, node, "WhileDoElse"),
            Status::Success => (1, 2),
            Status::Failure => (2, 1),
        };
        if node.child_count > 2 {
            self.reset(self.child(node, other))?;
        }
        let answer =
            if wanted < node.child_count { self.execute(self.child(node, wanted))? } else { Status::Failure };
        if answer != Status::Running {
            self.reset_children(node)?;
        }
        Ok(answer)
    }

    /// Nothing has been decided, so that no branch may be taken. The original throws.
    fn skipped_condition(&mut self, id: NodeId, node: &Node, name: &'static str) -> Ticked {
        match self.tree.mode {
            Mode::Compat => self.fail(id, TickErrorKind::SkippedCondition { node: name }),
            Mode::Strict => {
                self.reset_children(node)?;
                Ok(Status::Skipped)
            }
        }
    }
}
