//! Leaves that look and feel.

use nalgebra::Vector3;
use swarm_base::{Duration, Role, Time};
use swarm_bt::LeafCall;

use super::{Behaviour, Context, Failure, Progress, number, span};
use crate::body::to_isometry;
use crate::insertion::{MeanPose, MeanWrench};

/// Averages sightings of a part that stands still, in the world or in the gripper.
#[derive(Debug)]
pub(super) struct Locate {
    part: String,
    held: bool,
    samples: u32,
    timeout: Duration,
    started: Time,
    /// When the image of the last sighting that counted was taken; only later ones are new.
    last: Time,
    mean: MeanPose,
}

impl Locate {
    pub(super) fn in_world(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        Self::new(call, context, false)
    }

    pub(super) fn in_tool(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        Self::new(call, context, true)
    }

    fn new(call: &LeafCall<'_>, context: &Context<'_>, held: bool) -> Result<Self, Failure> {
        let part: String = call.get("part")?;
        let samples: i64 = call.get("samples")?;
        let samples = u32::try_from(samples)
            .ok()
            .filter(|samples| (1..=1000).contains(samples))
            .ok_or_else(|| Failure(format!("port 'samples' is {samples}, expected 1 to 1000")))?;
        Ok(Self {
            part,
            held,
            samples,
            timeout: span(call, "timeout_s")?,
            started: context.now,
            // Images from before the arm came to rest do not count, even if they are heard only now.
            last: context.clock,
            mean: MeanPose::default(),
        })
    }
}

impl Behaviour for Locate {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let fresh = context
            .inputs
            .parts
            .iter()
            .find(|sighting| sighting.part == self.part && sighting.at > self.last);
        if let Some(sighting) = fresh {
            self.last = sighting.at;
            let frame = if self.held {
                to_isometry(&context.body.tool_in_world(context.inputs)).inverse()
            } else {
                nalgebra::Isometry3::identity()
            };
            self.mean.add(&(frame * sighting.in_world));
        }
        if let Some(pose) = self.mean.get().filter(|_| self.mean.count() >= self.samples) {
            let memory = &mut context.body.memory;
            let store = if self.held { &mut memory.held } else { &mut memory.located };
            store.insert(self.part.clone(), pose);
            return Ok(Progress::Done);
        }
        if context.now.since(self.started) >= self.timeout {
            return Err(Failure(format!(
                "part '{}' was seen {} times in {:.1} s, expected {}",
                self.part,
                self.mean.count(),
                self.timeout.as_secs_f64(),
                self.samples
            )));
        }
        Ok(Progress::Running)
    }
}

/// Makes the present wrench the zero of contact forces.
#[derive(Debug)]
pub(super) struct Tare {
    duration: Duration,
    started: Time,
    last: Option<Time>,
    mean: MeanWrench,
}

impl Tare {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        Ok(Self {
            duration: span(call, "duration_s")?,
            started: context.now,
            last: None,
            mean: MeanWrench::default(),
        })
    }
}

impl Behaviour for Tare {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let wrench = &context.inputs.wrench;
        if self.last.is_none_or(|last| wrench.at > last) {
            self.last = Some(wrench.at);
            self.mean.add(&wrench.flange);
        }
        if context.now.since(self.started) < self.duration || self.mean.count() < 2 {
            return Ok(Progress::Running);
        }
        let tare = self.mean.get().expect("it has two wrenches");
        let weight = context.body.tool.weight(&context.body.flange_in_world(context.inputs));
        context.body.memory.tare = tare;
        context.body.memory.bias = std::array::from_fn(|i| tare[i] - weight[i]);
        Ok(Progress::Done)
    }
}

/// Waits until something pushes.
#[derive(Debug)]
pub(super) struct WaitForce {
    min_n: f64,
    timeout: Duration,
    started: Time,
}

impl WaitForce {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        Ok(Self {
            min_n: number(call, "min_n", 0.0..=1e4)?,
            timeout: span(call, "timeout_s")?,
            started: context.now,
        })
    }
}

impl Behaviour for WaitForce {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let force = context.body.contact_force_in_world(context.inputs).norm();
        if force >= self.min_n {
            return Ok(Progress::Done);
        }
        if context.now.since(self.started) >= self.timeout {
            let waited = self.timeout.as_secs_f64();
            return Err(Failure(format!(
                "contact force {force:.1} N after {waited:.1} s, expected {:.1} N",
                self.min_n
            )));
        }
        Ok(Progress::Running)
    }
}

/// Whether the contact force of a role, this one's own by default, is below a limit.
#[derive(Debug)]
pub(super) struct ForceBelow {
    role: Option<Role>,
    limit_n: f64,
}

impl ForceBelow {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        let role: String = call.get("role")?;
        let role = if role.is_empty() { None } else { Some(role.parse::<Role>()?) };
        Ok(Self { role, limit_n: number(call, "limit_n", 0.0..=1e4)? })
    }
}

impl Behaviour for ForceBelow {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let cooperation = &context.cooperation;
        let (who, report) = match self.role.filter(|role| *role != cooperation.me()) {
            None => (cooperation.me(), Some(cooperation.own_report())),
            Some(role) => (role, cooperation.peer(role)),
        };
        let report = report.ok_or_else(|| Failure(format!("role '{who}' takes no part in this run")))?;
        if report.contact_force_n < self.limit_n {
            return Ok(Progress::Done);
        }
        Err(Failure(format!(
            "contact force of {who} is {:.1} N, the limit {:.1} N",
            report.contact_force_n, self.limit_n
        )))
    }
}

/// Whether two parts are seen one above the other: offset across the other's z axis, and angle between the z axes.
#[derive(Debug)]
pub(super) struct CheckAlignment {
    part: String,
    relative_to: String,
    max_offset_m: f64,
    max_tilt_rad: f64,
    /// Parts whose origins are further apart than this, m, are not judged yet.
    within_m: f64,
}

/// Older sightings say nothing about now.
const SEEN_WITHIN: Duration = Duration::from_millis(1_000);

impl CheckAlignment {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Ok(Self {
            part: call.get("part")?,
            relative_to: call.get("relative_to")?,
            max_offset_m: number(call, "max_offset_m", 0.0..=1.0)?,
            max_tilt_rad: number(call, "max_tilt_rad", 0.0..=3.2)?,
            within_m: number(call, "within_m", 0.0..=1000.0)?,
        })
    }
}

impl Behaviour for CheckAlignment {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let newest = context.inputs.joints.at;
        let oldest = Time(newest.0.saturating_sub(SEEN_WITHIN.0));
        let seen = |part: &str| {
            context.body.memory.recent_pose(part, oldest).ok_or_else(|| {
                Failure(format!(
                    "part '{part}' has not been seen often enough within {:.1} s",
                    SEEN_WITHIN.as_secs_f64()
                ))
            })
        };
        let relative = seen(&self.relative_to)?.inverse() * seen(&self.part)?;
        let offset = relative.translation.vector.xy().norm();
        let tilt = (relative.rotation * Vector3::z()).angle(&Vector3::z());
        if relative.translation.vector.norm() > self.within_m {
            return Ok(Progress::Done);
        }
        if offset <= self.max_offset_m && tilt <= self.max_tilt_rad {
            return Ok(Progress::Done);
        }
        Err(Failure(format!(
            "'{}' is {:.1} mm beside '{}' and tilted by {:.3} rad, expected at most {:.1} mm and {:.3} rad",
            self.part,
            offset * 1e3,
            self.relative_to,
            tilt,
            self.max_offset_m * 1e3,
            self.max_tilt_rad
        )))
    }
}
