//! The deciding thread: once per period, and at once when something urgent was heard, one step of the core.
//!
//! In its loop it neither allocates, nor locks, nor calls the system but to sleep and to wake the publishing thread. Both are
//! enforced, not hoped for: an allocation or another system call ends the process, and the arms with it, by silence.

use std::sync::Arc;
use std::thread::Builder;

use swarm_base::{Clock as _, Duration, Shutdown, Time};
use swarm_black_box::Entry;
use swarm_black_box_file::Health;
use swarm_rt::cells::queue::{Receiver, Sender};
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::wake::{Sleeper, Waker};
use swarm_rt::{KernelClock, Lack, ThreadWish};
use swarm_safety_core::{Config, Inputs, State, Verdict, step};

use crate::heard::Ears;
use crate::real_time::{self, SetUp, Thread};

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
    pub(crate) fn before(&mut self, state: &State) {
        if self.torn || state.cycle().is_multiple_of(SNAPSHOT_CYCLES) {
            self.torn = !self.entries.send_copy(&Entry::Snapshot(*state));
        }
    }

    /// The recorder sees a gap by the cycles' numbers, counts it and records it, once it has time, and if it still lives.
    pub(crate) fn after(&mut self, cycle: &Cycle) {
        let Cycle { now, inputs, verdict, generation, occasion: _ } = *cycle;
        let cycle = swarm_black_box::Cycle { now, inputs, verdict };
        // SR-22
        if !self.entries.send_copy(&Entry::Cycle { generation, cycle }) || self.entries.is_abandoned() {
            self.torn = true;
            self.health.lose(now);
        }
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
/// looked at: its guards too.
pub fn start(
    decider: Decider,
    terms: &Terms,
    active: impl Fn() -> bool + Send + 'static,
    shutdown: Shutdown,
) -> std::io::Result<(Thread, Vec<Lack>)> {
    let Terms { priority, cpu, guarded } = *terms;
    let builder = Builder::new().name("decide".to_owned()).stack_size(STACK_BYTES);
    let wish = priority.map(|priority| ThreadWish { priority, cpu, stack_bytes: RESIDENT_STACK_BYTES });
    real_time::start(builder, wish, move |set_up| {
        let mut decider = decider;
        if guarded {
            decider.run_guarded(set_up, &active, &shutdown);
        } else {
            set_up.is_done();
            decider.run(&active, &shutdown);
        }
    })
}

impl Decider {
    fn run_guarded(mut self, set_up: SetUp, active: &dyn Fn() -> bool, shutdown: &Shutdown) -> ! {
        // SR-19
        let guarded = set_up.guard(&self.sleeper, &self.listener);
        self.run(active, shutdown);
        guarded.rest(&mut self.sleeper)
    }

    fn run(&mut self, active: &dyn Fn() -> bool, shutdown: &Shutdown) {
        let mut state = State::new(&self.config, self.first_epoch);
        let mut periodic = Periodic::aligned(KernelClock.now(), self.period);
        let mut was_active = false;
        while !shutdown.is_requested() {
            // SR-20
            let occasion = periodic.wait(&mut self.sleeper);
            if active() {
                if !std::mem::replace(&mut was_active, true) {
                    self.ears.drop_requests();
                }
                self.turn(&mut state, occasion);
            } else if std::mem::take(&mut was_active) {
                self.leave(&mut state);
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

    /// Ends a time of activity: a person resets before anything moves again.
    pub fn leave(&mut self, state: &mut State) {
        *state = state.left();
        if let Some(black_box) = &mut self.black_box {
            // No step has made this state.
            black_box.torn = true;
        }
        self.say_silence(state);
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use swarm_black_box_file::OnDiskFailure;
    use swarm_ros::CellFile;
    use swarm_rt::cells::queue;
    use swarm_rt::{What, wake};
    use swarm_safety_core::{Input, InputFault, ResetRequest, Timing, Tolerances, ingest::Refused};

    use super::*;
    use crate::heard::{self, Mouth};
    use crate::setup;

    const PERIOD: Duration = Duration::from_millis(1);
    /// Reached by a failure only.
    const PATIENCE: Duration = Duration::from_millis(30_000);
    const UNHURRIED: Terms = Terms { priority: None, cpu: None, guarded: false };

    fn config() -> Arc<Config> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let sources = setup::sources(&CellFile::read(&path).unwrap()).unwrap();
        Arc::new(sources.config(Timing::default(), Tolerances::default()).unwrap())
    }

    fn decider(period: Duration) -> (Decider, Mouth, Receiver<Said>) {
        let (sleeper, waker) = wake::pair();
        let (mouth, ears) = heard::pair(waker);
        let (said, heard) = queue::queue(64);
        let decider = Decider {
            config: config(),
            first_epoch: 1,
            period,
            ears,
            black_box: None,
            sleeper,
            limits: queue::queue(1).1,
            retired: queue::queue(1).0,
            said,
            listener: wake::pair().1,
        };
        (decider, mouth, heard)
    }

    fn first_cycle(heard: &mut Receiver<Said>) -> Cycle {
        let end = KernelClock.now() + PATIENCE;
        while KernelClock.now() < end {
            if let Some(Said::Cycle(cycle)) = heard.receive() {
                return cycle;
            }
            std::thread::yield_now();
        }
        panic!("no cycle within {PATIENCE:?}")
    }

    #[test]
    fn what_was_asked_of_an_inactive_node_is_not_done_when_it_becomes_active_but_a_press_counts() {
        let (decider, mut mouth, mut heard) = decider(PERIOD);
        let (active, shutdown) = (Arc::new(AtomicBool::new(false)), Shutdown::new());
        let is_active = {
            let active = Arc::clone(&active);
            move || active.load(Ordering::SeqCst)
        };
        let (thread, lacks) = start(decider, &UNHURRIED, is_active, shutdown.clone()).unwrap();
        assert!(lacks.is_empty(), "{lacks:?}");
        mouth.reset(ResetRequest { epoch: 1 });
        mouth.refuse(
            0,
            Input::Wrench,
            Refused { fault: InputFault::NotFinite, joint: None, value: 0.0, limit: 0.0 },
        );
        mouth.emergency_stop(true);
        mouth.emergency_stop(false);
        active.store(true, Ordering::SeqCst);
        let inputs = first_cycle(&mut heard).inputs;
        assert_eq!((inputs.reset, inputs.robots[0].refused), (None, None));
        assert!(inputs.emergency_stop.pressed);
        shutdown.request();
        thread.join().unwrap();
    }

    // SR-02
    #[test]
    fn after_a_time_of_inactivity_nothing_is_ready_any_more_and_the_record_can_be_derived_again() {
        let (mut decider, _mouth, mut heard) = decider(PERIOD);
        let (entries, mut recorded) = queue::queue(64);
        let health = Health::new(OnDiskFailure::Stop, Duration::from_millis(1_000));
        decider.black_box = Some(BlackBox::new(entries, health));
        let mut state = State::new(&decider.config, 1);
        decider.turn(&mut state, Occasion::Event);
        decider.leave(&mut state);
        assert_eq!((state.state(), state.epoch()), (swarm_safety_core::SafetyState::Deny, 2));
        heard.receive();
        assert!(matches!(heard.receive(), Some(Said::Silence { epoch: 2 })));
        while recorded.receive().is_some() {}
        decider.turn(&mut state, Occasion::Event);
        assert!(matches!(recorded.receive(), Some(Entry::Snapshot(snapshot)) if snapshot.epoch() == 2));
    }

    // SR-18
    #[test]
    fn a_guard_that_does_not_take_is_a_lack() {
        // This test program does not have the allocator that can be forbidden.
        let (decider, _mouth, _heard) = decider(PATIENCE);
        let terms = Terms { guarded: true, ..UNHURRIED };
        let (_thread, lacks) = start(decider, &terms, || false, Shutdown::new()).unwrap();
        let lacking: Vec<What> = lacks.iter().map(|lack| lack.what).collect();
        assert_eq!(lacking, [What::Allocator], "{lacks:?}");
        // The thread keeps to its list of system calls until the test program ends.
    }

    #[test]
    fn a_guarded_thread_is_joined_though_it_cannot_end() {
        let (decider, _mouth, _heard) = decider(PERIOD);
        let (terms, shutdown) = (Terms { guarded: true, ..UNHURRIED }, Shutdown::new());
        let (thread, _) = start(decider, &terms, || false, shutdown.clone()).unwrap();
        shutdown.request();
        thread.join().unwrap();
    }

    /// A black box whose queue holds `room` entries, and cycles to hand to it, one per millisecond.
    struct Recorded {
        black_box: BlackBox,
        config: Arc<Config>,
        state: State,
        now: Time,
    }

    impl Recorded {
        fn new(room: usize) -> (Self, Receiver<Entry>) {
            let (entries, taken) = queue::queue(room);
            let health = Health::new(OnDiskFailure::Stop, Duration::from_millis(1_000));
            let config = config();
            let state = State::new(&config, 1);
            (Self { black_box: BlackBox::new(entries, health), config, state, now: Time::ZERO }, taken)
        }

        /// Whether the cell has to stop after this cycle.
        fn cycle(&mut self) -> bool {
            self.now = self.now + PERIOD;
            self.black_box.before(&self.state);
            let inputs = Inputs::default();
            let (state, verdict) = step(&self.config, &self.state, &inputs, self.now);
            self.state = state;
            let occasion = Occasion::Event;
            self.black_box.after(&Cycle { now: self.now, occasion, generation: 0, inputs, verdict });
            self.black_box.health.must_stop(self.now)
        }
    }

    // SR-22
    #[test]
    fn a_cycle_that_finds_no_room_stops_the_cell_until_all_have_found_some_for_a_second() {
        let (mut recorded, mut taken) = Recorded::new(200);
        let stopped = (1..=200).find(|_| recorded.cycle());
        // Two of the entries were states.
        assert_eq!(stopped, Some(199));
        for _ in 0..999 {
            while taken.receive().is_some() {}
            assert!(recorded.cycle());
        }
        assert!(!recorded.cycle());
        assert_eq!(recorded.black_box.health.status().not_taken, 1);
    }

    // SR-22
    #[test]
    fn a_recording_thread_that_is_gone_stops_the_cell() {
        let (mut recorded, taken) = Recorded::new(200);
        assert!(!recorded.cycle());
        drop(taken);
        assert!(recorded.cycle());
    }
}
