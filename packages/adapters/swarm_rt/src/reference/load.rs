//! Load from `stress-ng` (Debian package stress-ng), bounded in time.

use super::error::{ReferenceError, Running};

/// A load that runs. It ends by itself, and when this is dropped.
#[derive(Debug)]
pub struct Load {
    running: Running,
}

impl Load {
    /// Keeps `workers` CPUs busy for `seconds`.
    pub fn cpu(workers: u32, seconds: u64) -> Result<Self, ReferenceError> {
        let arguments = [
            "--cpu".to_owned(),
            workers.to_string(),
            "--timeout".to_owned(),
            format!("{seconds}s"),
            "--quiet".to_owned(),
        ];
        Ok(Self { running: Running::start("stress-ng", "stress-ng", &arguments)? })
    }

    /// Waits for its end.
    pub fn finish(self) -> Result<(), ReferenceError> {
        self.running.finish().map(drop)
    }
}
