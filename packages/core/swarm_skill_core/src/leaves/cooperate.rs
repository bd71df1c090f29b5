//! Leaves that concern the other roles.

use swarm_base::{Duration, Time};
use swarm_bt::LeafCall;

use super::{Behaviour, Context, Failure, Progress, span};
use crate::cooperation::Entry;

/// Stands at the barrier of a phase until every role has entered it.
#[derive(Debug)]
pub(super) struct EnterPhase {
    phase: String,
    timeout: Duration,
    since: Option<Time>,
}

impl EnterPhase {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self { phase: call.get("phase")?, timeout: span(call, "timeout_s")?, since: None })
    }
}

impl Behaviour for EnterPhase {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.enter(&self.phase)? == Entry::Acting {
            return Ok(Progress::Done);
        }
        let since = *self.since.get_or_insert(context.now);
        if context.now.since(since) >= self.timeout {
            let waited = self.timeout.as_secs_f64();
            let missing = context.cooperation.missing_at(&self.phase);
            return Err(Failure(format!(
                "waited {waited:.1} s at the barrier of phase '{}' for {missing}",
                self.phase
            )));
        }
        Ok(Progress::Running)
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
