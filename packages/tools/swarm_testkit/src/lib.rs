//! Test doubles and the lock-step cell: runtime, gate and physics in one process on a virtual clock.
//!
//! - [`arms`]: kinematic models of a declared cell's arms.
//! - [`script`]: drives the simulated cell without runtime or gate, one motion after the other. It proves that the task can be
//!   done, and it is the robot of the expert.
//! - [`expert`]: mates the parts knowing where they really are; its answers are what the insertion policy learns.
//! - [`policy`]: the trained policy outside of the runtime.

pub mod arms;
pub mod expert;
pub mod policy;
pub mod script;

use std::path::{Path, PathBuf};

/// The repository's folder: where `config/`, `urdf/` and `tests/` are.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}
