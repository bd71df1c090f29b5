//! The draw: in which order cells come, by the plan's seed.

use sha2::{Digest, Sha256};

/// A cell's place in the draw: smaller comes first. It depends on nothing but seed and name, so that the order of two cells
/// stays the same whoever else comes or goes, and after a restart.
pub(crate) fn rank(seed: u64, site_id: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(site_id.as_bytes());
    hash.finalize().into()
}
