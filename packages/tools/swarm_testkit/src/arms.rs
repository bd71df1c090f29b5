//! Kinematic models of the arms that a cell declares.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nalgebra::{Isometry3, Translation3, UnitQuaternion};
use swarm_cell::{CellConfig, PoseConfig};
use swarm_kinematics::{ArmModel, ArmSpec, Pose};

/// Loads the arms in the order of the declaration; files are found under `root`.
pub fn load_arms(config: &CellConfig, root: &Path) -> Result<Vec<ArmModel>> {
    let read = |file: &str| {
        let path = root.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    config
        .robots
        .iter()
        .map(|robot| {
            let (urdf, tool) = (read(&robot.urdf)?, robot.gripper_urdf.as_deref().map(read).transpose()?);
            let [x, y, z] = robot.gripper.tcp_m;
            ArmModel::load(&ArmSpec {
                urdf: &urdf,
                flange_link: if robot.model == "panda" { "panda_link8" } else { "tool0" },
                prefix: &format!("{}_", robot.name),
                base_in_world: base_in_world(&robot.base_in_world),
                tool_in_flange: Pose::translation(x, y, z),
                tool_urdf: tool.as_deref(),
            })
            .with_context(|| format!("cannot model the arm of {}", robot.name))
        })
        .collect()
}

fn base_in_world(pose: &PoseConfig) -> Pose {
    let ([x, y, z], [roll, pitch, yaw]) = (pose.xyz_m, pose.rpy_rad);
    let rotation = UnitQuaternion::from_euler_angles(roll, pitch, yaw).to_rotation_matrix();
    Pose::from_parts(Translation3::new(x, y, z), rotation)
}

/// The same pose with its rotation as a quaternion.
pub fn to_isometry(pose: &Pose) -> Isometry3<f64> {
    Isometry3::from_parts(pose.translation, UnitQuaternion::from_rotation_matrix(&pose.rotation))
}
