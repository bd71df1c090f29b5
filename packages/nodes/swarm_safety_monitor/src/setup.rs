//! From the cell's declaration to the core's configuration.

use swarm_cell::NodeConfig;
use swarm_ros::{CellFile, CellFileError};
use swarm_safety_setup::{SetupError as CoreError, Sources};

/// Why the gate cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Cell(#[from] CellFileError),
    #[error(transparent)]
    Core(#[from] CoreError),
    #[error("cell.yaml declares no node '{0}'; its schedule is needed")]
    NoNode(String),
}

/// The texts that the core's configuration is made from, and that the black box keeps.
pub fn sources(cell: &CellFile) -> Result<Sources, SetupError> {
    Sources::gather(cell.text().to_owned(), |file| Ok(cell.read_text(file)?))
}

/// The declaration of this node.
pub fn node<'a>(cell: &'a CellFile, name: &str) -> Result<&'a NodeConfig, SetupError> {
    cell.config.node(name).ok_or_else(|| SetupError::NoNode(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use swarm_safety_core::{Timing, Tolerances};

    use super::*;

    fn shipped() -> CellFile {
        CellFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml")).unwrap()
    }

    #[test]
    fn the_shipped_cell_and_its_ceiling_make_a_configuration() {
        let config = sources(&shipped()).unwrap().config(Timing::default(), Tolerances::default()).unwrap();
        assert_eq!(config.arms().len(), 3);
        assert_eq!(config.robot("panda"), Some(2));
    }
}
