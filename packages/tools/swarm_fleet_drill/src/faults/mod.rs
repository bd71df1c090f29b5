//! Cells under faults. Each is a process of its own beside a running registry, behind a link of the drill's: it is killed at random
//! instants, its link is cut, stalls or changes bytes, its disk is full for a while, its clock is set, files of its cache change.
//!
//! A run
//! 1. begins with the cell as the last run left it, or with a new one; the registry assigns another artifact;
//! 2. faults come and go by a random plan ([`plan`]); whenever the cell is down, and now and then while it works, what it has on its
//!    disk is judged from outside ([`judge`]);
//! 3. everything is well again, and the cell has to get in step by itself within [`LONGEST`].
//!
//! All of this runs in a mount namespace of its own, where small file systems that can be filled are the cells' disks.

mod child;
mod disk;
mod judge;
mod plan;
mod slot;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

pub(crate) use self::child::{Arguments as CellArguments, run as run_cell};
use self::plan::Plan;
use self::slot::{Slot, Tally, World};
use crate::bed::Bed;

/// After the last fault.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];
/// Of an artifact.
const KIB: usize = 512;
/// Runs without faults, for comparison.
const CALM_RUNS: u64 = 5;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) runs: u64,
    /// Cells at a time.
    pub(crate) parallel: u64,
    pub(crate) seed: u64,
}

/// Does all runs below `work`; gives `{figures, reference, ratios}`.
pub(crate) fn drill(work: &Path, size: Size) -> Result<Value> {
    let bed = Bed::new(work, KIB)?;
    let world = World::new(&bed, &VERSIONS)?;
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        let slots: Vec<_> = (0..size.parallel)
            .map(|index| {
                let (world, next, tally) = (&world, &next, &tally);
                scope.spawn(move || -> Result<()> {
                    let mut slot = Slot::open(world, work, index, size.seed)?;
                    for number in 0..CALM_RUNS {
                        slot.run(&Plan::calm(number as usize, VERSIONS.len()), None)?;
                    }
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= size.runs {
                            break;
                        }
                        // Which slot does it is up to the scheduler; what happens in it is up to the seed.
                        let mut rng = SmallRng::seed_from_u64(size.seed ^ number.wrapping_mul(0x9e37_79b9));
                        let plan = Plan::random(&mut rng, VERSIONS.len(), slot.can_be_filled());
                        slot.run(&plan, Some(number))?;
                    }
                    tally.lock().map_err(|_| anyhow!("another slot broke off"))?.add(slot.end());
                    Ok(())
                })
            })
            .collect();
        slots.into_iter().try_for_each(|slot| slot.join().map_err(|_| anyhow!("a slot broke off"))?)
    })?;
    let tally = tally.into_inner().map_err(|_| anyhow!("a slot broke off"))?;
    Ok(figures(tally))
}

fn figures(mut tally: Tally) -> Value {
    tally.converged_s.sort_by(f64::total_cmp);
    tally.calm_s.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], share: f64| {
        let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    };
    let (median, calm) = (at(&tally.converged_s, 0.5), at(&tally.calm_s, 0.5));
    json!({
        "figures": {
            "runs": tally.runs,
            "torn": tally.torn,
            "unverified": tally.unverified,
            "converged": tally.converged_s.len(),
            "swapped_in_motion": tally.swapped_in_motion,
            "converge_s_p50": median,
            "converge_s_p99": at(&tally.converged_s, 0.99),
            "converge_s_p100": at(&tally.converged_s, 1.0),
            "judged": tally.judged,
            "kills": tally.kills,
            "ends_by_itself": tally.ends_by_itself,
            "cuts": tally.cuts,
            "stalls": tally.stalls,
            "bytes_changed": tally.bytes_changed,
            "full_disks": tally.full_disks,
            "clock_jumps": tally.clock_jumps,
            "damaged_files": tally.damaged_files,
        },
        "reference": { "calm_converge_s_p50": calm },
        "ratios": { "ratio_calm": median / calm },
    })
}
