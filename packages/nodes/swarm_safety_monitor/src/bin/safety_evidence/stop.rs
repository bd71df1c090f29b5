//! From the moment at which a stop's message is in our process to the permits of all arms withdrawn, beside a bare eventfd.
//!
//! Both paths end at the same priority on the same CPU; they take turns. What is measured of ours is the whole way: cell, wake-up,
//! one step for three arms, verdict in the queue of the publishing thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration, Time};
use swarm_rt::latency::Latencies;
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::purity::allocation;
use swarm_rt::purity::system_calls::{Allowed, Breach, allow_only};
use swarm_rt::wake;
use swarm_rt::{KernelClock, ThreadWish, prepare_thread};
use swarm_safety_core::{ResetRequest, SafetyState, State};
use swarm_safety_monitor::deciding::Decider;

use crate::cell::{Bench, Place};
use crate::dds;

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
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_millis(2_000);

/// What the two sides share: when the last press was made, and how many were answered.
#[derive(Debug, Default)]
struct Turn {
    pressed_at: AtomicU64,
    answered: AtomicU64,
    finished: AtomicU64,
}

pub(crate) fn measure(options: &Options, place: Place) -> anyhow::Result<Value> {
    let (ours, own_time) = event_path(options.stops, place)?;
    let Reference { latencies: theirs } = ours.1;
    let ours = ours.0;
    let polled = polling_path(options.polled, place)?;
    let published = dds::measure(options.published, place)?;
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let ratio = |ours: Duration, theirs: Duration| micros(ours) / micros(theirs);
    Ok(json!({
        "figures": {
            "stops": ours.count(),
            "p50_us": micros(ours.p50()),
            "p99_us": micros(ours.p99()),
            "p999_us": micros(ours.p999()),
            "p99999_us": micros(ours.p99999()),
            "max_us": micros(ours.max()),
            "own_cpu_us_p999": micros(own_time.p999()),
            "polling_cycles_max": polled,
            "dds_p50_us": micros(published.p50()),
            "dds_p99_us": micros(published.p99()),
            "ratio_p99999": ratio(ours.p99999(), theirs.p99999()),
        },
        "reference": {
            "eventfd_p50_us": micros(theirs.p50()),
            "eventfd_p99_us": micros(theirs.p99()),
            "eventfd_p999_us": micros(theirs.p999()),
            "eventfd_p99999_us": micros(theirs.p99999()),
            "eventfd_max_us": micros(theirs.max()),
        },
        "ratios": {
            "ratio_p50": ratio(ours.p50(), theirs.p50()),
            "ratio_p99": ratio(ours.p99(), theirs.p99()),
            "ratio_p999": ratio(ours.p999(), theirs.p999()),
            "ratio_p99999": ratio(ours.p99999(), theirs.p99999()),
            "ratio_max": ratio(ours.max(), theirs.max()),
        },
    }))
}

struct Reference {
    latencies: Latencies,
}

fn wish(place: Place) -> ThreadWish {
    ThreadWish { priority: place.priority, cpu: Some(place.cpu), stack_bytes: 256 << 10 }
}

/// The monitor's loop, which notes when it has withdrawn the permits. Gives (latencies, own time per stop).
fn answer(mut decider: Decider, turn: &Turn, place: Place) -> (Latencies, Latencies) {
    for lack in prepare_thread(&wish(place)) {
        eprintln!("not in real time: {lack}");
    }
    let (mut latencies, mut own) = (Latencies::new(), Latencies::new());
    let allowed = Allowed { sleeper: &decider.sleeper, wakers: &[&decider.listener] };
    if let Err(error) = allow_only(allowed, Breach::KillsTheProcess) {
        eprintln!("without a list of system calls: {error}");
    }
    let forbidden = allocation::forbid();
    let mut state = State::new(&decider.config, decider.first_epoch);
    let mut periodic = Periodic::aligned(KernelClock.now(), decider.period);
    let mut stopped = true;
    while turn.finished.load(Ordering::Acquire) == 0 {
        let occasion = periodic.wait(&mut decider.sleeper);
        let woke = KernelClock.now();
        let cycle = decider.turn(&mut state, occasion);
        let withdrawn = cycle.verdict.state == SafetyState::Estop
            && cycle.verdict.robots.iter().all(|robot| robot.scale == 0.0);
        if withdrawn && !stopped {
            let now = KernelClock.now();
            latencies.record(now - Time(turn.pressed_at.load(Ordering::Acquire)));
            own.record(now - woke);
            turn.answered.fetch_add(1, Ordering::AcqRel);
        }
        stopped = withdrawn;
    }
    drop(forbidden);
    // Giving memory back might need a call that is not on the list.
    std::mem::forget(decider);
    (latencies, own)
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = KernelClock.now() + PATIENCE;
    while !there() {
        anyhow::ensure!(KernelClock.now() < end, "no answer within 2 s: {what}");
        std::hint::spin_loop();
    }
    Ok(())
}

type Measured = ((Latencies, Reference), Latencies);

fn event_path(stops: u64, place: Place) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(PERIOD, 4096, None)?;
    let decider = bench.decider.take().expect("made with one");
    let turn = Arc::new(Turn::default());
    let deciding = std::thread::Builder::new().stack_size(1 << 20).spawn({
        let turn = Arc::clone(&turn);
        move || answer(decider, &turn, place)
    })?;
    let event = Arc::new(eventfd(0, EventfdFlags::empty())?);
    let bare = Arc::new(Turn::default());
    let reference = std::thread::Builder::new().stack_size(1 << 20).spawn({
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
    let mut epoch = bench.run_up()?;
    for stop in 1..=stops {
        // Fresh, running, nothing pressed.
        bench.feed(Some(epoch));
        bench.mouth.say_now(|_| ());
        let mut state = SafetyState::Ready;
        wait_for("the run", || {
            state = bench.newest().map_or(state, |cycle| cycle.verdict.state);
            state.moves() || state.is_stop()
        })?;
        if state.is_stop() {
            // This thread was kept from feeding the cell for longer than its time-outs.
            epoch = bench.run_up()?;
        }
        turn.pressed_at.store(KernelClock.now().0, Ordering::Release);
        bench.mouth.emergency_stop(true);
        wait_for("the stop", || turn.answered.load(Ordering::Acquire) == stop)?;
        bench.mouth.emergency_stop(false);
        bench.feed(None);
        bench.mouth.reset(ResetRequest { epoch });
        let end = KernelClock.now() + PATIENCE;
        loop {
            anyhow::ensure!(KernelClock.now() < end, "the reset was not granted within 2 s");
            match bench.newest().map(|cycle| cycle.verdict) {
                Some(verdict) if verdict.state == SafetyState::Ready && verdict.epoch > epoch => {
                    epoch = verdict.epoch;
                    break;
                }
                Some(verdict) if verdict.reset.is_some_and(|answer| answer.is_err()) => {
                    bench.feed(None);
                    bench.mouth.reset(ResetRequest { epoch });
                }
                _ => std::hint::spin_loop(),
            }
        }
        bare.pressed_at.store(KernelClock.now().0, Ordering::Release);
        rustix::io::write(&*event, &1_u64.to_ne_bytes())?;
        wait_for("the eventfd", || bare.answered.load(Ordering::Acquire) == stop)?;
    }
    turn.finished.store(1, Ordering::Release);
    bare.finished.store(1, Ordering::Release);
    rustix::io::write(&*event, &1_u64.to_ne_bytes())?;
    let panicked = |_| anyhow::anyhow!("a measuring thread panicked");
    let latencies = reference.join().map_err(panicked)?;
    let panicked = |_| anyhow::anyhow!("a measuring thread panicked");
    let (ours, own) = deciding.join().map_err(panicked)?;
    Ok(((ours, Reference { latencies }), own))
}

/// Most ticks that a press needs that wakes nobody.
fn polling_path(presses: u64, place: Place) -> anyhow::Result<u64> {
    let (_nobody, deaf) = wake::pair();
    let mut bench = Bench::new(PERIOD, 4096, Some(deaf))?;
    let mut decider = bench.decider.take().expect("made with one");
    let ticks = Arc::new(AtomicU64::new(0));
    let turn = Arc::new(Turn::default());
    let deciding = std::thread::Builder::new().stack_size(1 << 20).spawn({
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
