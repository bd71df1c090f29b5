//! From the moment at which a stop's message is in our process to the permits of all arms withdrawn, beside a bare eventfd.
//!
//! The two take turns. Of ours the whole way is measured: the gate's intake, wake-up, one step for three arms, the verdict in the queue,
//! the publishing thread's wake-up, commands and permit handed to the middleware, with an rclpy process subscribed. What the way
//! takes up to the queue stands beside it (`decided_...`): up to there it is this program's, on the CPU and at the priority of the
//! eventfd's thread; behind it come r2r and the middleware.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use anyhow::Context as _;
use clap::Args;
use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration, Time};
use swarm_ros::{CellFile, NodeShell};
use swarm_rt::cells::queue::{self, Sender};
use swarm_rt::latency::Latencies;
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::wake;
use swarm_rt::{KernelClock, ThreadWish, prepare_thread};
use swarm_safety_core::{ResetRequest, SafetyState, State};
use swarm_safety_monitor::deciding::Decider;
use swarm_safety_monitor::outputs::{Outputs, Periods};
use swarm_safety_monitor::real_time::{self, SetUp};

use crate::cell::{self, Bench, Place};
use crate::dds::{self, Button};
use crate::gate::{self, Gate, Published, is_withdrawn};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    stops: u64,
    /// Presses that only the polling path may find
    #[arg(long, default_value_t = 1_000)]
    polled: u64,
    /// Presses of an rclpy publisher, through the middleware
    #[arg(long, default_value_t = 1_000)]
    published: u64,
}

const PERIOD: Duration = Duration::from_millis(1);
/// Time after which a reset is asked for again.
const RESET_PATIENCE: Duration = Duration::from_millis(2);
/// As the monitor ships.
const PERIODS: Periods = Periods { permit: Duration::from_millis(4), command: Duration::from_millis(2) };
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_millis(2_000);

/// What the reference's two sides share.
#[derive(Debug, Default)]
struct Turn {
    pressed_at: AtomicU64,
    answered: AtomicU64,
    finished: AtomicU64,
}

/// The ways of a stop.
struct Ways {
    /// To the permits handed to the middleware.
    published: Latencies,
    /// To the verdict in the queue.
    decided: Latencies,
    reference: Latencies,
    /// CPU time of both threads.
    own: Own,
}

struct Own {
    deciding: Latencies,
    publishing: Latencies,
}

pub(crate) fn measure(options: &Options, place: Place) -> anyhow::Result<Value> {
    let mut shell = NodeShell::create("safety_evidence")?;
    let heard = dds::subscribe(&mut shell)?;
    let cell = CellFile::read(Path::new("config/cell.yaml"))?;
    let config = cell::config(&cell, PERIOD)?;
    let outputs = Outputs::create(&mut shell, &config, PERIODS)?;
    // It listens to permits from now on.
    let button = Button::start()?;
    let gate = || Bench::new(PERIOD, 4096, None);
    let (ways, outputs) = event_path(options.stops, Gate::new(gate()?, &cell, outputs, place)?, place)?;
    let polled = polling_path(options.polled, place)?;
    let gate = Gate::new(gate()?, &cell, outputs, place)?;
    let through_dds = dds::measure(options.published, place, gate, shell, &heard, button)?;
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let ratio = |ours: Duration, theirs: Duration| micros(ours) / micros(theirs);
    let Ways { published, decided, reference, own } = &ways;
    Ok(json!({
        "figures": {
            "stops": published.count(),
            "p50_us": micros(published.p50()),
            "p99_us": micros(published.p99()),
            "p999_us": micros(published.p999()),
            "p99999_us": micros(published.p99999()),
            "max_us": micros(published.max()),
            "own_cpu_us_p999": micros(own.deciding.p999()) + micros(own.publishing.p999()),
            "ratio_p99999": ratio(published.p99999(), reference.p99999()),
            "decided_p50_us": micros(decided.p50()),
            "decided_p99_us": micros(decided.p99()),
            "decided_p99999_us": micros(decided.p99999()),
            "decided_own_cpu_us_p999": micros(own.deciding.p999()),
            "decided_ratio_p99999": ratio(decided.p99999(), reference.p99999()),
            "polling_cycles_max": polled,
            "dds_p50_us": micros(through_dds.p50()),
            "dds_p99_us": micros(through_dds.p99()),
        },
        "reference": {
            "eventfd_p50_us": micros(reference.p50()),
            "eventfd_p99_us": micros(reference.p99()),
            "eventfd_p999_us": micros(reference.p999()),
            "eventfd_p99999_us": micros(reference.p99999()),
            "eventfd_max_us": micros(reference.max()),
        },
        "ratios": {
            "ratio_p50": ratio(published.p50(), reference.p50()),
            "ratio_p99": ratio(published.p99(), reference.p99()),
            "ratio_p999": ratio(published.p999(), reference.p999()),
            "ratio_p99999": ratio(published.p99999(), reference.p99999()),
            "ratio_max": ratio(published.max(), reference.max()),
            "decided_ratio_p50": ratio(decided.p50(), reference.p50()),
            "decided_ratio_p99": ratio(decided.p99(), reference.p99()),
            "decided_ratio_p99999": ratio(decided.p99999(), reference.p99999()),
        },
    }))
}

fn wish(place: Place) -> ThreadWish {
    ThreadWish { priority: place.priority, cpu: Some(place.cpu), stack_bytes: 256 << 10 }
}

/// What the deciding thread has measured: latencies, and its own time per stop.
type Answered = (Latencies, Latencies);

/// The monitor's loop, which notes when it has decided a stop. Its thread cannot end, so what it measured goes through a queue.
fn answer(mut decider: Decider, set_up: SetUp, turn: &gate::Turn, mut answered: Sender<Answered>) -> ! {
    let (mut latencies, mut own) = (Latencies::new(), Latencies::new());
    let guarded = set_up.guard(&decider.sleeper, &decider.listener);
    let mut state = State::new(&decider.config, decider.first_epoch);
    let mut periodic = Periodic::aligned(KernelClock.now(), decider.period);
    let mut stopped = true;
    while !turn.finished.load(Ordering::Acquire) {
        let occasion = periodic.wait(&mut decider.sleeper);
        let woke = KernelClock.now();
        let cycle = decider.turn(&mut state, occasion);
        let withdrawn = is_withdrawn(&cycle.verdict);
        if withdrawn && !stopped {
            let now = KernelClock.now();
            latencies.record(now - Time(turn.pressed_at.load(Ordering::Acquire)));
            own.record(now - woke);
        }
        stopped = withdrawn;
    }
    let _ = answered.send((latencies, own)); // there is room for one
    guarded.rest(&mut decider.sleeper)
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = KernelClock.now() + PATIENCE;
    while !there() {
        anyhow::ensure!(KernelClock.now() < end, "no answer within 2 s: {what}");
        std::hint::spin_loop();
    }
    Ok(())
}

fn event_path(stops: u64, mut gate: Gate, place: Place) -> anyhow::Result<(Ways, Outputs)> {
    let decider = gate.decider.take().context("a gate whose deciding thread has been started")?;
    let turn = Arc::clone(&gate.turn);
    let (answered, mut answers) = queue::queue(1);
    let (deciding, lacks) = real_time::start(Builder::new().stack_size(1 << 20), Some(wish(place)), {
        let turn = Arc::clone(&turn);
        move |set_up| answer(decider, set_up, &turn, answered)
    })?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    let event = Arc::new(eventfd(0, EventfdFlags::empty())?);
    let bare = Arc::new(Turn::default());
    let reference = Builder::new().stack_size(1 << 20).spawn({
        let (turn, event) = (Arc::clone(&bare), Arc::clone(&event));
        move || {
            for lack in prepare_thread(&wish(place)) {
                eprintln!("not in real time: {lack}");
            }
            let mut latencies = Latencies::new();
            let mut buffer = [0; 8];
            while turn.finished.load(Ordering::Acquire) == 0 && rustix::io::read(&*event, &mut buffer).is_ok()
            {
                if turn.finished.load(Ordering::Acquire) == 0 {
                    latencies.record(KernelClock.now() - Time(turn.pressed_at.load(Ordering::Acquire)));
                    turn.answered.fetch_add(1, Ordering::AcqRel);
                }
            }
            latencies
        }
    })?;
    let mut epoch = gate.run_up()?;
    for stop in 1..=stops {
        // Fresh, running, nothing pressed.
        gate.feed(Some(epoch));
        let mut state = SafetyState::Ready;
        wait_for("the run", || {
            state = turn.newest().map_or(state, |verdict| verdict.state);
            state.moves() || state.is_stop()
        })?;
        if state.is_stop() {
            // This thread was kept from feeding the cell for longer than its time-outs.
            epoch = gate.run_up()?;
        }
        turn.pressed_at.store(KernelClock.now().0, Ordering::Release);
        gate.intake.emergency_stop(true);
        wait_for("the stop", || turn.published.load(Ordering::Acquire) == stop)?;
        gate.intake.emergency_stop(false);
        epoch = reset(&mut gate, epoch)?;
        bare.pressed_at.store(KernelClock.now().0, Ordering::Release);
        rustix::io::write(&*event, &1_u64.to_ne_bytes())?;
        wait_for("the eventfd", || bare.answered.load(Ordering::Acquire) == stop)?;
    }
    bare.finished.store(1, Ordering::Release);
    rustix::io::write(&*event, &1_u64.to_ne_bytes())?;
    let reference = reference.join().map_err(|_| anyhow::anyhow!("a measuring thread panicked"))?;
    let Published { outputs, latencies, own } = gate.finish()?;
    deciding.join().map_err(|_| anyhow::anyhow!("the deciding thread panicked"))?;
    let (decided, deciding) = answers.receive().context("the deciding thread measured nothing")?;
    let own = Own { deciding, publishing: own };
    Ok((Ways { published: latencies, decided, reference, own }, outputs))
}

/// Asks for a reset until it is granted; gives the new epoch.
fn reset(gate: &mut Gate, epoch: u64) -> anyhow::Result<u64> {
    let end = KernelClock.now() + PATIENCE;
    loop {
        gate.feed(None);
        gate.intake.reset(ResetRequest { epoch });
        let asked = KernelClock.now();
        while KernelClock.now() < asked + RESET_PATIENCE {
            if let Some(verdict) = gate.turn.newest()
                && verdict.state == SafetyState::Ready
                && verdict.epoch > epoch
            {
                return Ok(verdict.epoch);
            }
            std::hint::spin_loop();
        }
        anyhow::ensure!(KernelClock.now() < end, "the reset was not granted within 2 s");
    }
}

/// Most ticks that a press needs that wakes nobody.
fn polling_path(presses: u64, place: Place) -> anyhow::Result<u64> {
    let (_nobody, deaf) = wake::pair();
    let mut bench = Bench::new(PERIOD, 4096, Some(deaf))?;
    let mut decider = bench.decider.take().expect("made with one");
    let ticks = Arc::new(AtomicU64::new(0));
    let turn = Arc::new(Turn::default());
    let deciding = Builder::new().stack_size(1 << 20).spawn({
        let (ticks, turn) = (Arc::clone(&ticks), Arc::clone(&turn));
        move || {
            for lack in prepare_thread(&wish(place)) {
                eprintln!("not in real time: {lack}");
            }
            let mut state = State::new(&decider.config, decider.first_epoch);
            let mut periodic = Periodic::aligned(KernelClock.now(), decider.period);
            let mut stopped = true;
            let mut most = 0;
            while turn.finished.load(Ordering::Acquire) == 0 {
                let occasion = periodic.wait(&mut decider.sleeper);
                let Occasion::Tick(_) = occasion else { continue };
                let tick = ticks.fetch_add(1, Ordering::AcqRel) + 1;
                let cycle = decider.turn(&mut state, occasion);
                let now_stopped = cycle.verdict.state == SafetyState::Estop;
                if now_stopped && !stopped {
                    most = most.max(tick - turn.pressed_at.load(Ordering::Acquire));
                    turn.answered.fetch_add(1, Ordering::AcqRel);
                }
                stopped = now_stopped;
            }
            most
        }
    })?;
    for press in 1..=presses {
        let epoch = bench.run_up()?;
        bench.feed(Some(epoch));
        // The tick during which the press is made; the stop comes with the next one.
        turn.pressed_at.store(ticks.load(Ordering::Acquire), Ordering::Release);
        bench.mouth.emergency_stop(true);
        wait_for("the polled stop", || turn.answered.load(Ordering::Acquire) == press)?;
        bench.mouth.emergency_stop(false);
    }
    turn.finished.store(1, Ordering::Release);
    deciding.join().map_err(|_| anyhow::anyhow!("the polling loop panicked"))
}
