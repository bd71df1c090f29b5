//! The bridge's memory as a file.

use std::path::Path;

use swarm_bridge_core::Memory;

use crate::{ClientError, files};

const FILE: &str = "bridge.json";
const MOST_BYTES: u64 = 1 << 20;

/// What was kept in the data folder, in which nobody else writes; empty if nothing was.
pub fn load_memory(data: &Path) -> Result<Memory, ClientError> {
    files::make_folder(data)?;
    files::sweep(data)?;
    let path = data.join(FILE);
    let Some(bytes) = files::read(&path, MOST_BYTES)? else { return Ok(Memory::default()) };
    serde_json::from_slice(&bytes).map_err(|error| ClientError::BadFile {
        problem: format!("{error}; move it away, and the bridge begins without its counts and holds"),
        path,
    })
}

pub fn store_memory(data: &Path, memory: &Memory) -> Result<(), ClientError> {
    // Plain values with texts for keys are always JSON.
    files::write(&data.join(FILE), &serde_json::to_vec_pretty(memory).expect("a memory is JSON"))
}
