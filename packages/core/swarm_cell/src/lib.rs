//! The cell's declaration (`config/cell.yaml`): robots, roles, artifact store, safety ceiling, nodes with their scheduling.
//!
//! Text in, plain values out: reading the file is the caller's. [`CellConfig::parse`] checks everything it can see at once.

mod declaration;

pub use declaration::{
    ArtifactPaths, CellConfig, GripperConfig, NodeConfig, PayloadConfig, PoseConfig, RobotConfig, RoleMap,
    SafetyFile, Schedule, SchedulePolicy,
};

/// Why a declaration was refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
