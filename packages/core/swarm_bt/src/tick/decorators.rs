//! Decorators, after `src/decorators/*.cpp` of BehaviorTree.CPP 4.10.0. Timers are looked at when the node is ticked:
//! there is no thread that could act in between.

use swarm_base::{Duration, Time};

use super::{Exec, NodeId, Ticked};
use crate::state::Timer;
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Int, Node};

impl<O: Observer> Exec<'_, O> {
    /// Inverter, ForceSuccess, ForceFailure, SubTree: another answer once the child has completed.
    pub(super) fn mapped(&mut self, id: NodeId, node: &Node, completed: fn(Status) -> Status) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        let answer = self.execute(self.child(node, 0))?;
        if !answer.is_completed() {
            return Ok(answer);
        }
        self.reset_child(node)?;
        Ok(completed(answer))
    }

    pub(super) fn keep_running_until_failure(&mut self, id: NodeId, node: &Node) -> Ticked {
        self.set_status(id, NodeStatus::Running);
        let answer = self.execute(self.child(node, 0))?;
        if answer.is_completed() {
            self.reset_child(node)?;
        }
        // A skipped child keeps it running too.
        Ok(if answer == Status::Failure { Status::Failure } else { Status::Running })
    }

    /// The child again as long as it succeeds, `cycles` times (-1: for ever).
    pub(super) fn repeat(&mut self, id: NodeId, node: &Node, cycles: Int) -> Ticked {
        let at = usize::from(id);
        let cycles = self.int(id, "num_cycles", cycles)?;
        let goes_on = |round: u32| i64::from(round) < cycles || cycles == -1;
        self.set_status(id, NodeStatus::Running);
        let child = self.child(node, 0);
        while goes_on(self.state.memory[at].index) {
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Success => {
                    let round = self.state.memory[at].index.saturating_add(1);
                    self.state.memory[at].index = round;
                    self.reset_child(node)?;
                    if before == NodeStatus::Idle && goes_on(round) {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Failure => {
                    self.state.memory[at].index = 0;
                    self.reset_child(node)?;
                    return Ok(Status::Failure);
                }
                // The round does not count, and the rounds done are kept.
                Status::Skipped => {
                    self.reset_child(node)?;
                    return Ok(Status::Skipped);
                }
            }
        }
        self.state.memory[at].index = 0;
        Ok(Status::Success)
    }

    /// The child again as long as it fails, `attempts` times (-1: for ever).
    pub(super) fn retry(&mut self, id: NodeId, node: &Node, attempts: Int) -> Ticked {
        let at = usize::from(id);
        let mut max = self.int(id, "num_attempts", attempts)?;
        self.set_status(id, NodeStatus::Running);
        let child = self.child(node, 0);
        while i64::from(self.state.memory[at].index) < max || max == -1 {
            let before = self.status(child);
            match self.execute(child)? {
                Status::Running => return Ok(Status::Running),
                Status::Success => {
                    self.state.memory[at].index = 0;
                    self.reset_child(node)?;
                    return Ok(Status::Success);
                }
                Status::Failure => {
                    let tries = self.state.memory[at].index.saturating_add(1);
                    self.state.memory[at].index = tries;
                    // The child may have changed it.
                    max = self.int(id, "num_attempts", attempts)?;
                    self.reset_child(node)?;
                    if before == NodeStatus::Idle && (i64::from(tries) < max || max == -1) {
                        self.state.wake = true;
                        return Ok(Status::Running);
                    }
                }
                Status::Skipped => {
                    self.reset_child(node)?;
                    return Ok(Status::Skipped);
                }
            }
        }
        self.state.memory[at].index = 0;
        Ok(Status::Failure)
    }

    /// Halts a child that still runs after `msec` (0: never) and answers FAILURE.
    pub(super) fn timeout(&mut self, id: NodeId, node: &Node, msec: Int, timer: u32) -> Ticked {
        let msec = self.int(id, "msec", msec)?;
        let child = self.child(node, 0);
        match self.state.timers[timer as usize] {
            Timer::Stopped => {
                self.set_status(id, NodeStatus::Running);
                self.state.timers[timer as usize] =
                    if msec > 0 { Timer::Until(self.after(msec)) } else { Timer::Over };
            }
            Timer::Until(end) if end <= self.now => {
                if self.status(child) == NodeStatus::Running {
                    self.reset_child(node)?;
                    self.stop_timer(timer);
                    return Ok(Status::Failure);
                }
                // The alarm finds nobody to halt, and rings only once.
                self.state.timers[timer as usize] = Timer::Over;
            }
            Timer::Until(_) | Timer::Over => {}
        }
        let answer = self.execute(child)?;
        if answer.is_completed() {
            self.stop_timer(timer);
            self.reset_child(node)?;
        }
        Ok(answer)
    }

    /// Ticks the child from `msec` after the first tick on.
    pub(super) fn delay(&mut self, id: NodeId, node: &Node, msec: Int, timer: u32) -> Ticked {
        let msec = self.int(id, "delay_msec", msec)?;
        if self.state.timers[timer as usize] == Timer::Stopped {
            self.set_status(id, NodeStatus::Running);
            self.state.timers[timer as usize] = Timer::Until(self.after(msec));
        }
        if matches!(self.state.timers[timer as usize], Timer::Until(end) if self.now < end) {
            return Ok(Status::Running);
        }
        self.state.timers[timer as usize] = Timer::Over;
        let answer = self.execute(self.child(node, 0))?;
        if answer.is_completed() {
            self.stop_timer(timer);
            self.reset_child(node)?;
        }
        Ok(answer)
    }

    /// `msec` from now. Negative counts as none, and a time beyond the clock's end as never.
    pub(super) fn after(&self, msec: i64) -> Time {
        let wait = Duration(u64::try_from(msec).unwrap_or(0).saturating_mul(1_000_000));
        Time(self.now.0.saturating_add(wait.0))
    }

    pub(super) fn stop_timer(&mut self, timer: u32) {
        self.state.timers[timer as usize] = Timer::Stopped;
    }
}
