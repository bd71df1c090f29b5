//! The shipped robots as the tests load them.

use nalgebra::{Rotation3, Translation3};
use swarm_kinematics::{ArmModel, ArmSpec, Pose};

pub(crate) const UR5E: &str = include_str!("../../../../../urdf/ur5e/ur5e.urdf");
pub(crate) const PANDA: &str = include_str!("../../../../../urdf/panda/panda.urdf");
pub(crate) const GRIPPER: &str = include_str!("../../../../../urdf/gripper/parallel_gripper.urdf");

pub(crate) fn ur5e(base_in_world: Pose) -> ArmModel {
    load(&ArmSpec {
        urdf: UR5E,
        flange_link: "tool0",
        prefix: "ur5e_",
        base_in_world,
        tool_in_flange: Pose::translation(0.0, 0.0, 0.145),
        tool_urdf: Some(GRIPPER),
    })
}

pub(crate) fn panda(base_in_world: Pose) -> ArmModel {
    load(&ArmSpec {
        urdf: PANDA,
        flange_link: "panda_link8",
        prefix: "panda_",
        base_in_world,
        tool_in_flange: Pose::translation(0.0, 0.0, 0.1034),
        tool_urdf: None,
    })
}

pub(crate) fn both() -> [ArmModel; 2] {
    [ur5e(tilted_base()), panda(tilted_base())]
}

/// A base that is neither at the origin nor upright.
pub(crate) fn tilted_base() -> Pose {
    Pose::from_parts(Translation3::new(0.3, -0.2, 0.9), Rotation3::from_euler_angles(0.2, -0.4, 1.1))
}

fn load(spec: &ArmSpec) -> ArmModel {
    ArmModel::load(spec).expect("the shipped URDFs load")
}
