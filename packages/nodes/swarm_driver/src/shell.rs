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
        let before = state.driver.follows_until();
        tell(&mut state.driver, now);
        state.urgent |= state.driver.stop_is_due(now);
        // The cycle may be asleep until the end that stood before.
        let ends_sooner = state.driver.follows_until() < before;
        if state.urgent || ends_sooner {
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

    /// Sleeps until `turn`, or until something must not wait: a message, or the end of what the arm follows.
    pub fn wait_until(&self, turn: Time) {
        let mut state = self.lock();
        loop {
            // What was heard meanwhile has put the end off.
            let left = state.driver.next_due(turn).since(self.now());
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

#[cfg(test)]
mod tests {
    use swarm_base::Duration;
    use swarm_driver_core::{
        Doing, Kind, LeaveRules, MeansOffered, MonitorState, Options, PermitHeard, StatusHeard, StopCause,
    };

    use super::*;

    /// Longer than a test takes.
    const LONG: Duration = Duration::from_millis(60_000);

    fn options() -> Options {
        Options {
            robot: "left".to_owned(),
            kind: Kind::ForwardVelocity { deceleration_rad_s2: None },
            period: LONG,
            velocity_limits_rad_s: vec![1.0],
            command_timeout: LONG,
            leave: LeaveRules {
                permit_timeout: Duration::from_millis(20),
                status_timeout: LONG,
                stamp_tolerance: Duration::ZERO,
            },
            means: MeansOffered::default(),
        }
    }

    fn status(arrival: Time, reset_epoch: u64) -> StatusHeard {
        StatusHeard { arrival, state: MonitorState::Run, epoch: 1, reset_epoch }
    }

    /// A shell that has just told its arm to follow.
    fn following() -> Shell {
        let mut driver = Driver::new(options());
        driver.set_active(true);
        driver.hear_status(status(Time::ZERO, 0));
        driver.hear_status(status(Time::ZERO, 1));
        // The arm's means have let go by then.
        driver.cycle(Time::from_millis(1_000));
        let shell = Shell::new(driver);
        let mut sequence = 0;
        // A machine that holds this up for longer than a permit counts begins anew.
        while shell.cycle().doing != Doing::Following {
            sequence += 1;
            shell.hear(|driver, arrival| {
                let (robots, speed_scale) = (&["left".to_owned()], &[1.0]);
                let (sent_ns, received_ns, epoch) = (0, 0, 1);
                driver.hear_status(status(arrival, 1));
                driver.hear_command(&[0.5], arrival);
                driver.hear_permit(&PermitHeard {
                    arrival,
                    sent_ns,
                    received_ns,
                    epoch,
                    sequence,
                    robots,
                    speed_scale,
                });
            });
        }
        shell
    }

    // AoU-02
    #[test]
    fn a_wait_ends_with_the_permit_and_not_with_the_turn() {
        let shell = following();
        let turn = shell.now() + LONG;
        shell.wait_until(turn);
        assert!(shell.now() < turn);
        assert_eq!(shell.cycle().doing, Doing::Standing(StopCause::PermitOld));
    }
}
