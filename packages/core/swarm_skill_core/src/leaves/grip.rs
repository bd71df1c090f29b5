//! Leaves that move the fingers.

use swarm_base::{Duration, Time};
use swarm_bt::LeafCall;

use super::{Behaviour, Context, Failure, Progress, number, span};
use crate::role_io::{GripperSample, GripperTarget};
use crate::role_spec::stale;

/// The fingers count as there within this of the commanded width.
const WIDTH_TOLERANCE_M: f64 = 0.002;

/// A grip or an opening has to last this long: fingers that pass the width on their way are not there yet.
const SETTLED: Duration = Duration::from_millis(150);

/// Closes until a part is held, or opens to a width. What the gripper was before says nothing about that, and neither does one that has
/// fallen silent.
#[derive(Debug)]
pub(super) struct Fingers {
    target: GripperTarget,
    wants: Wants,
    timeout: Duration,
    started: Time,
    /// The same moment by the clock of measurements.
    commanded: Time,
    settled_since: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Part,
    Width,
}

impl Fingers {
    pub(super) fn grip(call: &LeafCall<'_>, context: &mut Context<'_>) -> Result<Self, Failure> {
        Self::new(call, context, Wants::Part)
    }

    pub(super) fn release(call: &LeafCall<'_>, context: &mut Context<'_>) -> Result<Self, Failure> {
        Self::new(call, context, Wants::Width)
    }

    fn new(call: &LeafCall<'_>, context: &mut Context<'_>, wants: Wants) -> Result<Self, Failure> {
        let target = GripperTarget {
            width_m: number(call, "width", 0.0..=0.5)?,
            force_n: number(call, "force", 0.0..=500.0)?,
        };
        context.body.memory.gripper = Some(target);
        Ok(Self {
            target,
            wants,
            timeout: span(call, "timeout_s")?,
            started: context.now,
            commanded: context.clock,
            settled_since: None,
        })
    }

    fn is_there(&self, gripper: &GripperSample) -> bool {
        let is_there = match self.wants {
            Wants::Part => gripper.holding,
            Wants::Width => (gripper.width_m - self.target.width_m).abs() <= WIDTH_TOLERANCE_M,
        };
        is_there && gripper.at >= self.commanded
    }
}

impl Behaviour for Fingers {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let gripper = context.inputs.gripper;
        let age = gripper.map(|gripper| context.clock.since(gripper.at)).unwrap_or_default();
        if let Some(stale) = stale("the gripper's state", age, context.body.input_timeout) {
            return Err(Failure(stale));
        }
        if gripper.as_ref().is_some_and(|gripper| self.is_there(gripper)) {
            let since = *self.settled_since.get_or_insert(context.now);
            if context.now.since(since) >= SETTLED {
                return Ok(Progress::Done);
            }
        } else {
            self.settled_since = None;
        }
        if context.now.since(self.started) < self.timeout {
            return Ok(Progress::Running);
        }
        let Some(gripper) = gripper else {
            return Err(Failure("the gripper's state has not been heard".into()));
        };
        let wanted = match self.wants {
            Wants::Part => "a part between them".to_owned(),
            Wants::Width => format!("{:.1} mm", self.target.width_m * 1e3),
        };
        let (width, waited) = (gripper.width_m * 1e3, self.timeout.as_secs_f64());
        Err(Failure(format!("the fingers are {width:.1} mm apart after {waited:.1} s, expected {wanted}")))
    }
}
