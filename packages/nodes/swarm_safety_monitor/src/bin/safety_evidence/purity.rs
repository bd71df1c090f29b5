//! What the loop asks of the system: nothing but to sleep and to wake, in every state of a cell at work. Memory and system calls are
//! guarded as in the shipped node, so that a breach ends this program; faults and switches are the kernel's counts of the thread.
//!
//! Locks: a lock that is contended waits on a futex, and the only one that the list lets this thread wait on is its own sleeper's
//! ([`swarm_rt::purity::system_calls`]). So a wait for a lock would have ended this program, and `locks` is 0 where the kernel says
//! that the list was in force to the end; a lock that nobody contends makes no call and holds nobody up. The thread's voluntary
//! switches stand beside it: at most one for each sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use clap::Args;
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration};
use swarm_rt::periodic::Periodic;
use swarm_rt::purity::allocation;
use swarm_rt::purity::counters::{Counters, ThreadId};
use swarm_rt::purity::system_calls::{Allowed, Breach, LISTED, allow_only};
use swarm_rt::{KernelClock, ThreadWish, prepare_thread};
use swarm_safety_core::State;

use crate::cell::{Bench, Place};
use crate::work::{Script, Work};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 10_000_000)]
    cycles: u64,
}

/// Short, so that ten million cycles take minutes; the loop is the same.
const PERIOD: Duration = Duration::from_micros(40);
/// Cycles before the count begins: the first ones touch their memory for the first time.
const WARM_UP: u64 = 10_000;
const SAMPLE_PERIOD: Duration = Duration::from_millis(2);

pub(crate) fn measure(options: &Options, place: Place) -> anyhow::Result<Value> {
    let mut work = Work::new(Bench::new(PERIOD, 4096, None)?, Script::Eventful);
    let mut decider = work.bench.decider.take().expect("made with one");
    let (tell, told) = mpsc::channel();
    let done = Arc::new(AtomicU64::new(0));
    let uses = Arc::new(AtomicU64::new(0));
    let last = WARM_UP + options.cycles;
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn({
        let (done, uses) = (Arc::clone(&done), Arc::clone(&uses));
        move || {
            let wish = ThreadWish { priority: place.priority, cpu: Some(place.cpu), stack_bytes: 256 << 10 };
            let lacks = prepare_thread(&wish);
            // Whoever started this thread waits for it. Waking him is a call that is not on the list, so it comes first.
            let _ = tell.send((ThreadId::current(), lacks));
            let allowed = Allowed { sleeper: &decider.sleeper, wakers: &[&decider.listener] };
            let listed = allow_only(allowed, Breach::KillsTheProcess).is_ok();
            let forbidden = allocation::forbid();
            let guarded = listed && forbidden.is_ok();
            let before = allocation::uses();
            let mut state = State::new(&decider.config, decider.first_epoch);
            let mut periodic = Periodic::aligned(KernelClock.now(), decider.period);
            let mut cycles = 0;
            while cycles < last {
                let occasion = periodic.wait(&mut decider.sleeper);
                decider.turn(&mut state, occasion);
                cycles += 1;
                done.store(cycles, Ordering::Release);
            }
            uses.store(allocation::uses() - before, Ordering::Release);
            drop(forbidden);
            // Giving memory back might need a call that is not on the list.
            std::mem::forget(decider);
            guarded
        }
    })?;
    let (id, lacks) = told.recv()?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    let mut begin = None;
    let mut newest = (0, Counters::of(id)?);
    let mut is_listed = false;
    while done.load(Ordering::Acquire) < last {
        work.turn(|_| ());
        work.bench.listening.sleep_until(KernelClock.now() + SAMPLE_PERIOD);
        let cycles = done.load(Ordering::Acquire);
        if cycles >= WARM_UP && cycles < last {
            // The thread is gone soon after its last cycle; this look may be the last.
            let Ok(counters) = Counters::of(id) else { break };
            let Ok(listed) = id.is_filtered() else { break };
            is_listed = listed;
            newest = (cycles, counters);
            if begin.replace(begin.unwrap_or(newest)).is_none() {
                work.count_anew();
            }
        }
    }
    let guarded = thread.join().map_err(|_| anyhow::anyhow!("the loop panicked"))?;
    anyhow::ensure!(guarded, "memory or system calls were not guarded");
    let (first, before) = begin.ok_or_else(|| anyhow::anyhow!("too few cycles to count"))?;
    let (cycles, counters) = (newest.0 - first, newest.1);
    let counted = counters - before;
    anyhow::ensure!(is_listed, "the kernel does not say that the thread's system calls are filtered");
    let mut figures = json!({
        "cycles": cycles,
        "allocations": uses.load(Ordering::Acquire),
        // A wait for one would have ended this program: see the top.
        "locks": 0,
        "page_faults": counted.minor_faults + counted.major_faults,
        "involuntary_switches": counted.involuntary_switches,
        "voluntary_switches": counted.voluntary_switches,
        "system_calls_listed": LISTED.len(),
    });
    for (state, cycles) in work.cycles() {
        let share_of = format!("cycles_{}", state.to_lowercase());
        anyhow::ensure!(
            cycles > 0 || state == "DENY",
            "the cell was never in {state}: the loop was not tried there"
        );
        figures[share_of] = json!(cycles);
    }
    eprintln!("system calls on the list: {}", LISTED.join(", "));
    Ok(json!({"figures": figures}))
}
