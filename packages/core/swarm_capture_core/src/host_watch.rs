//! Whether the host's clock was set: its time beside that of a clock that cannot be set.

use swarm_base::Time;

use crate::frame::HostTime;

/// What is a step, ns. Slews of 500 ppm, the most that `adjtime` does, move less in the seconds between two looks.
pub(crate) const STEP_NS: i64 = 5_000_000;
/// Two looks at the steady clock that are further apart say that the thread was made to wait between them, ns.
pub(crate) const HELD_UP_NS: u64 = 1_000_000;

/// The system clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStep {
    /// Forward, ns; negative: back.
    pub by_ns: i64,
    /// The earliest that it can have been, by the clock as it is now.
    pub since: HostTime,
}

impl HostStep {
    /// When something came that was `received` by the clock as it was then, told by the clock as it is now. Frames and reports
    /// bear the time at which their packets came, and some are still on their way when the clock is set.
    ///
    /// After a step back a packet from before it may seem to come from the future. That is late, and what is late moves no line.
    #[must_use]
    pub fn told_anew(&self, received: HostTime) -> HostTime {
        if received < self.since { received.plus(self.by_ns) } else { received }
    }
}

/// Compares the system clock with a steady one, before every frame or about every second. [`crate::Track::host_stepped`] wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostWatch {
    last: Option<(HostTime, Time)>,
}

impl HostWatch {
    /// How the system clock was set since the last look; none if it only ran. `before` and `after` are the steady
    /// clock's, asked right before and after `host`.
    pub fn look(&mut self, before: Time, host: HostTime, after: Time) -> Option<HostStep> {
        if after.0.saturating_sub(before.0) > HELD_UP_NS {
            return None;
        }
        let (last_host, last_steady) = self.last.replace((host, before))?;
        let ran = before.0.cast_signed() - last_steady.0.cast_signed();
        let by = (host.0 - last_host.0) - ran;
        (by.abs() > STEP_NS).then_some(HostStep { by_ns: by, since: last_host.plus(by) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_once_and_a_slewed_or_late_look_is_not() {
        let mut watch = HostWatch::default();
        let at = |host_s: f64| HostTime(1_700_000_000_000_000_000 + (host_s * 1e9) as i64);
        let mut look = |host_s: f64, steady_s: f64, took_s: f64| {
            let host = at(host_s);
            watch.look(Time((steady_s * 1e9) as u64), host, Time(((steady_s + took_s) * 1e9) as u64))
        };
        assert_eq!(look(0.0, 0.0, 1e-6), None);
        assert_eq!(look(1.0005, 1.0, 1e-6), None, "slewed by 500 ppm");
        assert_eq!(look(2.5, 2.0, 0.5), None, "held up between the two clocks");
        let since = HostTime(at(1.0005).0 - 2_000_500_000);
        assert_eq!(look(1.0, 3.0, 1e-6), Some(HostStep { by_ns: -2_000_500_000, since }));
        assert_eq!(look(2.0, 4.0, 1e-6), None);
    }
}
