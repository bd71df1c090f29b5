//! Every value in order, from one thread to another, up to a bound; what finds the queue full is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A queue for `capacity` values. All memory is taken here.
pub fn queue<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    let lost = Lost(Arc::new(AtomicU64::new(0)));
    (Sender { producer, lost: lost.clone() }, Receiver { consumer, lost })
}

/// The end that sends.
#[derive(Debug)]
pub struct Sender<T> {
    producer: rtrb::Producer<T>,
    lost: Lost,
}

/// The end that receives.
#[derive(Debug)]
pub struct Receiver<T> {
    consumer: rtrb::Consumer<T>,
    lost: Lost,
}

/// How many values found their queue full; for whoever shows it.
#[derive(Clone, Debug)]
pub struct Lost(Arc<AtomicU64>);

impl<T> Sender<T> {
    /// Hands the value back when the queue is full, after counting it as lost.
    pub fn send(&mut self, value: T) -> Result<(), T> {
        self.producer.push(value).map_err(|rtrb::PushError::Full(value)| {
            self.lost.0.fetch_add(1, Ordering::Relaxed);
            value
        })
    }

    /// As [`Self::send`] for large values: one copy, from `value` into the queue's own memory, where passing it by value makes two.
    /// False when the queue was full.
    #[expect(unsafe_code, reason = "the safe way writes the value twice")]
    pub fn send_copy(&mut self, value: &T) -> bool
    where
        T: Copy,
    {
        let Ok(mut room) = self.producer.write_chunk_uninit(1) else {
            self.lost.0.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        // A chunk of one lies in one piece: the first slice.
        room.as_mut_slices().0[0].write(*value);
        // SAFETY: the chunk has one slot, and that was written just before.
        unsafe { room.commit_all() };
        true
    }

    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// True once the other end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.producer.is_abandoned()
    }
}

impl<T> Receiver<T> {
    /// The oldest value, if there is one.
    pub fn receive(&mut self) -> Option<T> {
        self.consumer.pop().ok()
    }

    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// True once the other end is gone; values may be left.
    pub fn is_abandoned(&self) -> bool {
        self.consumer.is_abandoned()
    }
}

impl Lost {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// `Some` sends, `None` receives; a bounded queue of the standard library is the oracle.
        #[test]
        fn it_is_a_bounded_queue_that_counts(
            capacity in 1usize..9,
            actions in prop::collection::vec(prop::option::of(any::<u8>()), 0..200),
        ) {
            let (mut sender, mut receiver) = queue(capacity);
            let (mut oracle, mut lost) = (VecDeque::new(), 0);
            for action in actions {
                match action {
                    Some(value) if oracle.len() == capacity => {
                        lost += 1;
                        prop_assert_eq!(sender.send(value), Err(value));
                        lost += 1;
                        prop_assert!(!sender.send_copy(&value));
                    }
                    Some(value) => {
                        oracle.push_back(value);
                        if value % 2 == 0 {
                            prop_assert_eq!(sender.send(value), Ok(()));
                        } else {
                            prop_assert!(sender.send_copy(&value));
                        }
                    }
                    None => prop_assert_eq!(receiver.receive(), oracle.pop_front()),
                }
                prop_assert_eq!(receiver.lost().count(), lost);
            }
        }
    }

    #[test]
    fn between_threads_every_value_arrives_in_order_or_is_counted() {
        const SENT: u64 = 200_000;
        let (mut sender, mut receiver) = queue(64);
        let sending = thread::spawn(move || (0..SENT).filter(|n| sender.send(*n).is_ok()).count() as u64);
        let (mut arrived, mut next) = (0, 0);
        loop {
            let ended = receiver.is_abandoned();
            while let Some(value) = receiver.receive() {
                assert!(value >= next, "{value} after {next}");
                (arrived, next) = (arrived + 1, value + 1);
            }
            if ended {
                break;
            }
        }
        assert_eq!(arrived, sending.join().unwrap());
        assert_eq!(arrived + receiver.lost().count(), SENT);
    }
}
