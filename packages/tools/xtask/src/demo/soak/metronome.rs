//! How long this machine lets a thread wait that wants nothing but to be woken: the reference for every stop because of silence.
//!
//! One thread per CPU, bound to it, sleeps for [`PERIOD`] again and again. Where a machine stands still (a virtual one that its host
//! does not run, most often), every node falls silent, and the gate stops the cell as it has to; these threads wake late too then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, IoContext, Result};

/// Far below the shortest time-out of the cell, and too seldom to cost anything.
const PERIOD: Duration = Duration::from_millis(5);

/// A wait for longer than this may make a gate stop that is set for this machine; half of the demo's time-outs.
const LONG: Duration = Duration::from_millis(100);

/// How late the threads woke, over all CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lateness {
    pub(super) longest: Duration,
    /// Wakes that came later than [`LONG`].
    pub(super) long: u32,
}

impl Lateness {
    fn note(&mut self, late: Duration) {
        self.longest = self.longest.max(late);
        self.long += u32::from(late > LONG);
    }

    fn and(self, other: Self) -> Self {
        Self { longest: self.longest.max(other.longest), long: self.long + other.long }
    }
}

/// The running threads.
#[derive(Debug)]
pub(super) struct Metronome {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<std::io::Result<Lateness>>>,
}

impl Metronome {
    pub(super) fn start() -> Result<Self> {
        let allowed = sched_getaffinity(None)
            .map_err(std::io::Error::from)
            .doing("ask for the CPUs of", "this process")?;
        let stop = Arc::new(AtomicBool::new(false));
        let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let threads = cpus.map(|cpu| {
            let stop = Arc::clone(&stop);
            let thread = std::thread::Builder::new().name(format!("metronome {cpu}"));
            thread.spawn(move || beat(cpu, &stop))
        });
        let threads =
            threads.collect::<std::io::Result<_>>().doing("start a thread on each CPU of", "this machine")?;
        Ok(Self { stop, threads })
    }

    pub(super) fn finish(self) -> Result<Lateness> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().try_fold(Lateness::default(), |all, thread| {
            let lateness =
                thread.join().map_err(|_| Error::Failed("a thread of the metronome panicked".to_owned()))?;
            Ok(all.and(lateness.doing("bind a thread to", "its CPU")?))
        })
    }
}

fn beat(cpu: usize, stop: &AtomicBool) -> std::io::Result<Lateness> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    let mut lateness = Lateness::default();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + PERIOD;
        std::thread::sleep(PERIOD);
        lateness.note(Instant::now().saturating_duration_since(due));
    }
    Ok(lateness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_kept_and_the_long_ones_are_counted_over_all_cpus() {
        let mut one = Lateness::default();
        for late in [0, 99, 100, 101, 340] {
            one.note(Duration::from_millis(late));
        }
        assert_eq!(one, Lateness { longest: Duration::from_millis(340), long: 2 });
        let mut other = Lateness::default();
        other.note(Duration::from_millis(500));
        assert_eq!(one.and(other), Lateness { longest: Duration::from_millis(500), long: 3 });
    }

    #[test]
    fn every_cpu_has_a_thread_that_ends_when_it_is_told_to() {
        let metronome = Metronome::start().unwrap();
        assert_eq!(metronome.threads.len(), std::thread::available_parallelism().unwrap().get());
        metronome.finish().unwrap();
    }
}
