//! One number for a whole state.

use std::hash::{Hash, Hasher};

use crate::state::{State, Stop, Timer};

impl State {
    /// A 64-bit digest of the whole state, the same on every machine. For finding the first tick at which two runs part: it
    /// takes a fraction of a tick, and is no cryptographic hash.
    pub fn digest(&self) -> u64 {
        let mut h = Mixer(0);
        let (eights, last) = self.status.as_chunks::<8>();
        h.words(eights, |eight| u64::from_le_bytes(eight.map(|status| status as u8)));
        h.words(last, |status| *status as u64);
        h.words(&self.memory, |memory| u64::from(memory.index) << 32 | u64::from(memory.count));
        for slot in &*self.slots {
            h.pair(u32::from(slot.exists), u32::from(slot.value.is_some()));
            h.word(slot.writes);
            if let Some(value) = &slot.value {
                value.hash(&mut h);
            }
        }
        for timer in &*self.timers {
            match timer {
                Timer::Stopped => h.word(0),
                Timer::Over => h.word(1),
                Timer::Until(time) => {
                    h.word(2);
                    h.word(time.0);
                }
            }
        }
        for word in &*self.words {
            h.word(*word);
        }
        for queue in &*self.queues {
            h.pair(queue.next, u32::from(queue.items.is_some()) << 1 | u32::from(queue.busy));
            if let Some(items) = &queue.items {
                items.hash(&mut h);
            }
        }
        for stop in &*self.stops {
            match stop {
                Stop::No => h.word(0),
                Stop::Stopped => h.word(1),
                Stop::Halting { since, overdue, wanted } => {
                    h.pair(2, u32::from(*overdue) << 1 | u32::from(*wanted));
                    h.word(since.0);
                }
            }
        }
        h.word(self.ticks);
        h.word(u64::from(self.wake));
        h.finish()
    }
}

/// Takes in eight bytes at a time, one multiplication each.
struct Mixer(u64);

impl Mixer {
    #[inline]
    fn word(&mut self, word: u64) {
        // 2^64 divided by the golden ratio, made odd.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Many words. Four sums side by side, so that no multiplication waits for the one before.
    #[inline]
    fn words<T>(&mut self, items: &[T], word: impl Fn(&T) -> u64) {
        let (fours, last) = items.as_chunks::<4>();
        let mut sums = [0, 1, 2, 3].map(Mixer);
        for four in fours {
            for (sum, item) in sums.iter_mut().zip(four) {
                sum.word(word(item));
            }
        }
        for (sum, item) in sums.iter_mut().zip(last) {
            sum.word(word(item));
        }
        for sum in sums {
            self.word(sum.0);
        }
    }

    #[inline]
    fn pair(&mut self, high: u32, low: u32) {
        self.word(u64::from(high) << 32 | u64::from(low));
    }
}

impl Hasher for Mixer {
    /// Whoever writes bytes of varying number writes the number first.
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.word(chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    /// The high bits are the well-mixed ones.
    fn finish(&self) -> u64 {
        (self.0 ^ self.0 >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}
