//! What one update may cost.

use std::time::Duration;

/// How much a server may send, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In bytes each; where metadata says the length, that is the limit.
    pub root: u64,
    pub timestamp: u64,
    pub snapshot: u64,
    pub targets: u64,
    /// How many roots one update follows (Y in 5.3.3). A cell that was away for longer goes on with the next update.
    pub roots: u32,
    /// How many roles one search visits.
    pub roles: usize,
    /// A transfer may take `patience` and the time that this many bytes per second need for the most it may bring.
    pub patience: Duration,
    pub bytes_per_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root: 512_000,
            timestamp: 16_384,
            snapshot: 2_000_000,
            targets: 5_000_000,
            roots: 1_024,
            roles: 64,
            patience: Duration::from_secs(20),
            bytes_per_s: 50_000,
        }
    }
}

impl Limits {
    /// How long a transfer of at most `length` bytes may take in all. Slower is refused: a server that trickles would keep a
    /// cell busy, and without updates, for ever.
    pub fn time_for(&self, length: u64) -> Duration {
        self.patience + Duration::from_millis(length.saturating_mul(1_000) / self.bytes_per_s.max(1))
    }
}
