//! The cell's declaration as a node gets it: the parameter `cell_config` names the file, and paths in it start at its root.

use std::path::{Path, PathBuf};

use swarm_cell::{ArmError, CellConfig, ConfigError};
use swarm_kinematics::ArmModel;

use crate::parameters::ParameterSpec;
use crate::shell::NodeShell;

/// A declaration and where it lies.
#[derive(Clone, Debug)]
pub struct CellFile {
    pub config: CellConfig,
    text: String,
    root: PathBuf,
}

/// Why a declaration or a file that it names could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CellFileError {
    #[error("cannot read {} (parameter 'cell_config', or a file that cell.yaml names)", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a valid declaration of a cell", path.display())]
    Wrong { path: PathBuf, source: ConfigError },
    #[error(transparent)]
    Arm(#[from] ArmError),
}

impl CellFile {
    /// Declares `cell_config` (default `config/cell.yaml`) and reads the file that it names.
    pub fn from_parameter(shell: &NodeShell) -> Result<Self, CellFileError> {
        let path = shell.declare(
            ParameterSpec::<String>::new("cell_config", "config/cell.yaml")
                .describe("Path of the cell's declaration, absolute or from the working directory")
                .required()
                .read_only(),
        );
        Self::read(Path::new(&path.get()))
    }

    /// Reads a declaration.
    pub fn read(path: &Path) -> Result<Self, CellFileError> {
        let text = read(path)?;
        let config = CellConfig::parse(&text)
            .map_err(|source| CellFileError::Wrong { path: path.to_owned(), source })?;
        Ok(Self { config, text, root: swarm_cell::root_of(path) })
    }

    /// The declaration as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a path of the declaration leads: absolute, or from the folder that holds `config/`.
    pub fn path(&self, declared: &str) -> PathBuf {
        self.root.join(declared)
    }

    /// The text of a file that the declaration names.
    pub fn read_text(&self, declared: &str) -> Result<String, CellFileError> {
        read(&self.path(declared))
    }

    /// Kinematics of every arm, in the order of the declaration.
    pub fn arm_models(&self) -> Result<Vec<ArmModel>, CellFileError> {
        swarm_cell::arm_models(&self.config, |file| self.read_text(file))
    }
}

fn read(path: &Path) -> Result<String, CellFileError> {
    std::fs::read_to_string(path).map_err(|source| CellFileError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
    }

    #[test]
    fn the_shipped_cell_and_the_files_it_names_are_found() {
        let cell = CellFile::read(&repository().join("config/cell.yaml")).unwrap();
        for robot in &cell.config.robots {
            assert!(cell.read_text(&robot.urdf).unwrap().contains("<robot"), "{}", robot.urdf);
        }
    }

    #[test]
    fn the_shipped_cells_arms_are_modelled() {
        let cell = CellFile::read(&repository().join("config/cell.yaml")).unwrap();
        assert_eq!(cell.arm_models().unwrap().iter().map(ArmModel::dof).collect::<Vec<_>>(), [6, 6, 7]);
    }

    #[test]
    fn absolute_paths_of_the_declaration_stay() {
        let cell = CellFile::read(&repository().join("config/cell.yaml")).unwrap();
        assert_eq!(cell.path("/var/lib/swarm/store"), Path::new("/var/lib/swarm/store"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = CellFile::read(Path::new("config/nowhere.yaml")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read config/nowhere.yaml"), "{error}");
    }
}
