//! What the tests of black box and incident share: recordings of the cell at work, and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use swarm_cli::black_box::kills::write_all;
use swarm_cli::black_box::work::Work;

/// The shipped cell.
pub(crate) fn declaration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml")
}

/// Runs `cell`.
pub(crate) fn cell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cell")).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A signed recording of so many cycles in `folder/box`.
pub(crate) fn recording(folder: &Path, cycles: u64) -> PathBuf {
    let recording = folder.join("box");
    write_all(&mut Work::start(&declaration()).unwrap(), cycles, &recording).unwrap();
    recording
}
