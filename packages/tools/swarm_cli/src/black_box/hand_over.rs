//! What handing an entry over costs the deciding thread: the push into the wait-free queue, beside that of a single number.

use std::time::Instant;

use swarm_black_box::Entry;
use swarm_rt::cells::queue;

use super::work::Work;

/// Times of one push, ns: medians over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandOver {
    pub entry_ns: f64,
    /// A `u64` through a queue of the same length, in turn with the entries.
    pub number_ns: f64,
}

/// As many entries as the deciding thread may be ahead by, in one round.
const BATCH: usize = 256;

/// Measures `rounds` of 256 pushes each. Entries are those of a cell at work, a snapshot among every hundred.
pub fn hand_over(work: &mut Work, rounds: usize) -> HandOver {
    let entries: Vec<Entry> = (0..BATCH)
        .flat_map(|_| {
            let (snapshot, cycle) = work.cycle();
            snapshot.into_iter().chain([cycle])
        })
        .take(BATCH)
        .collect();
    let numbers: Vec<u64> = (0..BATCH as u64).collect();
    let (mut entry_times, mut number_times) = (Vec::new(), Vec::new());
    let (mut send_entry, mut receive_entry) = queue::queue(BATCH);
    let (mut send_number, mut receive_number) = queue::queue(BATCH);
    for _ in 0..rounds {
        entry_times.push(round(&entries, &mut send_entry, &mut receive_entry));
        number_times.push(round(&numbers, &mut send_number, &mut receive_number));
    }
    HandOver { entry_ns: median(entry_times), number_ns: median(number_times) }
}

fn round<T: Copy + Send>(
    values: &[T],
    sender: &mut queue::Sender<T>,
    receiver: &mut queue::Receiver<T>,
) -> f64 {
    let start = Instant::now();
    for value in values {
        // It is empty at the begin of the round and holds all of it.
        std::hint::black_box(sender.send_copy(std::hint::black_box(value)));
    }
    let passed = start.elapsed();
    while let Some(value) = receiver.receive() {
        std::hint::black_box(&value);
    }
    passed.as_nanos() as f64 / values.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
