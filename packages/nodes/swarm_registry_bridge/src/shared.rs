//! The view among threads: one lock, held for moments, and a way to wake the worker.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use swarm_base::{Clock as _, MonotonicClock, Shutdown};
use swarm_bridge_core::Now;
use swarm_store::unix_now;

use crate::settings::Settings;
use crate::view::View;

#[derive(Debug)]
pub struct Shared {
    clock: MonotonicClock,
    view: Mutex<View>,
    wake: Condvar,
    /// Held while something is exchanged on the runtime: by the worker, or by a person's rollback.
    exchange: Mutex<()>,
    pub settings: Settings,
    /// What this run of the bridge is known by in its reports.
    pub started_unix_s: i64,
}

impl Shared {
    pub fn new(settings: Settings, view: View, started_unix_s: i64) -> Self {
        Self {
            clock: MonotonicClock::new(),
            view: Mutex::new(view),
            wake: Condvar::new(),
            exchange: Mutex::new(()),
            settings,
            started_unix_s,
        }
    }

    pub fn now(&self) -> Now {
        Now { unix_s: unix_now(), monotonic: self.clock.now() }
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

/// Sleeps, and ends early where the node does.
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
