//! From the cell's declaration to the core's configuration.

use nalgebra::Vector3;
use swarm_base::Role;
use swarm_cell::{NodeConfig, RobotConfig};
use swarm_ros::{CellFile, CellFileError};
use swarm_safety_core::{
    ArmConfig, Config, ConfigError, EnvelopeError, EnvelopeFile, Payload, Release, Timing, Tolerances,
};

/// Why the gate cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Cell(#[from] CellFileError),
    #[error("the safety ceiling {file}")]
    Ceiling { file: String, source: EnvelopeError },
    #[error("the safety gate cannot use the cell's declaration")]
    Config(#[from] ConfigError),
    #[error("cell.yaml declares no node '{0}'; its schedule is needed")]
    NoNode(String),
}

/// The core's configuration under the cell's own ceiling.
pub fn config(cell: &CellFile, timing: Timing) -> Result<Config, SetupError> {
    let arms = cell
        .config
        .robots
        .iter()
        .zip(cell.arm_models()?)
        .map(|(robot, model)| ArmConfig { name: robot.name.clone(), model, payload: payload(robot) })
        .collect();
    let file = &cell.config.safety.file;
    let ceiling = EnvelopeFile::parse(&cell.read_text(file)?)
        .map_err(|source| SetupError::Ceiling { file: file.clone(), source })?;
    Ok(Config::new(arms, &ceiling, timing, Tolerances::default(), Release::ByReset)?)
}

/// The declaration of this node.
pub fn node<'a>(cell: &'a CellFile, name: &str) -> Result<&'a NodeConfig, SetupError> {
    cell.config.node(name).ok_or_else(|| SetupError::NoNode(name.to_owned()))
}

/// The role that each robot plays, in the robots' order.
pub fn roles(cell: &CellFile) -> Vec<Option<&'static str>> {
    let role_of = |robot: &RobotConfig| {
        let plays =
            |role: &Role| cell.config.robot_for(*role).is_some_and(|player| player.name == robot.name);
        Role::ALL.into_iter().find(plays).map(Role::as_str)
    };
    cell.config.robots.iter().map(role_of).collect()
}

/// Gripper, and what is declared to hang at the tool centre point, as one mass.
fn payload(robot: &RobotConfig) -> Payload {
    let (gripper, load_kg) = (&robot.gripper, robot.payload.mass_kg);
    let mass_kg = gripper.mass_kg + load_kg;
    let moment = Vector3::from(gripper.com_m) * gripper.mass_kg + Vector3::from(gripper.tcp_m) * load_kg;
    let com_in_flange_m = if mass_kg > 0.0 { moment / mass_kg } else { Vector3::zeros() };
    Payload { mass_kg, com_in_flange_m }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shipped() -> CellFile {
        CellFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml")).unwrap()
    }

    #[test]
    fn the_shipped_cell_and_its_ceiling_make_a_configuration() {
        let config = config(&shipped(), Timing::default()).unwrap();
        assert_eq!(config.arms().len(), 3);
        assert_eq!(config.robot("panda"), Some(2));
    }

    #[test]
    fn each_robot_of_the_shipped_cell_has_a_role() {
        assert_eq!(roles(&shipped()), [Some("leader"), Some("follower"), Some("spotter")]);
    }

    #[test]
    fn gripper_and_load_weigh_together_at_their_common_centre() {
        let mut robot = shipped().config.robots[0].clone();
        (robot.gripper.mass_kg, robot.gripper.com_m) = (0.9, [0.0, 0.0, 0.05]);
        (robot.payload.mass_kg, robot.gripper.tcp_m) = (0.1, [0.0, 0.0, 0.15]);
        let payload = payload(&robot);
        assert!((payload.mass_kg - 1.0).abs() < 1e-12);
        assert!((payload.com_in_flange_m.z - 0.06).abs() < 1e-12);
    }
}
