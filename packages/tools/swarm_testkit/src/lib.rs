//! Test doubles and the lock-step cell: runtime, gate and physics in one process on a virtual clock.
//!
//! - [`availability`]: stops that nothing calls for, and what slowing down for people costs.
//! - [`arms`]: kinematic models of a declared cell's arms.
//! - [`lockstep`]: the whole cell, deterministic and faster than real time.
//! - [`script`]: drives the simulated cell without runtime or gate, one motion after the other. It proves that the task can be
//!   done, and it is the robot of the expert.
//! - [`expert`]: mates the parts knowing where they really are; its answers are what the insertion policy learns.
//! - [`policy`]: the trained policy outside of the runtime.

pub mod arms;
pub mod availability;
pub mod expert;
pub mod lockstep;
pub mod policy;
pub mod script;

use std::ops::Range;
use std::path::{Path, PathBuf};

/// The repository's folder: where `config/`, `urdf/` and `tests/` are.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Reads a range of seeds as the programs here take it: `A..B`, B not included.
pub fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed
        .filter(|range| !range.is_empty())
        .ok_or_else(|| format!("'{text}' is no range of seeds like 0..20"))
}
