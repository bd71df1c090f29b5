//! One robot's decisions, shared by the threads that feed them and the thread that makes them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use swarm_base::{Clock as _, MonotonicClock, Time};
use swarm_driver_core::{Driver, Said};

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Shell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: MonotonicClock,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    driver: Driver,
    urgent: bool,
}

impl Shell {
    pub fn new(driver: Driver) -> Self {
        let shared = Shared {
            clock: MonotonicClock::new(),
            state: Mutex::new(State { driver, urgent: false }),
            wake: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Tells the decisions something, and wakes the cycle if the arm must not go on.
    pub fn hear(&self, tell: impl FnOnce(&mut Driver, Time)) {
        let mut state = self.lock();
        let now = self.now();
        tell(&mut state.driver, now);
        if state.driver.stop_is_due(now) {
            state.urgent = true;
            self.shared.wake.notify_one();
        }
    }

    /// Looks at the decisions.
    pub fn look<T>(&self, read: impl FnOnce(&Driver, Time) -> T) -> T {
        let state = self.lock();
        read(&state.driver, self.now())
    }

    /// Decides.
    pub fn cycle(&self) -> Said {
        let mut state = self.lock();
        state.urgent = false;
        let now = self.now();
        state.driver.cycle(now)
    }

    /// Sleeps until `due`, or until something must not wait.
    pub fn wait_until(&self, due: Time) {
        let mut state = self.lock();
        loop {
            let left = due.since(self.now());
            if state.urgent || left.0 == 0 {
                return;
            }
            let waited = self.shared.wake.wait_timeout(state, left.to_std());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process before anybody could meet what its holder left half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
