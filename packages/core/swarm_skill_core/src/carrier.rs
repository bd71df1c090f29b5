//! Carries out the leaves of a role's tree.

use std::collections::HashMap;

use swarm_bt::{Halt, LeafCall, Leaves, Status};

use crate::leaves::{self, Behaviour, Context, Failure, Progress};

/// Carries out the leaves of one tick.
pub(crate) struct Carrier<'a> {
    pub context: Context<'a>,
    pub active: &'a mut HashMap<u16, Box<dyn Behaviour>>,
    /// Those that were interrupted and have not stopped yet.
    pub halting: &'a mut HashMap<u16, Box<dyn Behaviour>>,
    pub last_failure: &'a mut Option<String>,
    /// Name of the safe point up to which a successor's tree is skipped.
    pub skip_to: &'a mut Option<String>,
}

impl Carrier<'_> {
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
        let started = leaves::make(call, &mut self.context).and_then(|mut behaviour| {
            behaviour.look(call)?;
            let progress = behaviour.tick(&mut self.context)?;
            if progress == Progress::Done {
                behaviour.tell(call)?;
            }
            Ok((behaviour, progress))
        });
        match started {
            Ok((behaviour, Progress::Running)) => {
                self.active.insert(call.uid(), behaviour);
                Status::Running
            }
            other => self.answer(call, other.map(|(_, progress)| progress)),
        }
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        let Some(mut behaviour) = self.active.remove(&call.uid()) else {
            return self.answer(call, Err(Failure("was continued without having been started".into())));
        };
        let mut result = behaviour.look(call).and_then(|()| behaviour.tick(&mut self.context));
        if result == Ok(Progress::Running) {
            self.active.insert(call.uid(), behaviour);
        } else if result == Ok(Progress::Done) {
            result = behaviour.tell(call).map(|()| Progress::Done);
        }
        self.answer(call, result)
    }

    /// What a leaf wants of the arm is wanted for one tick only, so that nothing is left of it. What it asked of others may last.
    fn halt(&mut self, call: &mut LeafCall<'_>) -> Halt {
        let Some(mut behaviour) = self.active.remove(&call.uid()) else { return Halt::Done };
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
