//! The deciding thread: once per period, and at once when something urgent was heard, one step of the core.
//!
//! In its loop it neither allocates, nor locks, nor calls the system but to sleep and to wake the publishing thread. Both are
//! enforced, not hoped for: an allocation or another system call ends the process, and the arms with it, by silence.

use std::sync::Arc;
use std::thread::JoinHandle;

use swarm_base::{Clock as _, Duration, Shutdown, Time};
use swarm_black_box::Entry;
use swarm_black_box_file::Health;
use swarm_rt::cells::queue::{Receiver, Sender};
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::purity::allocation;
use swarm_rt::purity::system_calls::{Allowed, Breach, allow_only};
use swarm_rt::wake::{Sleeper, Waker};
use swarm_rt::{KernelClock, Lack, ThreadWish, prepare_thread};
use swarm_safety_core::{Config, Inputs, State, Verdict, step};

use crate::heard::Ears;

/// Stack that the thread gets, and how much of it is made resident: a step takes some tens of kilobytes.
const STACK_BYTES: usize = 1 << 20;
const RESIDENT_STACK_BYTES: usize = 256 << 10;

/// What the deciding thread says.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are cycles, and boxing them would allocate")]
pub enum Said {
    Cycle(Cycle),
    /// The node became inactive: nothing is permitted any more.
    Silence {
        epoch: u64,
    },
}

/// Cycles from one snapshot to the next: how much of a recording can be lost with its begin.
const SNAPSHOT_CYCLES: u64 = 100;

/// The deciding thread's side of the black box.
#[derive(Debug)]
pub struct BlackBox {
    pub entries: Sender<Entry>,
    pub health: Health,
    /// An entry found the queue full: what follows can be derived again only from a recorded state.
    torn: bool,
}

impl BlackBox {
    pub fn new(entries: Sender<Entry>, health: Health) -> Self {
        Self { entries, health, torn: false }
    }

    /// Before a step on `state`.
    fn before(&mut self, state: &State) {
        if self.torn || state.cycle().is_multiple_of(SNAPSHOT_CYCLES) {
            self.torn = !self.entries.send_copy(&Entry::Snapshot(*state));
        }
    }

    /// The recorder sees a gap by the cycles' numbers, counts it and records it.
    fn after(&mut self, cycle: &Cycle) {
        let Cycle { now, inputs, verdict, generation, occasion: _ } = *cycle;
        let cycle = swarm_black_box::Cycle { now, inputs, verdict };
        self.torn |= !self.entries.send_copy(&Entry::Cycle { generation, cycle });
    }
}

/// One step: its arguments and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    pub now: Time,
    pub occasion: Occasion,
    /// Number of the limits that it was made under.
    pub generation: u64,
    pub inputs: Inputs,
    pub verdict: Verdict,
}

/// The ends of the cells that the thread works with, and what it decides by.
#[derive(Debug)]
pub struct Decider {
    pub config: Arc<Config>,
    pub first_epoch: u64,
    pub period: Duration,
    pub ears: Ears,
    /// `None` where there is none.
    pub black_box: Option<BlackBox>,
    pub sleeper: Sleeper,
    /// New limits; they come while the cell is at rest, the core sees to that.
    pub limits: Receiver<Arc<Config>>,
    /// Limits that have had their day, to be freed elsewhere.
    pub retired: Sender<Arc<Config>>,
    pub said: Sender<Said>,
    pub listener: Waker,
}

/// How the thread is to run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Priority of `SCHED_FIFO`; `None` = the system's fair time sharing.
    pub priority: Option<u8>,
    pub cpu: Option<u16>,
    /// Whether memory and system calls are guarded; off only to measure what the guards cost.
    pub guarded: bool,
}

/// Starts the thread; it decides while `active` says so, and ends after a shutdown request. Gives what it lacks of its terms, as
/// looked at.
pub fn start(
    decider: Decider,
    terms: &Terms,
    active: impl Fn() -> bool + Send + 'static,
    shutdown: Shutdown,
) -> std::io::Result<(JoinHandle<()>, Vec<Lack>)> {
    let (tell, lacks) = std::sync::mpsc::channel();
    let terms = terms.clone();
    let thread =
        std::thread::Builder::new().name("decide".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let lacks = terms.priority.map_or_else(Vec::new, |priority| {
                prepare_thread(&ThreadWish { priority, cpu: terms.cpu, stack_bytes: RESIDENT_STACK_BYTES })
            });
            // Whoever started this thread waits for it.
            let _ = tell.send(lacks);
            if terms.guarded {
                decider.run_guarded(&active, &shutdown);
            } else {
                let mut decider = decider;
                decider.run(&active, &shutdown);
            }
        })?;
    Ok((thread, lacks.recv().unwrap_or_default()))
}

impl Decider {
    fn run_guarded(mut self, active: &dyn Fn() -> bool, shutdown: &Shutdown) {
        // SR-19
        let allowed = Allowed { sleeper: &self.sleeper, wakers: &[&self.listener] };
        if let Err(error) = allow_only(allowed, Breach::KillsTheProcess) {
            tracing::error!("the deciding thread goes without its list of system calls: {error}");
        }
        match allocation::forbid() {
            Ok(_forbidden) => self.run(active, shutdown),
            Err(error) => {
                tracing::error!("the deciding thread goes without its guard of memory: {error}");
                self.run(active, shutdown);
            }
        }
        // The list of system calls stays: giving back memory might need one that is not on it. The process ends.
        std::mem::forget(self);
    }

    fn run(&mut self, active: &dyn Fn() -> bool, shutdown: &Shutdown) {
        let mut state = State::new(&self.config, self.first_epoch);
        let mut periodic = Periodic::aligned(KernelClock.now(), self.period);
        let mut was_active = false;
        while !shutdown.is_requested() {
            // SR-20
            let occasion = periodic.wait(&mut self.sleeper);
            if active() {
                was_active = true;
                self.turn(&mut state, occasion);
            } else if std::mem::take(&mut was_active) {
                self.say_silence(&state);
            }
        }
        self.say_silence(&state);
    }

    /// One whole turn: a step on what has been heard, told to the publishing thread.
    pub fn turn(&mut self, state: &mut State, occasion: Occasion) -> Cycle {
        if let Some(black_box) = &mut self.black_box {
            black_box.before(state);
        }
        let cycle = self.cycle(state, occasion);
        if let Some(black_box) = &mut self.black_box {
            black_box.after(&cycle);
        }
        self.hand_over(&Said::Cycle(cycle));
        self.listener.wake();
        cycle
    }

    fn cycle(&mut self, state: &mut State, occasion: Occasion) -> Cycle {
        if let Some(config) = self.limits.receive() {
            let old = std::mem::replace(&mut self.config, config);
            if let Err(old) = self.retired.send(old) {
                // Nobody clears away what is retired; losing it is better than freeing it here.
                std::mem::forget(old);
            }
        }
        let mut inputs = self.ears.take();
        let now = KernelClock.now();
        inputs.not_recorded =
            self.black_box.as_ref().is_some_and(|black_box| black_box.health.must_stop(now));
        let (next, verdict) = step(&self.config, state, &inputs, now);
        *state = next;
        Cycle { now, occasion, generation: self.config.generation(), inputs, verdict }
    }

    fn say_silence(&mut self, state: &State) {
        self.hand_over(&Said::Silence { epoch: state.epoch() });
        self.listener.wake();
    }

    fn hand_over(&mut self, said: &Said) {
        // A full queue is counted by it; the drivers hear no permit meanwhile and stop.
        self.said.send_copy(said);
    }
}
