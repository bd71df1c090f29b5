//! From the cell's declaration to the core's configuration.

use swarm_base::Role;
use swarm_cell::NodeConfig;
use swarm_ros::{CellFile, CellFileError};
use swarm_safety_core::{ArmConfig, Config, ConfigError, EnvelopeError, EnvelopeFile, Timing, Tolerances};

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
        .map(|(robot, model)| ArmConfig {
            name: robot.name.clone(),
            model,
            elbow_joint: robot.model.elbow_joint(),
            payload: robot.load(),
        })
        .collect();
    let file = &cell.config.safety.file;
    let ceiling = EnvelopeFile::parse(&cell.read_text(file)?)
        .map_err(|source| SetupError::Ceiling { file: file.clone(), source })?;
    Ok(Config::new(arms, &ceiling, timing, Tolerances::default())?)
}

/// The declaration of this node.
pub fn node<'a>(cell: &'a CellFile, name: &str) -> Result<&'a NodeConfig, SetupError> {
    cell.config.node(name).ok_or_else(|| SetupError::NoNode(name.to_owned()))
}

/// The role that each robot plays, in the robots' order.
pub fn roles(cell: &CellFile) -> Vec<Option<&'static str>> {
    cell.config.robots.iter().map(|robot| cell.config.role_of(&robot.name).map(Role::as_str)).collect()
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
}
