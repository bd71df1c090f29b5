//! What a role's executor is told in every tick, and what it wants.

use nalgebra::Isometry3;
use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::errand::{TopicSample, Word};

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
    /// What was heard of the role's errands since the last tick, each word once.
    pub words: Vec<Word>,
    /// The latest message of every topic among the peripherals.
    pub topics: Vec<TopicSample>,
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
    /// When it was heard.
    pub at: Time,
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
