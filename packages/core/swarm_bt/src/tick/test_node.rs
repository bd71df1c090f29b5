//! Test nodes: what substitution rules put in the place of others.

use super::{Exec, NodeId, TickErrorKind, Ticked};
use crate::state::Timer;
use crate::status::{NodeStatus, Observer, Status};
use crate::substitute::status;
use crate::tree::{Answer, TestLeaf};
use crate::value::{PortType, Value};

impl<O: Observer> Exec<'_, O> {
    #[inline(never)]
    pub(super) fn test_node(&mut self, id: NodeId, test: u16, timer: u32) -> Ticked {
        let tree = self.tree;
        let Some(test) = tree.tests.get(usize::from(test)) else { return self.broken(id) };
        match (self.status(id), self.timer(timer)) {
            (NodeStatus::Idle, _) if test.delay_ms > 0 => {
                self.set_timer(timer, Timer::Until(self.after(test.delay_ms)));
                return Ok(Status::Running);
            }
            (NodeStatus::Idle, _) => {}
            (NodeStatus::Running, Timer::Until(end)) if self.now >= end => {}
            // One that waits, or whose answer is RUNNING.
            (NodeStatus::Running, _) => return Ok(Status::Running),
            // A completed action that nobody has reset repeats its answer.
            (NodeStatus::Success, _) => return Ok(Status::Success),
            (NodeStatus::Failure, _) => return Ok(Status::Failure),
        }
        let answer = self.complete_test(id, test)?;
        if answer != Status::Running {
            self.stop_timer(timer);
        }
        Ok(answer)
    }

    fn complete_test(&mut self, id: NodeId, test: &TestLeaf) -> Ticked {
        let answer = match test.answer {
            Answer::Always(status) => status,
            Answer::Script(script) => {
                let value = self.value_of(id, script)?;
                match meant(&value) {
                    Some(answer) => answer,
                    None => return self.fail(id, TickErrorKind::Answer { found: value.to_string() }),
                }
            }
        };
        match answer {
            Status::Success => self.script(id, test.on_success)?,
            Status::Failure => self.script(id, test.on_failure)?,
            Status::Running | Status::Skipped => {}
        }
        self.script(id, test.post)?;
        Ok(answer)
    }
}

/// The status that a value of a script stands for: by name, or by the number that the original gives it.
fn meant(value: &Value) -> Option<Status> {
    if let Value::Str(name) = value {
        return status(name);
    }
    match value.convert(PortType::Int) {
        Ok(Value::Int(1)) => Some(Status::Running),
        Ok(Value::Int(2)) => Some(Status::Success),
        Ok(Value::Int(3)) => Some(Status::Failure),
        Ok(Value::Int(4)) => Some(Status::Skipped),
        _ => None,
    }
}
