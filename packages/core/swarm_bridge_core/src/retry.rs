//! When something is done next: regularly while it goes well, with growing pauses while it does not.

use swarm_base::{Duration, Time};

/// Pauses that double from `first` to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row (1 is the first). `random` is in [0, 1); it takes away up to half, so that cells
    /// which lost the registry together do not come back together.
    pub fn pause(self, failures: u32, random: f64) -> Duration {
        let doubled =
            self.first.0.saturating_mul(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
        let whole = doubled.min(self.longest.0) as f64;
        Duration((whole * (0.5 + random.clamp(0.0, 1.0) / 2.0)) as u64)
    }
}

/// When one thing is due. The default is due at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    due: Time,
    failures: u32,
}

impl Schedule {
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.due
    }

    pub fn due(&self) -> Time {
        self.due
    }

    /// Failures since it last went well.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It went well: again after `pause`.
    pub fn succeeded(&mut self, now: Time, pause: Duration) {
        *self = Self { due: now + pause, failures: 0 };
    }

    pub fn failed(&mut self, now: Time, backoff: Backoff, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.due = now + backoff.pause(self.failures, random);
    }

    /// Something has changed: at once, whatever went before.
    pub fn hurry(&mut self, now: Time) {
        self.due = self.due.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(1_000), longest: Duration::from_millis(60_000) };

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_takes_half_of_them_at_most() {
        let whole: Vec<_> = (1..=8).map(|n| BACKOFF.pause(n, 1.0).as_micros() / 1_000_000).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(BACKOFF.pause(3, 0.0), Duration::from_millis(2_000));
        assert_eq!(BACKOFF.pause(u32::MAX, 1.0), BACKOFF.longest);
    }

    #[test]
    fn a_failure_delays_and_a_change_makes_it_due_at_once() {
        let (mut schedule, now) = (Schedule::default(), Time::from_millis(5_000));
        assert!(schedule.is_due(Time::ZERO));
        schedule.failed(now, BACKOFF, 1.0);
        schedule.failed(now, BACKOFF, 1.0);
        assert_eq!((schedule.due(), schedule.failures()), (Time::from_millis(7_000), 2));
        schedule.hurry(now);
        assert!(schedule.is_due(now) && schedule.failures() == 2);
        schedule.succeeded(now, Duration::from_millis(60_000));
        assert_eq!((schedule.due(), schedule.failures()), (Time::from_millis(65_000), 0));
    }
}
