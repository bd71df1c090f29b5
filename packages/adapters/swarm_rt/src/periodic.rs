//! Periods on a fixed grid: the next one is due at `start + n * period`, however late the last one was.

use swarm_base::{Clock, Duration, Time};

use crate::KernelClock;
use crate::wake::Sleeper;

/// A grid of deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periodic {
    due: Time,
    period: Duration,
}

/// Why the thread runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A period is due. It comes first when there is an event too, so that no storm of events can keep a period back.
    Tick(Tick),
    /// Somebody woke the thread before the next period.
    Event,
}

/// A period that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    pub due: Time,
    /// From then until the thread ran.
    pub late: Duration,
    /// Periods that passed between this one and the next without a tick of their own.
    pub missed: u64,
}

impl Periodic {
    /// First due at the first whole multiple of `period` after `now`: threads of one period keep their distance from each
    /// other, and from a `cyclictest --secaligned`. A period of zero would never pass; it is taken as one nanosecond.
    pub fn aligned(now: Time, period: Duration) -> Self {
        let period = Duration(period.0.max(1));
        Self { due: Time((now.0 / period.0 + 1).saturating_mul(period.0)), period }
    }

    /// When the next period is due.
    pub fn due(&self) -> Time {
        self.due
    }

    /// Sleeps until the next period or an event.
    pub fn wait(&mut self, sleeper: &mut Sleeper) -> Occasion {
        sleeper.sleep_until(self.due);
        self.look(KernelClock.now())
    }

    /// Why the thread runs at `now`. After a tick the next deadline is the first on the grid that is still to come.
    pub fn look(&mut self, now: Time) -> Occasion {
        if now < self.due {
            return Occasion::Event;
        }
        let due = self.due;
        let late = now - due;
        let missed = late.0 / self.period.0;
        self.due = due + Duration(self.period.0.saturating_mul(missed + 1));
        Occasion::Tick(Tick { due, late, missed })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wake;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_late_tick_does_not_move_the_grid() {
        let mut periodic = Periodic::aligned(Time::from_millis(10), MS);
        assert_eq!(periodic.due(), Time::from_millis(11));
        let late = Duration::from_micros(300);
        let tick = periodic.look(Time::from_millis(11) + late);
        assert_eq!(tick, Occasion::Tick(Tick { due: Time::from_millis(11), late, missed: 0 }));
        assert_eq!(periodic.due(), Time::from_millis(12));
    }

    #[test]
    fn periods_without_a_tick_are_counted_and_left_out() {
        let mut periodic = Periodic::aligned(Time::ZERO, MS);
        let now = Time::from_millis(4) + Duration::from_micros(1);
        let Occasion::Tick(tick) = periodic.look(now) else { panic!("a period is due") };
        assert_eq!((tick.missed, periodic.due()), (3, Time::from_millis(5)));
    }

    #[test]
    fn an_event_keeps_the_next_deadline() {
        let (mut sleeper, waker) = wake::pair();
        let mut periodic = Periodic::aligned(KernelClock.now(), Duration::from_millis(60_000));
        let due = periodic.due();
        waker.wake();
        assert_eq!(periodic.wait(&mut sleeper), Occasion::Event);
        assert_eq!(periodic.due(), due);
    }

    #[test]
    fn events_without_end_keep_no_period_back() {
        let (mut sleeper, waker) = wake::pair();
        let mut periodic = Periodic::aligned(KernelClock.now(), MS);
        let mut ticks = 0;
        while ticks < 3 {
            waker.wake();
            if let Occasion::Tick(tick) = periodic.wait(&mut sleeper) {
                ticks += 1 + tick.missed;
            }
        }
    }

    proptest! {
        #[test]
        fn every_period_is_a_tick_or_counted_as_missed(
            period in 1u64..5_000_000,
            steps in prop::collection::vec(0u64..20_000_000, 1..50),
        ) {
            let mut periodic = Periodic::aligned(Time::ZERO, Duration(period));
            let (mut now, mut counted) = (0, 0);
            for step in steps {
                now += step;
                match periodic.look(Time(now)) {
                    Occasion::Tick(tick) => {
                        prop_assert_eq!(tick.due + tick.late, Time(now));
                        counted += 1 + tick.missed;
                    }
                    Occasion::Event => prop_assert!(now < periodic.due().0),
                }
                prop_assert_eq!(counted, now / period);
                prop_assert_eq!(periodic.due(), Time((counted + 1) * period));
            }
        }
    }
}
