//! Kinematics of the arms that a cell declares.

use nalgebra::Translation3;
use swarm_kinematics::portable::rotation_from_rpy;
use swarm_kinematics::{ArmModel, ArmSpec, ModelError, Pose};

use crate::declaration::{CellConfig, PoseConfig, RobotConfig};

/// An arm that cannot be modelled.
#[derive(Debug, thiserror::Error)]
#[error("the arm of robot '{robot}' cannot be modelled from its URDF")]
pub struct ArmError {
    pub robot: String,
    pub source: Box<ModelError>,
}

/// The arms in the order of the declaration: joints and links prefixed `<robot>_`, poses in the world, the chain's end at the
/// flange, the tool at the declared centre point. `read` gives the text of a URDF that the declaration names.
pub fn arm_models<E: From<ArmError>>(
    cell: &CellConfig,
    mut read: impl FnMut(&str) -> Result<String, E>,
) -> Result<Vec<ArmModel>, E> {
    let model = |robot: &RobotConfig| {
        let urdf = read(&robot.urdf)?;
        let tool_urdf = robot.gripper_urdf.as_deref().map(&mut read).transpose()?;
        Ok(arm_model(robot, &urdf, tool_urdf.as_deref())?)
    };
    cell.robots.iter().map(model).collect()
}

fn arm_model(robot: &RobotConfig, urdf: &str, tool_urdf: Option<&str>) -> Result<ArmModel, ArmError> {
    let [x, y, z] = robot.gripper.tcp_m;
    ArmModel::load(&ArmSpec {
        urdf,
        flange_link: robot.model.flange_link(),
        prefix: &format!("{}_", robot.name),
        base_in_world: pose(&robot.base_in_world),
        tool_in_flange: Pose::translation(x, y, z),
        tool_urdf,
    })
    .map_err(|source| ArmError { robot: robot.name.clone(), source: Box::new(source) })
}

fn pose(declared: &PoseConfig) -> Pose {
    let ([x, y, z], [roll, pitch, yaw]) = (declared.xyz_m, declared.rpy_rad);
    Pose::from_parts(Translation3::new(x, y, z), rotation_from_rpy(roll, pitch, yaw))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use nalgebra::Vector3;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Error {
        #[error("no file {0}")]
        NoFile(String),
        #[error(transparent)]
        Arm(#[from] ArmError),
    }

    fn shipped() -> CellConfig {
        CellConfig::parse(include_str!("../../../../config/cell.yaml")).unwrap()
    }

    /// The URDFs that the shipped declaration names.
    fn urdf(file: &str) -> Result<String, Error> {
        let text = match file {
            "urdf/ur5e/ur5e.urdf" => include_str!("../../../../urdf/ur5e/ur5e.urdf"),
            "urdf/panda/panda.urdf" => include_str!("../../../../urdf/panda/panda.urdf"),
            "urdf/gripper/parallel_gripper.urdf" => {
                include_str!("../../../../urdf/gripper/parallel_gripper.urdf")
            }
            _ => return Err(Error::NoFile(file.to_owned())),
        };
        Ok(text.to_owned())
    }

    #[test]
    fn arms_stand_and_end_where_they_are_declared() {
        let mut cell = shipped();
        cell.robots[1].base_in_world = PoseConfig { xyz_m: [0.1, 0.2, 0.3], rpy_rad: [0.0, 0.0, FRAC_PI_2] };
        let arms = arm_models(&cell, urdf).unwrap();
        assert_eq!(arms.iter().map(ArmModel::dof).collect::<Vec<_>>(), [6, 6, 7]);
        assert_eq!(arms[0].joints()[0].name, "ur5e_left_shoulder_pan_joint");
        assert_eq!(cell.robots[0].flange_frame(), "ur5e_left_tool0");
        assert_eq!(cell.robots[2].flange_frame(), "panda_panda_link8");
        let base = arms[1].base_in_world();
        assert_eq!(base.translation.vector, Vector3::new(0.1, 0.2, 0.3));
        assert!((base.rotation * Vector3::x() - Vector3::y()).norm() < 1e-12);
        for (arm, robot) in arms.iter().zip(&cell.robots) {
            let poses = arm.forward(&arm.joint_vector(&robot.home_rad).unwrap());
            let tool_in_flange = arm.flange(&poses).inverse() * arm.tool(&poses);
            let expected = Vector3::from(robot.gripper.tcp_m);
            assert!((tool_in_flange.translation.vector - expected).norm() < 1e-12, "{}", robot.name);
        }
    }

    #[test]
    fn a_urdf_without_the_flange_is_refused_with_the_robots_name() {
        let mut cell = shipped();
        cell.robots[2].urdf = "urdf/ur5e/ur5e.urdf".to_owned();
        let error = arm_models(&cell, urdf).unwrap_err();
        assert_eq!(error.to_string(), "the arm of robot 'panda' cannot be modelled from its URDF");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_the_callers_error() {
        let mut cell = shipped();
        cell.robots[0].gripper_urdf = Some("urdf/hand.urdf".to_owned());
        assert_eq!(arm_models(&cell, urdf).unwrap_err().to_string(), "no file urdf/hand.urdf");
    }
}
