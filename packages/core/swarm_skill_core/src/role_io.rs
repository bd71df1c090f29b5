//! What a role's executor is told in every tick, and what it wants.

use nalgebra::{Isometry3, Vector3};
use swarm_base::Time;
use swarm_kinematics::{JointVector, Pose};

/// What is measured of the role's robot and what the cameras see.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleInputs {
    pub joints: JointSample,
    /// Force (N) and torque (N m) on the flange, in and about the flange frame, as measured: the weight of gripper and load is in it.
    pub wrench: WrenchSample,
    /// `None` as long as the gripper has not been heard.
    pub gripper: Option<GripperSample>,
    /// The latest sighting of every part.
    pub parts: Vec<PartSighting>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointSample {
    /// rad, base to flange.
    pub q: JointVector,
    /// rad/s.
    pub qd: JointVector,
    pub at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WrenchSample {
    /// fx, fy, fz, mx, my, mz.
    pub flange: [f64; 6],
    pub at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperSample {
    pub width_m: f64,
    pub force_n: f64,
    /// Something stops the fingers short of the commanded width.
    pub holding: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartSighting {
    pub part: String,
    pub in_world: Isometry3<f64>,
    /// When the image was taken: two sightings of one image have the same time.
    pub at: Time,
}

/// What a role wants of its robot until the next tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoleOutputs {
    /// rad/s, base to flange. Limited in speed and in change per tick.
    pub velocity: JointVector,
    /// `None` as long as the tree has commanded nothing: the gripper stays as it is.
    pub gripper: Option<GripperTarget>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperTarget {
    pub width_m: f64,
    pub force_n: f64,
}

/// Weight that hangs on the flange: gripper and known payload as one body.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ToolModel {
    pub mass_kg: f64,
    /// Centre of mass in the flange frame, m.
    pub com_in_flange: Vector3<f64>,
}

/// Standard gravity, m/s^2.
const GRAVITY: f64 = 9.806_65;

impl ToolModel {
    /// Gripper and a payload at the tool centre point.
    pub fn with_payload(
        gripper_kg: f64,
        gripper_com: Vector3<f64>,
        payload_kg: f64,
        payload_at: Vector3<f64>,
    ) -> Self {
        let mass_kg = gripper_kg + payload_kg;
        let moment = gripper_com * gripper_kg + payload_at * payload_kg;
        Self { mass_kg, com_in_flange: if mass_kg > 0.0 { moment / mass_kg } else { Vector3::zeros() } }
    }

    /// The wrench that the weight alone exerts on the flange at rest, in and about the flange frame.
    pub fn weight(&self, flange_in_world: &Pose) -> [f64; 6] {
        let down = Vector3::new(0.0, 0.0, -GRAVITY * self.mass_kg);
        let force = flange_in_world.rotation.inverse() * down;
        let torque = self.com_in_flange.cross(&force);
        [force.x, force.y, force.z, torque.x, torque.y, torque.z]
    }
}
