//! Leaves that lease a resource. `Lease` itself is made of them, see [`crate::project`].

use swarm_bt::LeafCall;
use swarm_kinematics::JointVector;

use super::cooperate::Patience;
use super::{Behaviour, Context, Failure, Progress};

/// Waits for this role's turn.
#[derive(Debug)]
pub(super) struct Acquire {
    resource: String,
    patience: Patience,
}

impl Acquire {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { resource: call.get("resource")?, patience: Patience::of(call)? })
    }
}

impl Behaviour for Acquire {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.lease(&self.resource).is_some() {
            return Ok(Progress::Done);
        }
        if self.patience.is_over(context.now) {
            let holder = context.cooperation.holder(&self.resource);
            let holder = holder.map_or_else(|| "nobody has it".to_owned(), |role| format!("{role} has it"));
            let seconds = self.patience.seconds();
            return Err(Failure(format!("waited {seconds:.1} s for resource '{}'; {holder}", self.resource)));
        }
        Ok(Progress::Running)
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.release(&self.resource);
    }
}

/// Runs as long as the resource is leased; halted, it gives the resource back once the arm is meant to stand.
#[derive(Debug)]
pub(super) struct Keep {
    resource: String,
}

impl Keep {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { resource: call.get("resource")? })
    }
}

impl Behaviour for Keep {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        match context.cooperation.token(&self.resource) {
            Some(_) => Ok(Progress::Running),
            None => Err(Failure(format!("resource '{}' is not leased to this role", self.resource))),
        }
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.release_at_rest(&self.resource);
    }
}

/// Gives the resource back after what used it has ended by itself: once the arm stands, which a motion that was halted, or has ended at
/// speed, is still braking to. [`Keep`] stands beside it and is asked first, so the ticket goes in this leaf's tick and not between two.
#[derive(Debug)]
pub(super) struct Release {
    resource: String,
}

impl Release {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { resource: call.get("resource")? })
    }
}

impl Behaviour for Release {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        // What was halted in this very tick may have wanted a velocity before.
        let stands = *context.velocity == JointVector::zeros();
        if stands && context.cooperation.give_back(&self.resource) {
            return Ok(Progress::Done);
        }
        Ok(Progress::Running)
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.release_at_rest(&self.resource);
    }
}
