//! Nodes with timers. They are looked at when the node is ticked: there is no thread that could act in between.

use swarm_base::{Duration, Time};

use super::{Exec, NodeId, Ticked};
use crate::state::Timer;
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Int, Node};

impl<O: Observer> Exec<'_, O> {
    /// Halts a child that still runs after `msec` (0: never) and answers FAILURE.
    #[inline(never)]
    pub(super) fn timeout(&mut self, id: NodeId, node: &Node, msec: Int, timer: u32) -> Ticked {
        let msec = self.int(id, "msec", msec)?;
        let child = self.child(id, node)?;
        match self.timer(timer) {
            Timer::Stopped => {
                self.set_status(id, NodeStatus::Running);
                let timing = if msec > 0 { Timer::Until(self.after(msec)) } else { Timer::Over };
                self.set_timer(timer, timing);
            }
            Timer::Until(end) if end <= self.now => {
                if self.status(child) == NodeStatus::Running {
                    self.reset(child)?;
                    self.stop_timer(timer);
                    return Ok(Status::Failure);
                }
                // The alarm finds nobody to halt, and rings only once.
                self.set_timer(timer, Timer::Over);
            }
            Timer::Until(_) | Timer::Over => {}
        }
        let answer = self.execute(child)?;
        if answer.is_completed() {
            self.stop_timer(timer);
            self.reset(child)?;
        }
        Ok(answer)
    }

    /// Ticks the child from `msec` after the first tick on.
    #[inline(never)]
    pub(super) fn delay(&mut self, id: NodeId, node: &Node, msec: Int, timer: u32) -> Ticked {
        let msec = self.int(id, "delay_msec", msec)?;
        let child = self.child(id, node)?;
        if self.timer(timer) == Timer::Stopped {
            self.set_status(id, NodeStatus::Running);
            self.set_timer(timer, Timer::Until(self.after(msec)));
        }
        if self.waits(timer) {
            return Ok(Status::Running);
        }
        self.set_timer(timer, Timer::Over);
        let answer = self.execute(child)?;
        if answer.is_completed() {
            self.stop_timer(timer);
            self.reset(child)?;
        }
        Ok(answer)
    }

    /// A leaf that runs for `msec`.
    #[inline(never)]
    pub(super) fn sleep(&mut self, id: NodeId, msec: Int, timer: u32) -> Ticked {
        if self.status(id) != NodeStatus::Running {
            let msec = self.int(id, "msec", msec)?;
            if msec <= 0 {
                return Ok(Status::Success);
            }
            self.set_timer(timer, Timer::Until(self.after(msec)));
            return Ok(Status::Running);
        }
        if self.waits(timer) {
            return Ok(Status::Running);
        }
        self.stop_timer(timer);
        Ok(Status::Success)
    }

    /// `msec` from now. Negative counts as none, and a time beyond the clock's end as never.
    pub(super) fn after(&self, msec: i64) -> Time {
        let wait = Duration(u64::try_from(msec).unwrap_or(0).saturating_mul(1_000_000));
        Time(self.now.0.saturating_add(wait.0))
    }

    fn waits(&self, timer: u32) -> bool {
        matches!(self.timer(timer), Timer::Until(end) if self.now < end)
    }

    pub(super) fn timer(&self, timer: u32) -> Timer {
        self.state.timers.get(timer as usize).copied().unwrap_or_default()
    }

    pub(super) fn set_timer(&mut self, timer: u32, to: Timer) {
        if let Some(timer) = self.state.timers.get_mut(timer as usize) {
            *timer = to;
        }
    }

    pub(super) fn stop_timer(&mut self, timer: u32) {
        self.set_timer(timer, Timer::Stopped);
    }
}
