//! The atomics and the futex that the cells and the wake-up are made of; under `--cfg loom` those of loom, so that the very
//! code that ships is explored over every order of its threads.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[cfg(not(loom))]
pub(crate) mod futex {
    use rustix::io::Errno;
    use rustix::thread::futex::{self, Flags};
    use std::num::NonZeroU32;
    use std::sync::atomic::AtomicU32;
    use swarm_base::Time;

    use crate::clock::timespec_of;

    /// Why a wait ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Ended {
        /// Woken, or the word was another, or a signal came: look at the word.
        Look,
        TimedOut,
    }

    /// The word that threads sleep on.
    pub(crate) type Word = AtomicU32;

    /// `FUTEX_WAIT_BITSET` without `FUTEX_CLOCK_REALTIME`: the deadline is absolute, on `CLOCK_MONOTONIC`.
    pub(crate) fn wait(word: &Word, expected: u32, deadline: Time) -> Ended {
        const ANY: NonZeroU32 = NonZeroU32::MAX;
        match futex::wait_bitset(word, Flags::PRIVATE, expected, Some(&timespec_of(deadline)), ANY) {
            Err(Errno::TIMEDOUT) => Ended::TimedOut,
            // EAGAIN: the word was not as expected. EINTR: a signal. Nothing else can be: address and time are well formed.
            Ok(()) | Err(_) => Ended::Look,
        }
    }

    pub(crate) fn wake_one(word: &Word) {
        // It can only fail for a bad address, and this is a reference.
        let _ = futex::wake(word, Flags::PRIVATE, 1);
    }
}

/// A futex by its man page: comparing and falling asleep is one step with respect to waking. Time does not pass here; a wait
/// whose deadline is [`swarm_base::Time::ZERO`] has timed out at once.
#[cfg(loom)]
pub(crate) mod futex {
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};
    use swarm_base::Time;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Ended {
        Look,
        TimedOut,
    }

    #[derive(Debug)]
    pub(crate) struct Word {
        word: AtomicU32,
        /// The kernel's queue of sleepers.
        queue: Mutex<()>,
        woken: Condvar,
    }

    impl Word {
        pub(crate) fn new(value: u32) -> Self {
            Self { word: AtomicU32::new(value), queue: Mutex::new(()), woken: Condvar::new() }
        }
    }

    impl std::ops::Deref for Word {
        type Target = AtomicU32;

        fn deref(&self) -> &AtomicU32 {
            &self.word
        }
    }

    pub(crate) fn wait(word: &Word, expected: u32, deadline: Time) -> Ended {
        if deadline == Time::ZERO {
            return Ended::TimedOut;
        }
        let queue = word.queue.lock().unwrap();
        if word.load(Ordering::SeqCst) == expected {
            drop(word.woken.wait(queue).unwrap());
        }
        Ended::Look
    }

    pub(crate) fn wake_one(word: &Word) {
        let _queue = word.queue.lock().unwrap();
        word.woken.notify_one();
    }
}
