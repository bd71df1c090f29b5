//! The cell's declaration (`config/cell.yaml`): robots, roles, artifact store, safety ceiling, nodes with their scheduling.
//!
//! Text in, plain values out: reading the file is the caller's. [`CellConfig::parse`] either gives a declaration in which
//! everything that can be seen from the text alone is right, or *all* its mistakes at once, in the order of their lines
//! ([`ConfigError`]).
//!
//! Flow of a parse: `swarm_yaml` makes the text a tree whose nodes know their place; `declaration_reader` reads the fields
//! of each part within their ranges, then what must agree between parts.
//!
//! [`arm_models`] makes the kinematics of the declared arms from the URDFs that the caller reads.
//!
//! Deliberately absent: files (whether a URDF exists is seen by whoever opens it), ROS, defaults that change what moves.

mod arms;
mod declaration;
mod declaration_reader;
mod driver_reader;
mod mistake;
mod model;
mod peripheral_reader;
mod registry_reader;

use std::path::{Path, PathBuf};

pub use arms::{ArmError, arm_models};
pub use declaration::{
    ArtifactPaths, CellConfig, ControllerKind, Cpu, DriverConfig, GripperConfig, Lifecycle, NodeConfig,
    PayloadConfig, PeripheralConfig, PeripheralKind, PoseConfig, RegistryConfig, RobotConfig, RoleMap,
    SafetyFile, Schedule, SchedulePolicy, SpeedSlider,
};
pub use mistake::ConfigError;
pub use model::Model;

/// The folder at which the paths of a declaration start: that which holds `config/`. A bare file name lies in the working
/// directory, beside its root.
pub fn root_of(declaration: &Path) -> PathBuf {
    let folder = declaration.parent().unwrap_or(Path::new(""));
    folder.parent().map_or_else(|| folder.join(".."), Path::to_owned)
}
