//! What happens to a cell in a run, as data.

use rand::RngExt as _;
use rand::rngs::SmallRng;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The cell's disk is empty.
    pub(crate) new_cell: bool,
    /// How many of the versions the assignment goes on, in a circle; at least one.
    pub(crate) forward: usize,
    pub(crate) faults: Vec<Timed>,
    /// The cell is killed once it is in step.
    pub(crate) killed_at_the_end: bool,
}

/// A fault, from the beginning of the run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) at_ms: u64,
    pub(crate) for_ms: u64,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL; it is down until the end.
    Kill,
    Cut,
    Stall,
    Noise,
    FullDisk,
    /// So many seconds beside the right time.
    Clock(i64),
    /// Killed, and a byte of an archive in its cache changes while it is down.
    Damage,
    /// The registry assigns another version.
    Reassign,
}

impl Plan {
    pub(crate) fn calm(number: usize, versions: usize) -> Self {
        let forward = 1 + number % (versions - 1);
        Self { new_cell: number == 0, forward, faults: Vec::new(), killed_at_the_end: false }
    }

    pub(crate) fn random(rng: &mut SmallRng, versions: usize, may_fill: bool) -> Self {
        let faults = (0..rng.random_range(1..=4))
            .map(|_| Timed {
                at_ms: rng.random_range(0..120),
                for_ms: rng.random_range(5..120),
                fault: fault(rng, may_fill),
            })
            .collect();
        Self {
            new_cell: rng.random_bool(0.6),
            forward: rng.random_range(1..versions),
            faults,
            killed_at_the_end: rng.random_bool(0.3),
        }
    }
}

fn fault(rng: &mut SmallRng, may_fill: bool) -> Fault {
    match rng.random_range(0..12) {
        0..=3 => Fault::Kill,
        4 => Fault::Cut,
        5 => Fault::Stall,
        6 | 7 => Fault::Noise,
        8 if may_fill => Fault::FullDisk,
        8 => Fault::Kill,
        9 => {
            let span = [60, HOUR_S, DAY_S, 10 * DAY_S, 400 * DAY_S, 4_000 * DAY_S][rng.random_range(0..6)];
            Fault::Clock(if rng.random_bool(0.5) { span } else { -span })
        }
        10 => Fault::Damage,
        _ => Fault::Reassign,
    }
}
