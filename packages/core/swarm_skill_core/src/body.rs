//! A role's robot as its leaves see it, and what the role remembers between leaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use swarm_base::{Duration, Time};
use swarm_kinematics::{ArmModel, JointVector, Load, Pose};

use crate::insertion::MeanPose;
use crate::motion::Mover;
use crate::policy::{NamedPolicy, PolicyTick};
use crate::role_io::{GripperTarget, PartSighting, RoleInputs};

/// The robot, its policy, and the role's memory.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) arm: Arc<ArmModel>,
    pub(crate) mover: Mover,
    pub(crate) tool: Load,
    pub(crate) home: JointVector,
    /// Age from which a measurement is none.
    pub(crate) input_timeout: Duration,
    pub(crate) policy: Option<NamedPolicy>,
    /// What the role's chunked policy does in this tick.
    pub(crate) policy_tick: PolicyTick,
    /// What another executor's policy has done in this tick, where it sets the pace of this one's.
    pub(crate) pace: Option<PolicyTick>,
    pub(crate) memory: Memory,
}

/// What leaves leave behind for later ones.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Mean pose of parts that stood still, in the world (`Locate`).
    pub(crate) located: BTreeMap<String, Isometry3<f64>>,
    /// Mean pose of parts in the gripper, in the tool's frame (`LocateHeld`).
    pub(crate) held: BTreeMap<String, Isometry3<f64>>,
    /// Raw flange wrench at rest (`TareWrench`), and what of it the tool's weight does not explain.
    pub(crate) tare: [f64; 6],
    pub(crate) bias: [f64; 6],
    /// The last command; repeated until there is another one.
    pub(crate) gripper: Option<GripperTarget>,
    recent: BTreeMap<String, VecDeque<PartSighting>>,
}

/// Sightings that [`Memory::recent_pose`] averages.
const RECENT: usize = 10;

impl Body {
    pub(crate) fn tool_in_world(&self, inputs: &RoleInputs) -> Pose {
        self.arm.tool(&self.arm.forward(&inputs.joints.q))
    }

    pub(crate) fn flange_in_world(&self, inputs: &RoleInputs) -> Pose {
        self.arm.flange(&self.arm.forward(&inputs.joints.q))
    }

    /// Force (N) and torque (N m) of the environment on the tool, in and about the flange frame.
    pub(crate) fn contact(&self, inputs: &RoleInputs) -> [f64; 6] {
        let weight = self.tool.weight(&self.flange_in_world(inputs));
        std::array::from_fn(|i| inputs.wrench.flange[i] - weight[i] - self.memory.bias[i])
    }

    /// The same force in world axes, N.
    pub(crate) fn contact_force_in_world(&self, inputs: &RoleInputs) -> Vector3<f64> {
        let contact = self.contact(inputs);
        self.flange_in_world(inputs).rotation * Vector3::new(contact[0], contact[1], contact[2])
    }
}

impl Memory {
    /// Keeps the last sightings of every part that there are sightings of. To be called once per tick.
    pub(crate) fn see(&mut self, sightings: &[PartSighting]) {
        if self.recent.len() > sightings.len() {
            self.recent.retain(|part, _| sightings.iter().any(|sighting| sighting.part == *part));
        }
        for sighting in sightings {
            let recent = self.recent.entry(sighting.part.clone()).or_default();
            if recent.back().is_none_or(|last| sighting.at > last.at) {
                recent.push_back(sighting.clone());
                if recent.len() > RECENT {
                    recent.pop_front();
                }
            }
        }
    }

    /// Mean of the last sightings of a part since `oldest`; `None` with fewer than half of [`RECENT`].
    pub(crate) fn recent_pose(&self, part: &str, oldest: Time) -> Option<Isometry3<f64>> {
        let mut mean = MeanPose::default();
        for sighting in self.recent.get(part)?.iter().filter(|sighting| sighting.at >= oldest) {
            mean.add(&sighting.in_world);
        }
        if mean.count() as usize >= RECENT / 2 { mean.get() } else { None }
    }
}

pub(crate) fn to_isometry(pose: &Pose) -> Isometry3<f64> {
    Isometry3::from_parts(pose.translation, UnitQuaternion::from_rotation_matrix(&pose.rotation))
}

pub(crate) fn to_pose(isometry: &Isometry3<f64>) -> Pose {
    Pose::from_parts(isometry.translation, isometry.rotation.to_rotation_matrix())
}

/// A pose from position (m) and fixed-axis roll, pitch, yaw (rad).
pub(crate) fn pose_of(xyz_m: [f64; 3], rpy_rad: [f64; 3]) -> Isometry3<f64> {
    Isometry3::from_parts(
        Translation3::new(xyz_m[0], xyz_m[1], xyz_m[2]),
        UnitQuaternion::from_euler_angles(rpy_rad[0], rpy_rad[1], rpy_rad[2]),
    )
}
