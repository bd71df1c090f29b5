//! How the recorder does, for other threads to see without waiting.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_base::{Duration, Time};
use swarm_black_box::Digest;

/// Whether a cell may go on that is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDiskFailure {
    Continue,
    Stop,
}

/// What the recorder has done, for diagnostics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Name of the file that is being written; `None` between files.
    pub file: Option<String>,
    pub files: u64,
    pub bytes: u64,
    /// Cycles that are in no file although they should be.
    pub lost_cycles: u64,
    /// Digest of the newest seal that the system has: note it elsewhere, and nothing in front of it can be cut off unseen.
    pub last_seal: Option<Digest>,
    /// The newest trouble with the disk; `None` again when a file could be written, or at the next file where this one was never
    /// in danger.
    pub trouble: Option<String>,
    /// Cycles that found no way to the recorder: it is behind, or has ended. Those that it learns of are in `lost_cycles` too.
    pub not_taken: u64,
}

/// After a cycle that found no way to the recorder, how long all must find it before nothing is wrong any more.
const LOSS_COUNTS: Duration = Duration::from_millis(1_000);

/// A look at the recorder. Clones look at the same one.
#[derive(Clone, Debug)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: OnDiskFailure,
    slow_after: Duration,
    failing: AtomicBool,
    /// Begin of the disk's present work, ns + 1; 0 if it has none.
    busy_since: AtomicU64,
    /// When a cycle last found no way to the recorder, ns + 1; 0 if none did.
    lost_at: AtomicU64,
    not_taken: AtomicU64,
    status: Mutex<Status>,
}

impl Health {
    /// Of a recorder that has done nothing yet.
    pub fn new(policy: OnDiskFailure, slow_after: Duration) -> Self {
        Self(Arc::new(Shared {
            policy,
            slow_after,
            failing: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
            lost_at: AtomicU64::new(0),
            not_taken: AtomicU64::new(0),
            status: Mutex::new(Status::default()),
        }))
    }

    /// Not everything can be recorded now: the last attempt failed, the disk has been busy with one for too long, or a cycle found no
    /// way to the recorder within the last second. Waits for nothing: fit for the deciding thread.
    pub fn is_failing(&self, now: Time) -> bool {
        let since = |mark: &AtomicU64| {
            let mark = mark.load(Ordering::Relaxed);
            (mark > 0).then(|| now.since(Time(mark - 1)))
        };
        let stuck = since(&self.0.busy_since).is_some_and(|busy| busy > self.0.slow_after);
        let losing = since(&self.0.lost_at).is_some_and(|passed| passed < LOSS_COUNTS);
        stuck || losing || self.0.failing.load(Ordering::Relaxed)
    }

    /// A cycle found no way to the recorder. Waits for nothing: fit for the deciding thread.
    pub fn lose(&self, now: Time) {
        self.0.lost_at.store(now.0.saturating_add(1), Ordering::Relaxed);
        self.0.not_taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing can be recorded, and the configuration wants the cell to stop for that.
    pub fn must_stop(&self, now: Time) -> bool {
        self.0.policy == OnDiskFailure::Stop && self.is_failing(now)
    }

    /// Takes a lock: not for the deciding thread.
    pub fn status(&self) -> Status {
        Status { not_taken: self.0.not_taken.load(Ordering::Relaxed), ..self.lock().clone() }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    /// Runs something that may keep the disk busy.
    pub(crate) fn busy<T>(&self, now: Time, work: impl FnOnce() -> T) -> T {
        self.0.busy_since.store(now.0.saturating_add(1), Ordering::Relaxed);
        let done = work();
        self.0.busy_since.store(0, Ordering::Relaxed);
        done
    }

    pub(crate) fn failed(&self, trouble: Option<String>) {
        let failed_before = self.0.failing.swap(trouble.is_some(), Ordering::Relaxed);
        if failed_before || trouble.is_some() {
            self.change(|status| status.trouble = trouble);
        }
    }

    /// Something went wrong that costs no cycle.
    pub(crate) fn troubled(&self, trouble: String) {
        self.change(|status| status.trouble = Some(trouble));
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // A status is whole after each assignment: a panic elsewhere does not spoil it.
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = Time::from_millis(1_000);

    // SR-22
    #[test]
    fn a_cycle_that_found_no_way_counts_for_a_second_and_stops_the_cell_only_where_that_is_wanted() {
        for (policy, stops) in [(OnDiskFailure::Stop, true), (OnDiskFailure::Continue, false)] {
            let health = Health::new(policy, LOSS_COUNTS);
            assert!(!health.is_failing(SECOND));
            health.lose(SECOND);
            let last = SECOND + Duration::from_millis(999);
            assert_eq!((health.is_failing(last), health.must_stop(last)), (true, stops));
            assert!(!health.is_failing(SECOND + LOSS_COUNTS));
            assert_eq!(health.status().not_taken, 1);
        }
    }
}
