//! Evidence about the behaviour-tree engine, each figure beside a reference in the same run.
//!
//! - [`oracle`]: random trees, done by BehaviorTree.CPP and here; every transition compared.
//! - [`replay`]: random runs of trees that [`draw`] makes, recorded and replayed; recorders killed while they record.
//! - [`speed`]: ticks, logs, scripts and loading, in turns with BehaviorTree.CPP.
//!
//! BehaviorTree.CPP comes through its Python package `behaviortreepy`; the interpreter is the one that `SWARM_TEST_PYTHON` names.

pub mod draw;
pub mod oracle;
pub mod replay;
pub mod speed;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The Python that has `behaviortreepy`.
fn python() -> OsString {
    std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

/// A file of the workspace.
fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path)
}
