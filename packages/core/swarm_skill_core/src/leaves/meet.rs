//! Leaves that meet other roles apart from phases: barriers, quorums, hand-overs, work in step.

use swarm_base::Role;
use swarm_bt::LeafCall;

use super::cooperate::Patience;
use super::{Behaviour, Context, Failure, Progress, number, roles};
use crate::cooperation::Entry;

/// Stands until all the roles named have come and committed themselves.
#[derive(Debug)]
pub(super) struct Barrier {
    meeting: String,
    roles: Vec<Role>,
    patience: Patience,
}

impl Barrier {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self {
            meeting: call.get("meeting")?,
            roles: roles(call, "roles")?,
            patience: Patience::of(call)?,
        })
    }
}

impl Behaviour for Barrier {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.meet(&self.meeting, &self.roles)? == Entry::Acting {
            return Ok(Progress::Done);
        }
        if !self.patience.is_over(context.now) {
            return Ok(Progress::Running);
        }
        let missing = context.cooperation.missing_at_meeting("barrier", &self.meeting, &self.roles);
        let seconds = self.patience.seconds();
        Err(Failure(format!("waited {seconds:.1} s at barrier '{}' for {missing}", self.meeting)))
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.leave_barrier(&self.meeting);
    }
}

/// Stands until so many roles have come.
#[derive(Debug)]
pub(super) struct Quorum {
    meeting: String,
    needed: usize,
    patience: Patience,
}

impl Quorum {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        let needed = number(call, "k", 1.0..=Role::ALL.len() as f64)? as usize;
        Ok(Self { meeting: call.get("meeting")?, needed, patience: Patience::of(call)? })
    }
}

impl Behaviour for Quorum {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if context.cooperation.agree(&self.meeting, self.needed)? == Entry::Acting {
            return Ok(Progress::Done);
        }
        if self.patience.is_over(context.now) {
            let missing = context.cooperation.missing_at_meeting("quorum", &self.meeting, &Role::ALL);
            let seconds = self.patience.seconds();
            return Err(Failure(format!(
                "waited {seconds:.1} s for {} roles at '{}'; missing: {missing}",
                self.needed, self.meeting
            )));
        }
        Ok(Progress::Running)
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.disagree(&self.meeting);
    }
}

/// The two ends of a hand-over; what is between them in the tree opens or closes the gripper.
#[derive(Debug)]
pub(super) struct HandOver {
    item: String,
    from: Role,
    to: Role,
    end: End,
    patience: Patience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Begin,
    /// While this role lets go or takes hold.
    Keep,
    Finish,
}

impl HandOver {
    pub(super) fn new(call: &LeafCall<'_>, end: End) -> Result<Self, Failure> {
        let role = |port| Ok::<Role, Failure>(call.get::<String>(port)?.parse()?);
        let (from, to) = (role("from")?, role("to")?);
        let patience = Patience::of(call)?;
        Ok(Self { item: call.get("item")?, from, to, end, patience })
    }
}

impl Behaviour for HandOver {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let Self { item, from, to, .. } = self;
        if self.end == End::Keep {
            return Ok(Progress::Running);
        }
        let answer = match self.end {
            End::Begin => context.cooperation.begin_hand_over(item, *from, *to),
            End::Keep | End::Finish => context.cooperation.end_hand_over(item, *from, *to),
        };
        if answer? == Entry::Acting {
            return Ok(Progress::Done);
        }
        if !self.patience.is_over(context.now) {
            return Ok(Progress::Running);
        }
        let other = if context.cooperation.me() == *from { to } else { from };
        let seconds = self.patience.seconds();
        Err(Failure(format!("waited {seconds:.1} s for {other} in the hand-over of '{item}'")))
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.leave_hand_over(&self.item, self.from, self.to);
    }
}

/// Reports progress as long as it runs; the role holds when it is ahead.
#[derive(Debug)]
pub(super) struct KeepPace {
    work: String,
    roles: Vec<Role>,
    delta: f64,
    value: f64,
}

impl KeepPace {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self {
            work: call.get("work")?,
            roles: roles(call, "roles")?,
            delta: number(call, "delta", 0.0..=f64::MAX)?,
            value: 0.0,
        })
    }
}

impl Behaviour for KeepPace {
    fn look(&mut self, call: &LeafCall<'_>) -> Result<(), Failure> {
        // Progress that has not been written yet is none.
        self.value = call.get_opt("value")?.unwrap_or(0.0);
        Ok(())
    }

    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.cooperation.keep_pace(&self.work, self.value, self.delta, &self.roles)?;
        Ok(Progress::Running)
    }

    fn take_back(&mut self, context: &mut Context<'_>) {
        context.cooperation.end_pace(&self.work);
    }
}
