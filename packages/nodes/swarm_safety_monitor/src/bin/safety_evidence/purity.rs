//! What the loop asks of the system: nothing but to sleep and to wake, in every state of a cell at work. Memory and system calls are
//! guarded as in the shipped node, so that a breach ends this program; faults and switches are the kernel's counts of the thread.
//!
//! Locks: a lock that is contended waits on a futex, and the only one that the list lets this thread wait on is its own sleeper's
//! ([`swarm_rt::purity::system_calls`]). So a wait for a lock would have ended this program, and `locks` is 0 where the kernel says
//! that the list was in force to the end; a lock that nobody contends makes no call and holds nobody up. The thread's voluntary
//! switches stand beside it: at most one for each sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::Builder;

use clap::Args;
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration};
use swarm_rt::periodic::Periodic;
use swarm_rt::purity::allocation;
use swarm_rt::purity::counters::{Counters, ThreadId};
use swarm_rt::purity::system_calls::LISTED;
use swarm_rt::{KernelClock, ThreadWish, What};
use swarm_safety_core::State;
use swarm_safety_monitor::real_time;

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
    // The count begins with the first look after the warm-up.
    let last = 2 * WARM_UP + options.cycles;
    let wish = ThreadWish { priority: place.priority, cpu: Some(place.cpu), stack_bytes: 256 << 10 };
    let builder = Builder::new().stack_size(1 << 20);
    let (_resting, lacks) = real_time::start(builder, Some(wish), {
        let (done, uses) = (Arc::clone(&done), Arc::clone(&uses));
        move |set_up| {
            // Waking whoever waits for it is a call that is not on the list, so it comes first.
            let _ = tell.send(ThreadId::current());
            let guarded = set_up.guard(&decider.sleeper, &decider.listener);
            let before = allocation::uses();
            let mut state = State::new(&decider.config, decider.first_epoch);
            let mut periodic = Periodic::aligned(KernelClock.now(), decider.period);
            let mut cycles = 0;
            while cycles < last {
                let occasion = periodic.wait(&mut decider.sleeper);
                decider.turn(&mut state, occasion);
                cycles += 1;
                uses.store(allocation::uses() - before, Ordering::Release);
                done.store(cycles, Ordering::Release);
            }
            guarded.rest(&mut decider.sleeper)
        }
    })?;
    let id = told.recv()?;
    for lack in &lacks {
        let guards = [What::SystemCalls, What::Allocator];
        anyhow::ensure!(!guards.contains(&lack.what), "not guarded: {lack}");
        eprintln!("not in real time: {lack}");
    }
    let mut begin = None;
    let mut newest = (0, Counters::of(id)?);
    let mut is_listed = false;
    while done.load(Ordering::Acquire) < last {
        work.turn(|_| ());
        work.bench.listening.sleep_until(KernelClock.now() + SAMPLE_PERIOD);
        let cycles = done.load(Ordering::Acquire);
        if cycles >= WARM_UP {
            is_listed = id.is_filtered()?;
            newest = (cycles, Counters::of(id)?);
            if begin.replace(begin.unwrap_or(newest)).is_none() {
                work.count_anew();
            }
        }
    }
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
