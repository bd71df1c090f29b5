//! Kinematic models of the arms that a cell declares.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nalgebra::{Isometry3, UnitQuaternion};
use swarm_cell::{CellConfig, arm_models};
use swarm_kinematics::{ArmModel, Pose};

/// Loads the arms in the order of the declaration; files are found under `root`.
pub fn load_arms(config: &CellConfig, root: &Path) -> Result<Vec<ArmModel>> {
    arm_models(config, |file| {
        let path = root.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    })
}

/// The same pose with its rotation as a quaternion.
pub fn to_isometry(pose: &Pose) -> Isometry3<f64> {
    Isometry3::from_parts(pose.translation, UnitQuaternion::from_rotation_matrix(&pose.rotation))
}
