//! The kernel's monotonic clock as a [`Clock`], without an offset of our own.

use rustix::time::{ClockId, Timespec, clock_gettime};
use swarm_base::{Clock, Duration, Time};

/// `CLOCK_MONOTONIC`: a [`Time`] is nanoseconds since the machine started, the same in every process.
///
/// `swarm_base::MonotonicClock` runs equally fast but counts from its own creation, and does not say when that was. A program
/// that sleeps to a deadline uses this clock everywhere: the times of the two must not meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelClock;

impl Clock for KernelClock {
    fn now(&self) -> Time {
        time_of(clock_gettime(ClockId::Monotonic))
    }
}

/// CPU time that the calling thread has used since its start. It takes a system call (`clock_gettime`).
pub fn cpu_time_of_this_thread() -> Duration {
    Duration(time_of(clock_gettime(ClockId::ThreadCPUTime)).0)
}

const NS_PER_S: u64 = 1_000_000_000;

/// The kernel's form of a time.
pub(crate) fn timespec_of(time: Time) -> Timespec {
    // 2^64 ns are 1.8e10 s; nanoseconds of a second fit any integer.
    Timespec { tv_sec: (time.0 / NS_PER_S).cast_signed(), tv_nsec: (time.0 % NS_PER_S).cast_signed() }
}

/// Our form of a monotonic time of the kernel, which is never negative.
pub(crate) fn time_of(at: Timespec) -> Time {
    Time(at.tv_sec.cast_unsigned() * NS_PER_S + at.tv_nsec.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_survives_the_way_to_the_kernel_and_back(ns: u64) {
            let there = timespec_of(Time(ns));
            prop_assert!((0..1_000_000_000).contains(&there.tv_nsec));
            prop_assert_eq!(time_of(there), Time(ns));
        }
    }

    #[test]
    fn it_is_the_clock_that_the_kernel_sleeps_by() {
        let deadline = KernelClock.now() + Duration::from_millis(2);
        rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &timespec_of(deadline))
            .unwrap();
        assert!(KernelClock.now() >= deadline);
    }

    #[test]
    fn cpu_time_passes_with_work_and_not_with_waiting() {
        let started = (KernelClock.now(), cpu_time_of_this_thread());
        while cpu_time_of_this_thread().0 - started.1.0 < 2_000_000 {
            std::hint::spin_loop();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (passed, used) = (KernelClock.now() - started.0, cpu_time_of_this_thread().0 - started.1.0);
        assert!(used >= 2_000_000 && passed.0 >= used + 10_000_000, "{used} of {passed:?}");
    }
}
