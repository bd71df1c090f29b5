//! What a cell does that cannot hear its registry for long.

use crate::values::Now;

/// The cell's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflinePolicy {
    /// So long after its metadata was last fetched and believed a cell goes on as if nothing were; by so much it may also have
    /// expired meanwhile.
    pub keep_running_for_s: u32,
    pub then: Then,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// What is deployed may be run on; nothing else is deployed.
    Keep,
    /// A run that goes on ends as it would; no other is begun until the registry is believed again.
    RefuseNewRuns,
}

impl OfflinePolicy {
    /// How long metadata may have expired while the cell is offline.
    pub fn grace_s(&self) -> i64 {
        i64::from(self.keep_running_for_s)
    }

    /// Whether the time is over. A cell that never believed anything has no registry to obey yet. A clock that was put back makes
    /// nothing younger than it would be new.
    pub fn is_over(&self, last_believed_unix_s: Option<i64>, expires_unix_s: Option<i64>, now: Now) -> bool {
        let over = |since: i64| now.unix_s.saturating_sub(since) > self.grace_s();
        last_believed_unix_s.is_some_and(|last| over(last) || expires_unix_s.is_some_and(over))
    }
}

#[cfg(test)]
mod tests {
    use swarm_base::Time;

    use super::*;

    #[test]
    fn the_time_is_over_when_nothing_was_believed_for_so_long_or_the_metadata_is_expired_by_so_much() {
        let policy = OfflinePolicy { keep_running_for_s: 100, then: Then::Keep };
        let at = |unix_s| Now { unix_s, monotonic: Time::ZERO };
        assert!(!policy.is_over(None, None, at(10_000)));
        assert!(!policy.is_over(Some(1_000), Some(1_050), at(1_100)));
        assert!(policy.is_over(Some(1_000), Some(1_050), at(1_101)));
        assert!(policy.is_over(Some(1_000), Some(900), at(1_001)), "expired by more than the grace");
        assert!(!policy.is_over(Some(1_000), None, at(10)), "the clock was put back");
    }
}
