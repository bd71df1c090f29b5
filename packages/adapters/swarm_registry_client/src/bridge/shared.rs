//! The view among threads: one lock, held for moments, and a way to wake the worker.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use swarm_artifact::Trust;
use swarm_base::{Clock as _, MonotonicClock, Shutdown};
use swarm_bridge_core::Now;

use super::view::View;
use super::{Settings, Site};

/// What the threads share.
pub struct Shared {
    clock: MonotonicClock,
    site: Arc<dyn Site>,
    view: Mutex<View>,
    wake: Condvar,
    /// Held while something is exchanged on the runtime: by the worker, or by a person's rollback.
    exchange: Mutex<()>,
    pub settings: Settings,
    /// What this run of the bridge is known by in its reports.
    pub started_unix_s: i64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(settings: Settings, view: View, site: Arc<dyn Site>, started_unix_s: i64) -> Self {
        Self {
            clock: MonotonicClock::new(),
            site,
            view: Mutex::new(view),
            wake: Condvar::new(),
            exchange: Mutex::new(()),
            settings,
            started_unix_s,
        }
    }

    pub(super) fn trust(&self) -> Result<Trust, String> {
        self.site.trust()
    }

    pub fn now(&self) -> Now {
        Now { unix_s: self.site.unix_now(), monotonic: self.clock.now() }
    }

    // A poisoned lock means that a thread panicked between two statements that each leave a whole value behind.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn exchanging(&self) -> MutexGuard<'_, ()> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed: the worker looks at once.
    pub fn wake(&self) {
        self.wake.notify_all();
    }

    /// Waits for a change, at most so long.
    pub fn wait(&self, at_most: Duration) {
        let view = self.view();
        drop(self.wake.wait_timeout(view, at_most));
    }
}

/// Sleeps, and ends early where the engine does.
pub fn pause(shutdown: &Shutdown, span: Duration) {
    const SLICE: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + span;
    while !shutdown.is_requested() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(SLICE));
    }
}
