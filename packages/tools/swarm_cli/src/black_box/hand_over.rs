//! What handing a cycle over costs the deciding thread: the entry built of the cycle's parts and copied into the wait-free queue, as
//! the monitor does it, beside a single number through a queue of the same length.
//!
//! The queue is as long as the monitor's ([`ENTRIES_WAITING`]) and goes round, so that each slot was last touched thousands of entries
//! ago; and before each measurement the caches are filled with other things, as the rest of the machine does in the millisecond
//! between two cycles. What is handed over has just been computed.

use std::hint::black_box;
use std::time::Instant;

use swarm_base::Time;
use swarm_black_box::{Cycle, Entry};
use swarm_black_box_file::ENTRIES_WAITING;
use swarm_rt::cells::queue::{self, Receiver, Sender};
use swarm_safety_core::{Inputs, Verdict};

use super::work::Work;

/// Times of one hand-over, ns: medians over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandOver {
    pub entry_ns: f64,
    /// As `entry_ns`, while slots of the queue and everything else lie in the caches.
    pub warm_entry_ns: f64,
    /// A `u64`, cold, in turn with the entries.
    pub number_ns: f64,
}

/// Hand-overs that are timed together: one alone takes no longer than looking at the clock.
const BATCH: usize = 8;

/// More than the largest cache of any machine that this runs on, bytes.
const OTHER_THINGS: usize = 64 << 20;

/// A cycle as the deciding thread has it.
struct Decided {
    now: Time,
    generation: u64,
    inputs: Inputs,
    verdict: Verdict,
}

/// Measures `rounds` of 8 hand-overs each.
pub fn hand_over(work: &mut Work, rounds: usize) -> HandOver {
    let mut others = vec![0_u8; OTHER_THINGS];
    let (mut cold, mut warm, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let first = decided(work);
    let mut entries = Ends::new(ENTRIES_WAITING, entry(&first[0]));
    let mut near = Ends::new(BATCH, entry(&first[0]));
    let mut plain = Ends::new(ENTRIES_WAITING, 0_u64);
    let mut near_plain = Ends::new(BATCH, 0_u64);
    for _ in 0..rounds {
        let decided = decided(work);
        near.round(&decided, entry);
        warm.push(near.round(&decided, entry));
        // What the deciding thread has at hand are its code and the cycle, not the queue.
        fill_caches(&mut others);
        near.round(&decided, entry);
        cold.push(entries.round(&decided, entry));
        fill_caches(&mut others);
        near_plain.round(&decided, number);
        numbers.push(plain.round(&decided, number));
    }
    HandOver { entry_ns: median(cold), warm_entry_ns: median(warm), number_ns: median(numbers) }
}

/// As `BlackBox::after` of the safety monitor builds it.
fn entry(decided: &Decided) -> Entry {
    let Decided { now, generation, inputs, verdict } = *decided;
    Entry::Cycle { generation, cycle: Cycle { now, inputs, verdict } }
}

fn number(decided: &Decided) -> u64 {
    decided.now.0
}

/// Both ends of a queue.
struct Ends<T> {
    queue: (Sender<T>, Receiver<T>),
}

impl<T: Copy + Send> Ends<T> {
    /// A queue of that length, every slot of which has been used: the monitor's memory is resident from the start.
    fn new(length: usize, value: T) -> Self {
        let (mut sender, mut receiver) = queue::queue(length);
        while sender.send_copy(&value) {}
        while receiver.receive().is_some() {}
        Self { queue: (sender, receiver) }
    }

    /// Time per hand-over, ns. The queue is empty before and after.
    fn round(&mut self, decided: &[Decided], value: impl Fn(&Decided) -> T) -> f64 {
        let (sender, receiver) = &mut self.queue;
        let start = Instant::now();
        for decided in decided {
            black_box(sender.send_copy(&value(black_box(decided))));
        }
        let passed = start.elapsed();
        while let Some(value) = receiver.receive() {
            black_box(&value);
        }
        passed.as_nanos() as f64 / decided.len() as f64
    }
}

/// The next cycles of a cell at work.
fn decided(work: &mut Work) -> Vec<Decided> {
    (0..BATCH)
        .filter_map(|_| match work.cycle().1 {
            Entry::Cycle { generation, cycle: Cycle { now, inputs, verdict } } => {
                Some(Decided { now, generation, inputs, verdict })
            }
            Entry::Snapshot(_) => None,
        })
        .collect()
}

fn fill_caches(others: &mut [u8]) {
    // One byte per line is enough.
    others.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
    black_box(others);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
