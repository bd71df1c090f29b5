//! How to record.

use ed25519_dalek::SigningKey;
use swarm_base::Duration;

use crate::health::OnDiskFailure;

/// Entries that may wait between the deciding thread and the disk: four seconds of a cell with 1 kHz.
pub const ENTRIES_WAITING: usize = 4096;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every cycle.
    Continuous,
    /// From so long before a stop to so long after it; the time before lies in memory.
    OnStop { before: Duration, after: Duration },
}

/// How to record.
#[derive(Clone, Debug)]
pub struct Options {
    pub mode: Mode,
    /// Key to seal with. Without one, seals hold hashes only.
    pub key: Option<SigningKey>,
    /// Length of a segment.
    pub segment: Duration,
    /// A file of this size is followed by the next one.
    pub max_file_bytes: u64,
    /// All files of the folder together.
    pub max_bytes: u64,
    /// Most entries in memory, in the mode `OnStop`, those of a stop that waits for the disk among them; about 2.5 kB each.
    pub max_ring_entries: usize,
    pub on_disk_failure: OnDiskFailure,
    /// A disk that is busy with one piece for this long counts as failing.
    pub slow_after: Duration,
}

impl Default for Options {
    /// 10 s before and 5 s after a stop, 2 GiB in files of 64 MiB.
    fn default() -> Self {
        Self {
            mode: Mode::OnStop { before: Duration::from_millis(10_000), after: Duration::from_millis(5_000) },
            key: None,
            segment: Duration::from_millis(100),
            max_file_bytes: 64 << 20,
            max_bytes: 2 << 30,
            max_ring_entries: 30_000,
            on_disk_failure: OnDiskFailure::Continue,
            slow_after: Duration::from_millis(1_000),
        }
    }
}

/// Options that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the black box cannot record like this: {}", .0.join("; "))]
pub struct OptionsError(pub Vec<String>);

/// What a header may take up.
const SMALLEST_FILE: u64 = 1 << 20;

impl Options {
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let mut problems = Vec::new();
        if self.max_file_bytes < SMALLEST_FILE {
            problems.push(format!(
                "files of {} bytes are too small, expected at least {SMALLEST_FILE}",
                self.max_file_bytes
            ));
        }
        if self.max_bytes / 3 < self.max_file_bytes {
            problems.push(format!(
                "{} bytes for all files, expected at least three times the {} of one",
                self.max_bytes, self.max_file_bytes
            ));
        }
        if self.segment == Duration::ZERO {
            problems.push("segments of no length, expected more than 0".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(OptionsError(problems)) }
    }
}
