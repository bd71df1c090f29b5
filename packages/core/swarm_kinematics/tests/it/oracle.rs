//! Forward kinematics and Jacobians equal Pinocchio's on stored positions (see `tests/kinematics_oracle/generate.py`).

use crate::common;
use swarm_kinematics::{ArmModel, Pose};

/// Largest absolute difference that counts as equal, m, rad or 1.
const TOLERANCE: f64 = 1e-12;

fn largest_difference(arm: &ArmModel, vectors: &str) -> (usize, f64) {
    let dof = arm.dof();
    let (mut rows, mut worst) = (0, 0.0_f64);
    for line in vectors.lines() {
        let values: Vec<f64> = line.split(',').map(|text| text.parse().unwrap()).collect();
        assert_eq!(values.len(), dof + 3 + 9 + 6 * dof, "row {rows}");
        let q = arm.joint_vector(&values[..dof]).unwrap();
        let poses = arm.forward(&q);
        let tool = arm.tool(&poses);
        let jacobian = arm.jacobian(&poses);
        for i in 0..3 {
            worst = worst.max((tool.translation.vector[i] - values[dof + i]).abs());
            for j in 0..3 {
                worst = worst.max((tool.rotation.matrix()[(i, j)] - values[dof + 3 + 3 * i + j]).abs());
            }
        }
        for i in 0..6 {
            for j in 0..dof {
                worst = worst.max((jacobian[(i, j)] - values[dof + 12 + dof * i + j]).abs());
            }
        }
        rows += 1;
    }
    (rows, worst)
}

#[test]
fn the_ur5e_moves_as_pinocchio_says() {
    let vectors = include_str!("../../../../../tests/kinematics_oracle/ur5e.csv");
    let (rows, worst) = largest_difference(&common::ur5e(Pose::identity()), vectors);
    assert_eq!(rows, 200);
    assert!(worst <= TOLERANCE, "largest difference {worst:e}");
}

#[test]
fn the_panda_moves_as_pinocchio_says() {
    let vectors = include_str!("../../../../../tests/kinematics_oracle/panda.csv");
    let (rows, worst) = largest_difference(&common::panda(Pose::identity()), vectors);
    assert_eq!(rows, 200);
    assert!(worst <= TOLERANCE, "largest difference {worst:e}");
}
