//! One number for a whole state.

use std::hash::{Hash, Hasher};

use crate::state::{State, Stop, Timer};
use crate::status::NodeStatus;

impl State {
    /// A 64-bit digest of the whole state, the same on every machine. For finding the first tick at which two runs part: it
    /// takes about as long as a tick, and is no cryptographic hash.
    pub fn digest(&self) -> u64 {
        let mut h = Mixer(0);
        for statuses in self.status.chunks(8) {
            let bits = |bits, status: &NodeStatus| bits << 8 | *status as u64;
            h.word(statuses.iter().fold(0, bits));
        }
        for memory in &*self.memory {
            h.pair(memory.index, memory.count);
        }
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
