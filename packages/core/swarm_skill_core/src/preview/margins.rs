//! How near a run comes to the limits of an envelope.

use std::fmt;

use nalgebra::Point3;
use swarm_base::Duration;
use swarm_kinematics::{ArmCapsules, closest};
use swarm_safety_core::{ArmConfig, Config, RobotLimits};

use super::Place;
use crate::run::Run;
use crate::twin::{Twin, TwinArm};

/// A limit of the envelope that a twin can be measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// rad, least distance to the end of a joint's range.
    JointPosition,
    /// rad/s
    JointVelocity,
    /// m/s
    ToolSpeed,
    /// m/s
    ElbowSpeed,
    /// m, between the links of two robots.
    Separation,
    /// m, between the links of one robot.
    SelfSeparation,
    /// m, between links and fixtures.
    FixtureSeparation,
    /// m, depth of the tool centre point in the workspace.
    Workspace,
    /// m, distance of the tool centre point to the boxes and planes that it stays out of.
    KeepOut,
}

/// The worst that a limit sees of a robot.
#[derive(Clone, Debug, PartialEq)]
pub struct Margin {
    pub limit: Limit,
    pub robot: String,
    /// The joint, or the other robot.
    pub with: Option<String>,
    pub value: f64,
    pub allowed: f64,
    pub place: Place,
}

impl Limit {
    pub fn unit(self) -> &'static str {
        match self {
            Self::JointPosition => "rad",
            Self::JointVelocity => "rad/s",
            Self::ToolSpeed | Self::ElbowSpeed => "m/s",
            Self::Separation
            | Self::SelfSeparation
            | Self::FixtureSeparation
            | Self::Workspace
            | Self::KeepOut => "m",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::JointPosition => "joint position",
            Self::JointVelocity => "joint velocity",
            Self::ToolSpeed => "tool speed",
            Self::ElbowSpeed => "elbow speed",
            Self::Separation => "separation",
            Self::SelfSeparation => "self separation",
            Self::FixtureSeparation => "fixture separation",
            Self::Workspace => "workspace",
            Self::KeepOut => "keep-out",
        }
    }

    /// Whether the value must not be above what is allowed; else it must not be below.
    fn is_ceiling(self) -> bool {
        matches!(self, Self::JointVelocity | Self::ToolSpeed | Self::ElbowSpeed)
    }
}

impl Margin {
    /// What is left of the limit, in its unit; below zero it is broken.
    pub fn margin(&self) -> f64 {
        if self.limit.is_ceiling() { self.allowed - self.value } else { self.value - self.allowed }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, robot, with, value, allowed, place } = self;
        write!(f, "{} of {robot}", limit.name())?;
        if let Some(with) = with {
            write!(f, " ({with})")?;
        }
        let bound = if limit.is_ceiling() { "at most" } else { "at least" };
        write!(f, " is {value:.3} {}, {bound} {allowed:.3} {place}", limit.unit())
    }
}

/// The worst so far.
pub(super) struct Margins<'a> {
    config: &'a Config,
    /// Place of each role's robot in the cell.
    robots: &'a [usize],
    /// By the order in which they were first met.
    worst: Vec<Margin>,
}

/// A value of now, before anybody knows whether it is the worst.
struct Found {
    limit: Limit,
    with: Option<String>,
    value: f64,
    allowed: f64,
}

impl<'a> Margins<'a> {
    pub(super) fn new(config: &'a Config, robots: &'a [usize]) -> Self {
        Self { config, robots, worst: Vec::new() }
    }

    /// Looks at all arms.
    pub(super) fn look(&mut self, twin: &Twin, run: &Run, at: Duration) {
        let capsules: Vec<ArmCapsules> =
            twin.arms().iter().map(|arm| arm.arm.capsules(&arm.arm.forward(&arm.q))).collect();
        for (index, arm) in twin.arms().iter().enumerate() {
            let robot = self.robots[index];
            let own = &self.config.arms()[robot];
            let mut found = Vec::new();
            self.look_at_arm(arm, own, &self.config.in_force().robots[robot], &capsules[index], &mut found);
            let others = capsules.iter().enumerate().filter(|(other, _)| *other != index);
            for (other, theirs) in others {
                found.push(Found {
                    limit: Limit::Separation,
                    with: Some(self.config.arms()[self.robots[other]].name.clone()),
                    value: closest(&capsules[index], theirs).distance,
                    allowed: self.config.in_force().cell.min_separation_m,
                });
            }
            for found in found {
                self.take(index, &found, run, at);
            }
        }
    }

    /// By limit, then robot.
    pub(super) fn into_worst(mut self) -> Vec<Margin> {
        self.worst.sort_by(|a, b| (a.limit, &a.robot, &a.with).cmp(&(b.limit, &b.robot, &b.with)));
        self.worst
    }

    fn look_at_arm(
        &self,
        arm: &TwinArm,
        own: &ArmConfig,
        limits: &RobotLimits,
        capsules: &ArmCapsules,
        found: &mut Vec<Found>,
    ) {
        let cell = &self.config.in_force().cell;
        let poses = arm.arm.forward(&arm.q);
        let velocities = arm.arm.velocities(&poses, &arm.qd);
        let tool = Point3::from(arm.arm.tool(&poses).translation.vector);
        let mut note =
            |limit, value: f64, allowed: f64| found.push(Found { limit, with: None, value, allowed });
        note(
            Limit::ToolSpeed,
            arm.arm.tool_twist(&poses, &arm.qd).fixed_rows::<3>(0).norm(),
            limits.tcp_speed_m_s,
        );
        // A body's origin lies on the axis of its joint.
        note(Limit::ElbowSpeed, velocities.of_body(own.elbow_joint + 1).norm(), limits.elbow_speed_m_s);
        note(Limit::SelfSeparation, arm.arm.self_distance(capsules).distance, cell.self_separation_m);
        note(Limit::FixtureSeparation, self.fixture_gap(arm, capsules), cell.fixture_separation_m);
        if !limits.workspace.as_slice().is_empty() {
            note(Limit::Workspace, limits.workspace.depth(&tool), 0.0);
        }
        note(Limit::KeepOut, limits.planes.depth(&tool).min(-limits.keep_out.depth(&tool)), 0.0);
        for joint in 0..arm.arm.dof() {
            let with = || Some(arm.arm.joints()[joint].name.clone());
            let (q, qd) = (arm.q[joint], arm.qd[joint].abs());
            let room = (q - limits.joints.lower[joint]).min(limits.joints.upper[joint] - q);
            found.push(Found { limit: Limit::JointPosition, with: with(), value: room, allowed: 0.0 });
            let allowed = limits.joints.velocity[joint];
            found.push(Found { limit: Limit::JointVelocity, with: with(), value: qd, allowed });
        }
    }

    /// As the safety decision measures it: tools may touch what they are allowed to, and a base stands where it stands.
    fn fixture_gap(&self, arm: &TwinArm, capsules: &ArmCapsules) -> f64 {
        let mut nearest = f64::INFINITY;
        for known in self.config.in_force().fixtures.as_slice() {
            for (link, capsule) in arm.arm.link_capsules().iter().zip(capsules.as_slice()) {
                if link.body > 0 && !(link.of_tool && known.tool_may_touch) {
                    nearest = nearest.min(known.obstacle.gap(capsule));
                }
            }
        }
        nearest
    }

    /// Keeps it if it is worse than what is known of its limit and robot. Joints and other robots are one limit: the worst is named.
    fn take(&mut self, index: usize, found: &Found, run: &Run, at: Duration) {
        // A limit that nothing can break, as the distance to fixtures where there are none.
        if found.value == f64::INFINITY || found.allowed == f64::INFINITY {
            return;
        }
        let robot = &self.config.arms()[self.robots[index]].name;
        let executor = &run.executors()[index];
        let known = self.worst.iter_mut().find(|known| known.limit == found.limit && known.robot == *robot);
        let new = || {
            let state = executor.state();
            Margin {
                limit: found.limit,
                robot: robot.clone(),
                with: found.with.clone(),
                value: found.value,
                allowed: found.allowed,
                place: Place {
                    at,
                    role: state.role,
                    phase: state.phase,
                    node: executor.active_nodes().last().unwrap_or_default().to_owned(),
                },
            }
        };
        match known {
            None => self.worst.push(new()),
            Some(known) => {
                let margin = if found.limit.is_ceiling() {
                    found.allowed - found.value
                } else {
                    found.value - found.allowed
                };
                // Not a number is worse than everything.
                if margin.is_nan() || margin < known.margin() {
                    *known = new();
                }
            }
        }
    }
}
