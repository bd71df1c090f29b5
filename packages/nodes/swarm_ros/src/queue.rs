//! Bounded queues between the spin thread and the threads that work, with every loss counted.
//!
//! `r2r` hands over at most one message per subscription and spin, and holds ten; the spin thread takes it off in the same turn, so
//! nothing is lost inside `r2r`. What is lost before (by the network or the middleware) shows as a gap in the messages' own
//! sequence; what is lost after shows as dropped here.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::diagnostics::{Level, Report};

/// What happened to the messages of one subscription so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that arrived.
    pub received: u64,
    /// Messages that were pushed out by newer ones before anyone took them.
    pub dropped: u64,
    /// Messages that the sequence numbers say were sent and never arrived.
    pub missing: u64,
    /// Messages whose sequence number did not go up.
    pub out_of_order: u64,
}

/// Counts arrivals, and gaps in their sequence numbers where they have one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrivalCounter {
    pub counts: QueueCounts,
    last_sequence: Option<u64>,
}

impl ArrivalCounter {
    /// Counts one message. A sequence that restarts at zero or one is a restarted publisher, not disorder.
    pub fn arrived(&mut self, sequence: Option<u64>) {
        self.counts.received += 1;
        let Some(sequence) = sequence else { return };
        if let Some(last) = self.last_sequence {
            if sequence > last {
                self.counts.missing += sequence - last - 1;
            } else if sequence > 1 {
                self.counts.out_of_order += 1;
            }
        }
        self.last_sequence = Some(sequence);
    }
}

/// A bounded queue that keeps the newest messages. Clones share it.
#[derive(Debug)]
pub struct CountedQueue<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    filled_async: tokio::sync::Notify,
}

#[derive(Debug)]
struct State<T> {
    messages: VecDeque<T>,
    capacity: usize,
    counter: ArrivalCounter,
}

/// How long a loss stays a warning.
const RECENT: Duration = Duration::from_mins(1);

/// Tells from the counts of one subscription, looked at again and again, whether messages were lost lately.
#[derive(Debug, Default)]
pub(crate) struct LossWatch {
    lost: u64,
    last: Option<Instant>,
}

impl LossWatch {
    /// What diagnostics say at the time `now`.
    pub(crate) fn report(&mut self, counts: QueueCounts, now: Instant) -> Report {
        let lost = counts.dropped + counts.missing;
        if lost > self.lost {
            (self.lost, self.last) = (lost, Some(now));
        }
        let report = match self.last {
            Some(last) if now.saturating_duration_since(last) < RECENT => {
                Report::new(Level::Warn, "messages were lost within the last minute")
            }
            Some(_) => Report::ok("no loss within the last minute"),
            None => Report::ok("no loss"),
        };
        report
            .with("received", counts.received)
            .with("dropped", counts.dropped)
            .with("missing", counts.missing)
            .with("out_of_order", counts.out_of_order)
    }
}

impl<T> Clone for CountedQueue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> CountedQueue<T> {
    /// An empty queue that holds up to `capacity` messages, at least one.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let state = State {
            messages: VecDeque::with_capacity(capacity),
            capacity,
            counter: ArrivalCounter::default(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                filled: Condvar::new(),
                filled_async: tokio::sync::Notify::new(),
            }),
        }
    }

    /// Adds a message; a full queue loses its oldest.
    pub fn push(&self, message: T, sequence: Option<u64>) {
        {
            let mut state = self.state();
            state.counter.arrived(sequence);
            if state.messages.len() == state.capacity {
                state.messages.pop_front();
                state.counter.counts.dropped += 1;
            }
            state.messages.push_back(message);
        }
        self.shared.filled.notify_one();
        self.shared.filled_async.notify_one();
    }

    /// The oldest message, if there is one.
    pub fn try_pop(&self) -> Option<T> {
        self.state().messages.pop_front()
    }

    /// Everything that waits, oldest first.
    pub fn drain(&self) -> Vec<T> {
        self.state().messages.drain(..).collect()
    }

    /// The oldest message, waiting up to `timeout` for one.
    pub fn pop_timeout(&self, timeout: Duration) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if let Some(message) = state.messages.pop_front() {
                return Some(message);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.shared.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The oldest message, waiting for one without blocking the thread. For one async consumer.
    pub async fn next(&self) -> T {
        loop {
            if let Some(message) = self.try_pop() {
                return message;
            }
            // A push between the try and this call leaves a permit, so the wake-up cannot be missed.
            self.shared.filled_async.notified().await;
        }
    }

    pub fn counts(&self) -> QueueCounts {
        self.state().counter.counts
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // The state is consistent between any two statements that can panic.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_keeps_the_newest_and_counts_the_lost() {
        let queue = CountedQueue::new(2);
        for n in 0..5 {
            queue.push(n, None);
        }
        assert_eq!(queue.drain(), [3, 4]);
        assert_eq!(queue.counts(), QueueCounts { received: 5, dropped: 3, ..QueueCounts::default() });
    }

    #[test]
    fn gaps_and_disorder_in_the_sequence_are_counted() {
        let mut counter = ArrivalCounter::default();
        for sequence in [4, 5, 9, 8, 9] {
            counter.arrived(Some(sequence));
        }
        assert_eq!((counter.counts.missing, counter.counts.out_of_order), (3, 1));
    }

    #[test]
    fn a_restarted_publisher_is_not_disorder() {
        let mut counter = ArrivalCounter::default();
        for sequence in [7, 8, 0, 1] {
            counter.arrived(Some(sequence));
        }
        assert_eq!(counter.counts, QueueCounts { received: 4, ..QueueCounts::default() });
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_message() {
        let queue = CountedQueue::new(1);
        let producer = queue.clone();
        let thread = std::thread::spawn(move || producer.push("here", None));
        assert_eq!(queue.pop_timeout(Duration::from_secs(10)), Some("here"));
        thread.join().unwrap();
    }

    #[test]
    fn waiting_ends_at_the_timeout() {
        assert_eq!(CountedQueue::<u8>::new(1).pop_timeout(Duration::ZERO), None);
    }

    #[test]
    fn a_loss_is_a_warning_for_a_minute_and_stays_counted() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let lost = |dropped| QueueCounts { received: 9, dropped, ..QueueCounts::default() };
        let mut watch = LossWatch::default();
        assert_eq!(watch.report(lost(0), at(0)).level, Level::Ok);
        assert_eq!(watch.report(lost(1), at(1)).level, Level::Warn);
        assert_eq!(watch.report(lost(1), at(60)).level, Level::Warn);
        let later = watch.report(lost(1), at(62));
        assert_eq!((later.level, later.message.as_str()), (Level::Ok, "no loss within the last minute"));
        assert!(later.values.contains(&("dropped".to_owned(), "1".to_owned())), "{later:?}");
        assert_eq!(watch.report(lost(2), at(63)).level, Level::Warn, "the next one warns again");
    }
}
