//! A kinematic twin of a cell: arms go where they are told at once, a part in closed fingers goes with them, nothing pushes.
//!
//! It answers a run as a cell would that follows perfectly: [`Twin::inputs`] is what is measured, [`Twin::advance`] moves on. What it
//! leaves out is contact. Parts pass through each other and through arms, the wrench is the weight of the tool, and a leaf that waits
//! for a force waits until its time-out.
//!
//! A part is held by fingers that close at one of its grasps. Where nobody has said what its grasps are, closing fingers take the
//! nearest part whose origin is within [`REACH_M`], and stop where they are: that is enough for what comes after a grip.

use std::sync::Arc;

use nalgebra::{Isometry3, Point3};
use swarm_base::{Duration, Time};
use swarm_kinematics::{ArmModel, JointVector, Load};

use crate::body::to_isometry;
use crate::role_io::{GripperSample, JointSample, PartSighting, RoleInputs, RoleOutputs, WrenchSample};

/// How far a part's origin may be from fingers that take it, where its grasps are not known, m.
pub const REACH_M: f64 = 0.25;

/// A grasp is met within this, m.
const GRASP_M: f64 = 0.004;

/// Of the fingers against each other, m/s.
const FINGER_SPEED_M_PER_S: f64 = 0.1;

/// Between two images, as of a camera with 25 of them per second.
const IMAGE_PERIOD: Duration = Duration::from_millis(40);

/// Fingers before the first command, m.
const OPENING_M: f64 = 0.04;

/// A cell without physics.
#[derive(Clone, Debug)]
pub struct Twin {
    arms: Vec<TwinArm>,
    parts: Vec<TwinPart>,
}

/// An arm of the twin.
#[derive(Clone, Debug)]
pub struct TwinArm {
    pub arm: Arc<ArmModel>,
    pub tool: Load,
    /// rad and rad/s, base to flange.
    pub q: JointVector,
    pub qd: JointVector,
    /// Between the fingers, m.
    pub width_m: f64,
    holds: Option<Held>,
}

/// A part that can be seen and held.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinPart {
    pub name: String,
    pub in_world: Isometry3<f64>,
    pub grasps: Grasps,
}

/// Where fingers find a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Grasps {
    /// Within [`REACH_M`] of its origin.
    Anywhere,
    /// At these points of its frame, each with the width that the fingers then have, m.
    At(Vec<(Point3<f64>, f64)>),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    part: usize,
    in_tool: Isometry3<f64>,
    width_m: f64,
}

impl TwinArm {
    /// At rest.
    pub fn new(arm: Arc<ArmModel>, tool: Load, q: JointVector) -> Self {
        Self { arm, tool, q, qd: JointVector::zeros(), width_m: OPENING_M, holds: None }
    }

    pub fn tool_in_world(&self) -> Isometry3<f64> {
        to_isometry(&self.arm.tool(&self.arm.forward(&self.q)))
    }
}

impl Twin {
    pub fn new(arms: Vec<TwinArm>, parts: Vec<TwinPart>) -> Self {
        Self { arms, parts }
    }

    pub fn arms(&self) -> &[TwinArm] {
        &self.arms
    }

    pub fn parts(&self) -> &[TwinPart] {
        &self.parts
    }

    /// Where a part is; `None` if there is none of that name.
    pub fn part_in_world(&self, name: &str) -> Option<Isometry3<f64>> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.in_world)
    }

    pub fn part_mut(&mut self, name: &str) -> Option<&mut TwinPart> {
        self.parts.iter_mut().find(|part| part.name == name)
    }

    /// What is measured of an arm, and seen of all parts.
    pub fn inputs(&self, arm: usize, now: Time) -> RoleInputs {
        let TwinArm { arm, tool, q, qd, width_m, holds } = &self.arms[arm];
        let flange = arm.flange(&arm.forward(q));
        let seen_at = Time(now.0 - now.0 % IMAGE_PERIOD.0);
        let seen =
            |part: &TwinPart| PartSighting { part: part.name.clone(), in_world: part.in_world, at: seen_at };
        RoleInputs {
            joints: JointSample { q: *q, qd: *qd, at: now },
            wrench: WrenchSample { flange: tool.weight(&flange).into(), at: now },
            gripper: Some(GripperSample {
                width_m: *width_m,
                force_n: 0.0,
                holding: holds.is_some(),
                at: now,
            }),
            parts: self.parts.iter().map(seen).collect(),
            words: Vec::new(),
            topics: Vec::new(),
        }
    }

    /// An arm does what is wanted of it for `dt` seconds.
    pub fn advance(&mut self, arm: usize, wish: &RoleOutputs, dt: f64) {
        let one = &mut self.arms[arm];
        one.qd = wish.velocity;
        one.q += wish.velocity * dt;
        let tool = one.tool_in_world();
        if let Some(target) = wish.gripper {
            self.move_fingers(arm, target.width_m, &tool, FINGER_SPEED_M_PER_S * dt);
        }
        if let Some(held) = self.arms[arm].holds {
            self.parts[held.part].in_world = tool * held.in_tool;
        }
    }

    fn move_fingers(&mut self, arm: usize, width_m: f64, tool: &Isometry3<f64>, step_m: f64) {
        let one = &self.arms[arm];
        let found = match one.holds {
            Some(held) => Some(held),
            None if width_m < one.width_m => self.between_fingers(arm, tool),
            None => None,
        };
        let one = &mut self.arms[arm];
        let stop_m = found.map_or(0.0, |held| held.width_m);
        one.width_m += (width_m.max(stop_m) - one.width_m).clamp(-step_m, step_m);
        one.holds = found.filter(|held| width_m < held.width_m && one.width_m <= held.width_m + 1e-9);
    }

    /// The part that closing fingers meet, if no other hand has it.
    fn between_fingers(&self, arm: usize, tool: &Isometry3<f64>) -> Option<Held> {
        let tip = Point3::from(tool.translation.vector);
        let taken =
            |index: usize| self.arms.iter().any(|other| other.holds.is_some_and(|held| held.part == index));
        let free = self.parts.iter().enumerate().filter(|(index, _)| !taken(*index));
        let met = free.filter_map(|(index, part)| {
            let (distance, width_m) = match &part.grasps {
                Grasps::Anywhere => {
                    let distance = (part.in_world.translation.vector - tip.coords).norm();
                    (distance <= REACH_M).then_some((distance, self.arms[arm].width_m))?
                }
                Grasps::At(points) => points
                    .iter()
                    .map(|(point, width_m)| ((part.in_world * point - tip).norm(), *width_m))
                    .find(|(distance, _)| *distance < GRASP_M)?,
            };
            Some((distance, Held { part: index, in_tool: tool.inverse() * part.in_world, width_m }))
        });
        met.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, held)| held)
    }
}
