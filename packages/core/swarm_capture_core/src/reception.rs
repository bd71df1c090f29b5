//! When a message was received: in the system's time, and never earlier than the message before it.

use swarm_base::Time;

use crate::frame::HostTime;
use crate::host_watch::{HELD_UP_NS, STEP_NS};

/// Runs beside the system clock and does not follow it back: readers of a bag that was cut off rely on times of reception that
/// never go back, and times that stand still until the system clock has caught up would say nothing about hours of messages.
/// After the system clock was set back this clock runs on at the pace of the steady one, ahead of it, until [`Self::restart`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionClock {
    /// This clock less the steady one, ns; none before the first reading.
    offset: Option<i64>,
    newest: Option<i64>,
    ahead: bool,
}

impl ReceptionClock {
    /// Now. `before` and `after` are the steady clock's time, asked right before and after `host`.
    pub fn read(&mut self, before: Time, host: HostTime, after: Time) -> HostTime {
        let steady = before.0.cast_signed();
        let offset = host.0 - steady;
        let held_up = after.0.saturating_sub(before.0) > HELD_UP_NS;
        let known = match self.offset {
            // The thread was made to wait between the two clocks: their difference says nothing.
            Some(known) if held_up => known,
            None if held_up => offset,
            Some(known) if offset < known - STEP_NS => {
                self.ahead = true;
                known
            }
            // Slewed, or set forward.
            _ => {
                (self.offset, self.ahead) = (Some(offset), false);
                offset
            }
        };
        let now = self.newest.map_or(steady + known, |newest| newest.max(steady + known));
        self.newest = Some(now);
        HostTime(now)
    }

    /// Whether the system clock was set back and this one has gone on ahead of it.
    pub fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// Follows the system clock back. What was received before cannot stand in one bag with what comes now.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_NS: i64 = 1_700_000_000_000_000_000;
    const SECOND_NS: i64 = 1_000_000_000;

    /// Reads `clock` at `steady_s` on the steady clock, when the system clock is `set_s` from where it was; s.
    fn read(clock: &mut ReceptionClock, steady_s: f64, set_s: f64, took_s: f64) -> f64 {
        let ns = |seconds: f64| (seconds * SECOND_NS as f64) as i64;
        let time = |seconds: f64| Time(ns(seconds).cast_unsigned());
        let host = HostTime(EPOCH_NS + ns(steady_s + set_s));
        (clock.read(time(steady_s), host, time(steady_s + took_s)).0 - EPOCH_NS) as f64 / SECOND_NS as f64
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }

    #[test]
    fn a_clock_that_is_set_back_is_not_followed_and_time_goes_on() {
        let mut clock = ReceptionClock::default();
        near(read(&mut clock, 1.0, 0.0, 1e-6), 1.0);
        near(read(&mut clock, 2.0, -3600.0, 1e-6), 2.0);
        assert!(clock.is_ahead());
        near(read(&mut clock, 3.5, -3600.0, 1e-6), 3.5);
        clock.restart();
        near(read(&mut clock, 4.0, -3600.0, 1e-6), 4.0 - 3600.0);
        assert!(!clock.is_ahead());
    }

    #[test]
    fn a_clock_that_is_set_forward_or_slewed_is_followed() {
        let mut clock = ReceptionClock::default();
        near(read(&mut clock, 1.0, 0.0, 1e-6), 1.0);
        near(read(&mut clock, 2.0, -0.0005, 1e-6), 1.9995);
        near(read(&mut clock, 3.0, 60.0, 1e-6), 63.0);
        assert!(!clock.is_ahead());
        // Back to where it was, and forward again before anything else happened.
        near(read(&mut clock, 4.0, 0.0, 1e-6), 64.0);
        assert!(clock.is_ahead());
        near(read(&mut clock, 5.0, 61.0, 1e-6), 66.0);
        assert!(!clock.is_ahead());
    }

    #[test]
    fn times_do_not_go_back_by_a_slew_or_by_a_thread_that_was_held_up() {
        let mut clock = ReceptionClock::default();
        near(read(&mut clock, 1.0, 0.2, 0.2), 1.2);
        near(read(&mut clock, 1.1, 0.0, 1e-6), 1.2);
        near(read(&mut clock, 2.0, 0.5, 0.5), 2.0);
        near(read(&mut clock, 2.1, 0.0, 1e-6), 2.1);
        near(read(&mut clock, 2.1001, -0.004, 1e-6), 2.1);
        assert!(!clock.is_ahead());
    }
}
