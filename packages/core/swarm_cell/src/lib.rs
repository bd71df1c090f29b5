//! The cell's declaration (`config/cell.yaml`): robots, roles, artifact store, safety ceiling, nodes with their scheduling.
//!
//! Text in, plain values out: reading the file is the caller's. [`CellConfig::parse`] either gives a declaration in which
//! everything that can be seen from the text alone is right, or *all* its [`Mistake`]s at once, in the order of their lines.
//!
//! Flow of a parse:
//! 1. `tree`: YAML text into nodes that know their line and column;
//! 2. `cursor`: a node with its field path, read as one type or noted as a mistake; a mistake never ends the reading;
//! 3. `declaration_reader`: the fields of each part and their ranges, then what must agree between parts.
//!
//! Deliberately absent: files (whether a URDF exists is seen by whoever opens it), ROS, defaults that change what moves.

mod cursor;
mod declaration;
mod declaration_reader;
mod mistake;
mod model;
mod tree;

pub use declaration::{
    ArtifactPaths, CellConfig, Cpu, GripperConfig, Lifecycle, NodeConfig, PayloadConfig, PoseConfig,
    RobotConfig, RoleMap, SafetyFile, Schedule, SchedulePolicy,
};
pub use mistake::{ConfigError, Mistake};
