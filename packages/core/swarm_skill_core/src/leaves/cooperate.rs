//! Leaves that concern the other roles: phases, holding, aborting. Meetings are in [`super::meet`], leases in [`super::lease`].

use swarm_base::{Duration, Time};
use swarm_bt::LeafCall;

use super::{Behaviour, Context, Failure, Progress, span};
use crate::cooperation::Entry;

/// Waits at most so long, in the tree's time.
#[derive(Debug)]
pub(super) struct Patience {
    timeout: Duration,
    since: Option<Time>,
}

impl Patience {
    pub(super) fn of(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { timeout: span(call, "timeout_s")?, since: None })
    }

    /// Whether it has come to an end.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        let since = *self.since.get_or_insert(now);
        now.since(since) >= self.timeout
    }

    pub(super) fn seconds(&self) -> f64 {
        self.timeout.as_secs_f64()
    }
}

/// Stands at the barrier of a phase until every role has entered it.
#[derive(Debug)]
pub(super) struct EnterPhase {
    phase: String,
    patience: Patience,
}

impl EnterPhase {
    /// `port` names the phase.
    pub(super) fn new(call: &LeafCall<'_>, port: &str) -> Result<Self, Failure> {
        Ok(Self { phase: call.get(port)?, patience: Patience::of(call)? })
    }
}

impl Behaviour for EnterPhase {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.enter(&self.phase)? == Entry::Acting {
            return Ok(Progress::Done);
        }
        if self.patience.is_over(context.now) {
            let missing = context.cooperation.missing_at(&self.phase);
            return Err(Failure(format!(
                "waited {:.1} s at the barrier of phase '{}' for {missing}",
                self.patience.seconds(),
                self.phase
            )));
        }
        Ok(Progress::Running)
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.leave_phase(&self.phase);
    }
}

/// Asks everybody to stand still.
#[derive(Debug)]
pub(super) struct RequestHold {
    reason: String,
}

impl RequestHold {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { reason: call.get("reason")? })
    }
}

impl Behaviour for RequestHold {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.cooperation.set_hold(Some(self.reason.clone()));
        Ok(Progress::Done)
    }
}

/// Takes the wish to hold back.
#[derive(Debug)]
pub(super) struct ReleaseHold;

impl Behaviour for ReleaseHold {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.cooperation.set_hold(None);
        Ok(Progress::Done)
    }
}

/// Ends the run for every role.
#[derive(Debug)]
pub(super) struct AbortRun {
    reason: String,
}

impl AbortRun {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { reason: call.get("reason")? })
    }
}

impl Behaviour for AbortRun {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.cooperation.abort(self.reason.clone());
        Ok(Progress::Done)
    }
}

/// Whether a role is there; while the tree goes on asking, it deals with the loss itself.
#[derive(Debug)]
pub(super) struct RoleLive {
    role: swarm_base::Role,
}

impl RoleLive {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { role: call.get::<String>("role")?.parse()? })
    }
}

impl Behaviour for RoleLive {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.watch(self.role) {
            return Ok(Progress::Done);
        }
        Err(Failure(format!("{} was lost", self.role)))
    }
}
