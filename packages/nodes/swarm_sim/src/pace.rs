//! When the next control cycle is due.

use swarm_base::{Duration, Time};

/// Lag beyond which simulated time is not made up for but given up: a burst of cycles without messages in between would make
/// permits look old that were not.
pub const MAX_LAG: Duration = Duration::from_millis(6);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing for so long.
    In(Duration),
    Now,
}

/// Spaces cycles of simulated time on the wall clock. Time is an argument.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Wall-clock time of one cycle.
    period: Duration,
    next: Time,
    lost: Duration,
    lag: Duration,
}

impl Pace {
    /// Cycles of `cycle` simulated time, `realtime_factor` times as fast as the wall clock; the first is due at once.
    pub fn new(cycle: Duration, realtime_factor: f64, now: Time) -> Self {
        Self {
            period: Duration((cycle.0 as f64 / realtime_factor).round() as u64),
            next: now,
            lost: Duration::ZERO,
            lag: Duration::ZERO,
        }
    }

    /// Asks for the next cycle; [`Due::Now`] counts as making it.
    pub fn next(&mut self, now: Time) -> Due {
        if now < self.next {
            return Due::In(self.next - now);
        }
        self.lag = now - self.next;
        if self.lag > MAX_LAG {
            self.lost = Duration(self.lost.0 + self.lag.0);
            self.next = now;
        }
        self.next = self.next + self.period;
        Due::Now
    }

    /// Starts anew after a pause, which is no lag.
    pub fn resume(&mut self, now: Time) {
        self.next = now;
    }

    /// How late the latest cycle was.
    pub fn lag(&self) -> Duration {
        self.lag
    }

    /// Wall-clock time that was given up so far.
    pub fn lost(&self) -> Duration {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: Duration = Duration::from_millis(2);

    /// Cycles made when asked every 0.1 ms during the given milliseconds.
    fn cycles(pace: &mut Pace, milliseconds: std::ops::Range<u64>) -> usize {
        (milliseconds.start * 10..milliseconds.end * 10)
            .filter(|tenth| pace.next(Time(tenth * 100_000)) == Due::Now)
            .count()
    }

    #[test]
    fn a_second_has_as_many_cycles_as_the_factor_says() {
        for (factor, expected) in [(1.0, 500), (0.5, 250), (2.0, 1000)] {
            assert_eq!(cycles(&mut Pace::new(CYCLE, factor, Time::ZERO), 0..1000), expected);
        }
    }

    #[test]
    fn a_short_lag_is_made_up_for() {
        let mut pace = Pace::new(CYCLE, 1.0, Time::ZERO);
        let made = cycles(&mut pace, 0..100) + cycles(&mut pace, 105..200);
        assert_eq!((made, pace.lost()), (100, Duration::ZERO));
    }

    #[test]
    fn a_long_lag_is_given_up_and_counted() {
        let mut pace = Pace::new(CYCLE, 1.0, Time::ZERO);
        cycles(&mut pace, 0..100);
        assert_eq!(pace.next(Time::from_millis(600)), Due::Now);
        assert_eq!(pace.next(Time::from_millis(600)), Due::In(CYCLE));
        assert_eq!(pace.lost(), Duration::from_millis(500));
    }

    #[test]
    fn a_pause_is_no_lag() {
        let mut pace = Pace::new(CYCLE, 1.0, Time::ZERO);
        cycles(&mut pace, 0..10);
        pace.resume(Time::from_millis(5000));
        assert_eq!(pace.next(Time::from_millis(5000)), Due::Now);
        assert_eq!((pace.lost(), pace.lag()), (Duration::ZERO, Duration::ZERO));
    }
}
