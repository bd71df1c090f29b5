//! Sleeping until a deadline or an event, whichever is first.
//!
//! One word, three values: nothing, a wake-up that nobody has taken yet, a sleeper. Waking is one atomic exchange, and one
//! system call only if somebody really sleeps; so a wake-up between the sleeper's last look and its sleep is not lost (the
//! kernel compares the word before it lets the thread sleep), and any number of wake-ups before it are one.
//!
//! Order: what a thread wrote before [`Waker::wake`], the sleeper sees after the [`Sleeper::sleep_until`] that it ended.
//!
//! Why a futex: `clock_nanosleep` hears no event; `ppoll` on an eventfd with a timerfd takes three system calls for a period
//! and holds two descriptors. Waking by a futex is one call, and it is the same call with which the real-time thread wakes
//! others, so that its list of system calls stays at one. None of the three wakes earlier than the others. Measured with the
//! example `sleep_jitter`: 1 kHz, `SCHED_FIFO` 80, ratios to `cyclictest` on the same CPU in the same 60 s, medians of three
//! runs, on a virtual machine of two CPUs whose neighbours were busy (kernel 6.18, not PREEMPT_RT):
//!
//! | | p50 | p99.9 | p99.99 | max | with `stress-ng --cpu 2`: p50 | p99.9 | p99.99 | max |
//! |---|---|---|---|---|---|---|---|---|
//! | futex | 1.02 | 0.89 | 0.92 | 1.04 | 1.01 | 0.92 | 1.02 | 1.04 |
//! | clock_nanosleep | 1.00 | 1.05 | 1.05 | 1.02 | 1.01 | 0.88 | 1.02 | 1.02 |
//! | ppoll | 1.05 | 1.03 | 0.92 | 0.94 | 1.06 | 0.94 | 0.97 | 0.98 |

use swarm_base::Time;

use crate::sync::futex::{self, Ended, Word};
use crate::sync::{Arc, Ordering};

const NOTHING: u32 = 0;
/// Woken, and not taken yet.
const WOKEN: u32 = 1;
/// The sleeper sleeps or is about to: it must be woken by the kernel.
const ASLEEP: u32 = 2;

/// One sleeper, and the waker that any number of threads may have clones of.
pub fn pair() -> (Sleeper, Waker) {
    let word = Arc::new(Word::new(NOTHING));
    (Sleeper { word: Arc::clone(&word) }, Waker { word })
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// By a [`Waker`]; the deadline may have passed too.
    Event,
    Deadline,
}

/// The end that sleeps. There is one, and it is taken by `&mut`: two sleepers would steal each other's wake-ups.
#[derive(Debug)]
pub struct Sleeper {
    word: Arc<Word>,
}

/// The end that wakes, from any thread. Waking never blocks and is safe in a signal handler; dropping the last clone is not.
#[derive(Clone, Debug)]
pub struct Waker {
    word: Arc<Word>,
}

impl Waker {
    /// Ends the sleep, or the next one if nobody sleeps now.
    pub fn wake(&self) {
        // Always an exchange, never "it is woken already": the exchange publishes what this thread wrote before.
        if self.word.swap(WOKEN, Ordering::Release) == ASLEEP {
            futex::wake_one(&self.word);
        }
    }

    /// Of the word, for the list of system calls.
    #[cfg(not(loom))]
    pub(crate) fn address(&self) -> usize {
        (&raw const *self.word).addr()
    }
}

impl Sleeper {
    /// Returns at `deadline` ([`crate::KernelClock`]), or as soon as a [`Waker`] has woken since the last return.
    pub fn sleep_until(&mut self, deadline: Time) -> Woken {
        if self.word.compare_exchange(NOTHING, ASLEEP, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.word.swap(NOTHING, Ordering::Acquire);
            return Woken::Event;
        }
        while futex::wait(&self.word, ASLEEP, deadline) == Ended::Look {
            if self.word.compare_exchange(WOKEN, NOTHING, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Woken::Event;
            }
        }
        match self.word.swap(NOTHING, Ordering::Acquire) {
            WOKEN => Woken::Event,
            _ => Woken::Deadline,
        }
    }

    /// A waker for this sleeper.
    pub fn waker(&self) -> Waker {
        Waker { word: Arc::clone(&self.word) }
    }

    /// Of the word, for the list of system calls.
    #[cfg(not(loom))]
    pub(crate) fn address(&self) -> usize {
        (&raw const *self.word).addr()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use swarm_base::{Clock, Duration};

    use super::*;
    use crate::KernelClock;

    /// Far enough that only a lost wake-up reaches it.
    const FAR: Duration = Duration::from_millis(60_000);

    #[test]
    fn without_an_event_it_sleeps_to_the_deadline_and_not_shorter() {
        let (mut sleeper, _waker) = pair();
        let deadline = KernelClock.now() + Duration::from_millis(3);
        assert_eq!(sleeper.sleep_until(deadline), Woken::Deadline);
        assert!(KernelClock.now() >= deadline);
    }

    #[test]
    fn a_deadline_in_the_past_returns_at_once() {
        let (mut sleeper, _waker) = pair();
        assert_eq!(sleeper.sleep_until(Time::ZERO), Woken::Deadline);
    }

    #[test]
    fn wake_ups_before_the_sleep_end_it_once() {
        let (mut sleeper, waker) = pair();
        waker.wake();
        waker.clone().wake();
        assert_eq!(sleeper.sleep_until(KernelClock.now() + FAR), Woken::Event);
        assert_eq!(sleeper.sleep_until(Time::ZERO), Woken::Deadline);
    }

    #[test]
    fn an_event_is_told_even_when_the_deadline_has_passed() {
        let (mut sleeper, waker) = pair();
        waker.wake();
        assert_eq!(sleeper.sleep_until(Time::ZERO), Woken::Event);
    }

    #[test]
    fn no_wake_up_of_two_threads_that_answer_each_other_is_lost() {
        let (mut ours, wake_us) = pair();
        let (mut theirs, wake_them) = pair();
        let deadline = KernelClock.now() + FAR;
        let answering = thread::spawn(move || {
            for _ in 0..20_000 {
                assert_eq!(theirs.sleep_until(deadline), Woken::Event);
                wake_us.wake();
            }
        });
        for _ in 0..20_000 {
            wake_them.wake();
            assert_eq!(ours.sleep_until(deadline), Woken::Event);
        }
        answering.join().unwrap();
    }
}
