//! Presses of a button: a stop that is asked for and taken back at once has still been asked for.
//!
//! A flag would forget the press between two looks. A counter forgets nothing, whoever presses, however often.

use crate::sync::{Arc, AtomicU64, Ordering};

/// A button that was never pressed.
pub fn presses() -> (Button, Presses) {
    let count = Arc::new(AtomicU64::new(0));
    (Button { count: Arc::clone(&count) }, Presses { count, seen: 0 })
}

/// The end that presses, from any thread.
#[derive(Clone, Debug)]
pub struct Button {
    count: Arc<AtomicU64>,
}

/// The end that looks.
#[derive(Debug)]
pub struct Presses {
    count: Arc<AtomicU64>,
    seen: u64,
}

impl Button {
    /// What this thread wrote before, the thread that sees the press sees too.
    pub fn press(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }
}

impl Presses {
    /// How often the button was pressed since the last look.
    pub fn take(&mut self) -> u64 {
        let count = self.count.load(Ordering::Acquire);
        // Wraps after 2^64 presses, and is right even then.
        let new = count.wrapping_sub(self.seen);
        self.seen = count;
        new
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn each_press_is_told_once() {
        let (button, mut presses) = presses();
        assert_eq!(presses.take(), 0);
        button.press();
        button.clone().press();
        assert_eq!((presses.take(), presses.take()), (2, 0));
    }

    #[test]
    fn presses_of_many_threads_are_all_counted() {
        let (button, mut presses) = presses();
        let pressing: Vec<_> = (0..4)
            .map(|_| {
                let button = button.clone();
                thread::spawn(move || (0..50_000).for_each(|_| button.press()))
            })
            .collect();
        let mut counted = 0;
        while counted < 200_000 {
            counted += presses.take();
        }
        for thread in pressing {
            thread.join().unwrap();
        }
        assert_eq!((counted, presses.take()), (200_000, 0));
    }
}
