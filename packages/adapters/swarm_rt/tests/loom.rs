//! Every order of the threads that share a cell (loom): the code of [`swarm_rt::wake`] and [`swarm_rt::cells::presses`] that
//! ships, over loom's atomics and a model of the futex.
//!
//!     RUSTFLAGS="--cfg loom" cargo test --release -p swarm_rt --test loom --target-dir target/loom
//!
//! `triple_buffer` and `rtrb` are made of the standard library's atomics, which loom cannot see. Their protocols are modelled
//! here, step for step as their sources have them, and explored together with the wake-up as the monitor composes them.

#![cfg(loom)]
#![expect(
    unsafe_code,
    reason = "loom's cells give pointers; it checks every access for a second one at the same time"
)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use loom::thread;
use swarm_base::Time;
use swarm_rt::cells::presses;
use swarm_rt::wake::{self, Woken};

/// No deadline: a lost wake-up then sleeps for good, which loom reports as a deadlock.
const NEVER: Time = Time(u64::MAX);
const AT_ONCE: Time = Time::ZERO;

/// Every order of three threads in which at most three times a thread is taken its CPU while it could go on: with all orders
/// the two models of three threads take longer than a test may, and errors of such protocols need one or two.
fn model_of_three(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_wake_up_at_any_moment_ends_the_sleep() {
    loom::model(|| {
        let (mut sleeper, waker) = wake::pair();
        let waking = thread::spawn(move || waker.wake());
        assert_eq!(sleeper.sleep_until(NEVER), Woken::Event);
        waking.join().unwrap();
        assert_eq!(sleeper.sleep_until(AT_ONCE), Woken::Deadline, "one wake-up ended two sleeps");
    });
}

#[test]
fn a_deadline_loses_no_wake_up_to_the_next_sleep() {
    loom::model(|| {
        let (mut sleeper, waker) = wake::pair();
        let waking = thread::spawn(move || waker.wake());
        if sleeper.sleep_until(AT_ONCE) == Woken::Deadline {
            assert_eq!(sleeper.sleep_until(NEVER), Woken::Event);
        }
        waking.join().unwrap();
    });
}

#[test]
fn what_two_wakers_wrote_is_seen_after_they_woke() {
    model_of_three(|| {
        let (mut sleeper, waker) = wake::pair();
        let written = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let waking: Vec<_> = (0..2)
            .map(|index| {
                let (waker, written) = (waker.clone(), Arc::clone(&written));
                thread::spawn(move || {
                    // Relaxed: only the wake-up orders it.
                    written[index].store(1, Ordering::Relaxed);
                    waker.wake();
                })
            })
            .collect();
        while written.iter().map(|value| value.load(Ordering::Relaxed)).sum::<usize>() < 2 {
            // Never sleeps for good: as long as something is not seen, its wake-up is still to come.
            assert_eq!(sleeper.sleep_until(NEVER), Woken::Event);
        }
        waking.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_press_is_never_lost_whoever_presses() {
    model_of_three(|| {
        let (mut sleeper, waker) = wake::pair();
        let (button, mut pressed) = presses::presses();
        let pressing: Vec<_> = (0..2)
            .map(|_| {
                let (waker, button) = (waker.clone(), button.clone());
                thread::spawn(move || {
                    button.press();
                    waker.wake();
                })
            })
            .collect();
        let mut seen = 0;
        while seen < 2 {
            sleeper.sleep_until(NEVER);
            seen += pressed.take();
        }
        pressing.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((seen, pressed.take()), (2, 0));
    });
}

/// The exchange of `triple_buffer` 9.0: two ends own one buffer each, the third lies between them with a mark when it is newer.
struct TripleBuffer {
    buffers: [UnsafeCell<usize>; 3],
    between: AtomicU8,
}

const INDEX: u8 = 0b011;
const DIRTY: u8 = 0b100;

impl TripleBuffer {
    fn new() -> Arc<Self> {
        let buffers = [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Self { buffers, between: AtomicU8::new(0) })
    }

    /// `Input::write`; `mine` begins as 1.
    fn write(&self, mine: &mut u8, value: usize) {
        // SAFETY: this buffer is the writer's own; if the protocol were wrong, loom would fail the model.
        self.buffers[usize::from(*mine)].with_mut(|buffer| unsafe { *buffer = value });
        *mine = self.between.swap(*mine | DIRTY, Ordering::AcqRel) & INDEX;
    }

    /// `Output::read`; `mine` begins as 2.
    fn read(&self, mine: &mut u8) -> usize {
        if self.between.load(Ordering::Relaxed) & DIRTY != 0 {
            *mine = self.between.swap(*mine, Ordering::AcqRel) & INDEX;
        }
        // SAFETY: this buffer is the reader's own; as above.
        self.buffers[usize::from(*mine)].with(|buffer| unsafe { *buffer })
    }
}

#[test]
fn after_a_wake_up_the_newest_value_is_read() {
    loom::model(|| {
        let (mut sleeper, waker) = wake::pair();
        let cell = TripleBuffer::new();
        let writer = Arc::clone(&cell);
        let writing = thread::spawn(move || {
            let mut mine = 1;
            for value in 1..=2 {
                writer.write(&mut mine, value);
                waker.wake();
            }
        });
        let (mut mine, mut last) = (2, 0);
        while last < 2 {
            assert_eq!(sleeper.sleep_until(NEVER), Woken::Event);
            let value = cell.read(&mut mine);
            assert!(value >= last, "{value} after {last}");
            last = value;
        }
        writing.join().unwrap();
    });
}

/// The ring of `rtrb` 0.4 with one place: each end owns its position and publishes it with release.
struct Ring {
    place: UnsafeCell<usize>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

impl Ring {
    fn push(&self, value: usize) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail - self.head.load(Ordering::Acquire) == 1 {
            return false;
        }
        // SAFETY: an empty place is the sender's; if the protocol were wrong, loom would fail the model.
        self.place.with_mut(|place| unsafe { *place = value });
        self.tail.store(tail + 1, Ordering::Release);
        true
    }

    fn pop(&self) -> Option<usize> {
        let head = self.head.load(Ordering::Relaxed);
        if self.tail.load(Ordering::Acquire) == head {
            return None;
        }
        // SAFETY: a full place is the receiver's; as above.
        let value = self.place.with(|place| unsafe { *place });
        self.head.store(head + 1, Ordering::Release);
        Some(value)
    }
}

#[test]
fn every_value_of_the_queue_arrives_or_is_counted_as_lost() {
    loom::model(|| {
        let (mut sleeper, waker) = wake::pair();
        let ring = Arc::new(Ring {
            place: UnsafeCell::new(0),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
        });
        let lost = Arc::new(AtomicUsize::new(0));
        let (sender, counted) = (Arc::clone(&ring), Arc::clone(&lost));
        let sending = thread::spawn(move || {
            for value in 1..=2 {
                if !sender.push(value) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                waker.wake();
            }
        });
        let (mut arrived, mut last) = (0, 0);
        while arrived + lost.load(Ordering::Relaxed) < 2 {
            assert_eq!(sleeper.sleep_until(NEVER), Woken::Event);
            while let Some(value) = ring.pop() {
                assert!(value > last, "{value} after {last}");
                (arrived, last) = (arrived + 1, value);
            }
        }
        sending.join().unwrap();
        assert_eq!((arrived + lost.load(Ordering::Relaxed), ring.pop()), (2, None));
    });
}
