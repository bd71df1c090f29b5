//! Carries out the leaves of a role's tree.
//!
//! The engine ticks a tree again while it settles, several times within one tick of the role. Conditions and leaves that start take part
//! in that; a leaf that is under way does not: no time has passed for it, and a motion that went on by a whole tick each time would be
//! several times as fast as it may be.

use std::collections::HashMap;

use swarm_bt::{Halt, LeafCall, Leaves, Status};
use swarm_kinematics::JointVector;

use crate::leaves::{self, Behaviour, Context, Failure, Progress};

/// A leaf that is under way.
#[derive(Debug)]
pub(crate) struct Active {
    behaviour: Box<dyn Behaviour>,
    /// The role's tick in which it was ticked last.
    ticked: u64,
    /// What it then wanted of the joints.
    wish: Option<JointVector>,
}

/// Carries out the leaves of one tick.
pub(crate) struct Carrier<'a> {
    pub context: Context<'a>,
    /// Number of the role's tick.
    pub tick: u64,
    pub active: &'a mut HashMap<u16, Active>,
    /// Those that were interrupted and have not stopped yet.
    pub halting: &'a mut HashMap<u16, Box<dyn Behaviour>>,
    pub last_failure: &'a mut Option<String>,
    /// Name of the safe point up to which a successor's tree is skipped.
    pub skip_to: &'a mut Option<String>,
}

impl Carrier<'_> {
    /// Ticks a behaviour, and keeps it if it has not ended.
    fn carry_on(&mut self, call: &mut LeafCall<'_>, mut behaviour: Box<dyn Behaviour>) -> Status {
        self.context.wish = None;
        let mut result = behaviour.look(call).and_then(|()| behaviour.tick(&mut self.context));
        let wish = self.context.wish;
        self.want(wish);
        match result {
            Ok(Progress::Running) => {
                self.active.insert(call.uid(), Active { behaviour, ticked: self.tick, wish });
            }
            Ok(Progress::Done) => result = behaviour.tell(call).map(|()| Progress::Done),
            Err(_) => behaviour.take_back(&mut self.context),
        }
        self.answer(call, result)
    }

    fn want(&mut self, wish: Option<JointVector>) {
        if let Some(wish) = wish {
            *self.context.velocity = wish;
        }
    }

    fn answer(&mut self, call: &LeafCall<'_>, result: Result<Progress, Failure>) -> Status {
        match result {
            Ok(Progress::Running) => Status::Running,
            Ok(Progress::Done) => Status::Success,
            Err(Failure(reason)) => {
                *self.last_failure = Some(describe(call, &reason));
                Status::Failure
            }
        }
    }
}

impl Leaves for Carrier<'_> {
    fn start(&mut self, call: &mut LeafCall<'_>) -> Status {
        if let Some(point) = &self.skip_to {
            let here =
                call.id() == "SafePoint" && call.get::<String>("point").is_ok_and(|name| name == *point);
            if !here {
                return Status::Success;
            }
            *self.skip_to = None;
        }
        match leaves::make(call, &mut self.context) {
            Ok(behaviour) => self.carry_on(call, behaviour),
            Err(failure) => self.answer(call, Err(failure)),
        }
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        match self.active.remove(&call.uid()) {
            Some(active) if active.ticked == self.tick => {
                // Another leaf may have wanted something else meanwhile: the later one in the tree has the last word.
                self.want(active.wish);
                self.active.insert(call.uid(), active);
                Status::Running
            }
            Some(active) => self.carry_on(call, active.behaviour),
            None => self.answer(call, Err(Failure("was continued without having been started".into()))),
        }
    }

    /// What a leaf wants of the arm is wanted for one tick only, so that nothing is left of it. What it asked of others may last.
    fn halt(&mut self, call: &mut LeafCall<'_>) -> Halt {
        let Some(Active { mut behaviour, .. }) = self.active.remove(&call.uid()) else { return Halt::Done };
        let halt = behaviour.halted(&mut self.context);
        if halt == Halt::Pending {
            self.halting.insert(call.uid(), behaviour);
        }
        halt
    }

    fn halting(&mut self, call: &mut LeafCall<'_>) -> Halt {
        let Some(behaviour) = self.halting.get_mut(&call.uid()) else { return Halt::Done };
        let halt = behaviour.halting(&mut self.context);
        if halt == Halt::Done {
            self.halting.remove(&call.uid());
        }
        halt
    }
}

/// A failure with the leaf that it comes from: its own name first, where the tree gives it one.
fn describe(call: &LeafCall<'_>, reason: &str) -> String {
    let (name, id) = (call.name(), call.id());
    if name == id || name.is_empty() { format!("{id}: {reason}") } else { format!("{id} '{name}': {reason}") }
}
