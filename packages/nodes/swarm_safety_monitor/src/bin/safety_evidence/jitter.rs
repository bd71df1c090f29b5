//! How late the whole loop wakes, beside `cyclictest` on the same CPU: three arms at work, people looked for, every cycle into the
//! queues. A cell that stops, because this machine held its sensors up, is reset; which share of the cycles motion passed in is said.

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration, Shutdown};
use swarm_rt::KernelClock;
use swarm_rt::latency::Latencies;
use swarm_rt::periodic::Occasion;
use swarm_rt::reference::cyclictest::{Reference, Settings};
use swarm_rt::reference::load::Load;
use swarm_safety_monitor::deciding::{self, Terms};

use crate::cell::{Bench, Place, median};
use crate::work::{Script, Work};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Length of one run, s
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Runs idle, and as many under load
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Least share of an idle machine's cycles in which motion passes: below it the loop was hardly at work
    #[arg(long, default_value_t = 0.5)]
    least_moving_share: f64,
}

const PERIOD: Duration = Duration::from_millis(1);
/// Time between two samples of the cell.
const SAMPLE_PERIOD: Duration = Duration::from_millis(2);
/// Until the arms move.
const WARM_UP: Duration = Duration::from_millis(500);
/// Workers of the load: one per CPU of the smallest machine this is measured on.
const WORKERS: u32 = 2;

/// A figure of a run.
type Column = fn(&Latencies) -> Duration;

struct Run {
    ours: Latencies,
    theirs: Latencies,
    /// Periods that passed without a cycle of their own.
    missed: u64,
    moving_share: f64,
}

/// Cycles that the queue to the measuring thread holds: eight seconds.
const WAITING: usize = 8192;

pub(crate) fn measure(options: &Options, place: Place) -> anyhow::Result<Value> {
    let mut figures = serde_json::Map::new();
    let mut reference = serde_json::Map::new();
    let mut ratios = serde_json::Map::new();
    let mut worst = [0.0_f64; 3];
    for (name, loaded) in [("idle", false), ("load", true)] {
        let mut runs = Vec::new();
        for run in 0..options.runs {
            println!("{name}, run {} of {}", run + 1, options.runs);
            let load = loaded.then(|| Load::cpu(WORKERS, options.seconds + 2)).transpose()?;
            runs.push(one(options.seconds, place)?);
            load.map(Load::finish).transpose()?;
        }
        let columns: [(&str, Column); 3] =
            [("p999", Latencies::p999), ("p9999", Latencies::p9999), ("max", Latencies::max)];
        for (at, (column, value)) in columns.into_iter().enumerate() {
            let micros = |latency: &Latencies| value(latency).as_secs_f64() * 1e6;
            let ratio = median(runs.iter().map(|run| micros(&run.ours) / micros(&run.theirs)).collect());
            worst[at] = worst[at].max(ratio);
            let ours = median(runs.iter().map(|run| micros(&run.ours)).collect());
            let theirs = median(runs.iter().map(|run| micros(&run.theirs)).collect());
            figures.insert(format!("{name}_{column}_us"), json!(ours));
            reference.insert(format!("{name}_{column}_us"), json!(theirs));
            ratios.insert(format!("{name}_ratio_{column}"), json!(ratio));
        }
        let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
        figures.insert(format!("{name}_cycles"), json!(sum(|run| run.ours.count())));
        figures.insert(format!("{name}_missed_periods"), json!(sum(|run| run.missed)));
        let least = options.least_moving_share;
        let moving = runs.iter().map(|run| run.moving_share).fold(f64::INFINITY, f64::min);
        figures.insert(format!("{name}_moving_share"), json!(moving));
        ensure!(
            loaded || moving >= least,
            "motion passed in {moving:.2} of the cycles, expected {least} or more: the loop was hardly at work; is the machine \
             busy with something else?"
        );
    }
    // The worse of idle and load, each the median of its runs.
    for (name, value) in ["ratio_p999", "ratio_p9999", "ratio_max"].into_iter().zip(worst) {
        figures.insert(name.to_owned(), json!(value));
    }
    Ok(json!({"figures": figures, "reference": reference, "ratios": ratios}))
}

fn one(seconds: u64, place: Place) -> anyhow::Result<Run> {
    let mut work = Work::new(Bench::new(PERIOD, WAITING, None)?, Script::Steady);
    let shutdown = Shutdown::new();
    let terms = Terms { priority: Some(place.priority), cpu: Some(place.cpu), guarded: true };
    let decider = work.bench.decider.take().expect("made with one");
    let (thread, lacks) = deciding::start(decider, &terms, || true, shutdown.clone())?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    let warm = KernelClock.now() + WARM_UP;
    while KernelClock.now() < warm {
        work.turn(|_| ());
        work.bench.listening.sleep_until(KernelClock.now() + SAMPLE_PERIOD);
    }
    let settings = Settings {
        cpu: place.cpu,
        priority: place.priority,
        period: PERIOD,
        phase: Duration(PERIOD.0 / 2),
        seconds,
    };
    let reference = Reference::start(&settings)?;
    work.turn(|_| ());
    work.count_anew();
    let (mut ours, mut missed) = (Latencies::new(), 0);
    let end = KernelClock.now() + Duration::from_millis(seconds * 1_000);
    while KernelClock.now() < end {
        work.turn(|cycle| {
            if let Occasion::Tick(tick) = cycle.occasion {
                ours.record(tick.late);
                missed += tick.missed;
            }
        });
        work.bench.listening.sleep_until(KernelClock.now() + SAMPLE_PERIOD);
    }
    shutdown.request();
    let theirs = reference.finish()?;
    // A panic in it has been printed.
    let _ = thread.join();
    let lost = work.bench.lost();
    ensure!(
        lost == 0,
        "{lost} cycles found the queue full, and their lateness is not known: this run says nothing"
    );
    let (periods, expected) = (ours.count() + missed, seconds * 1_000);
    ensure!(
        periods * 100 >= expected * 99,
        "{periods} periods were heard of in {seconds} s, expected {expected}: this run says nothing"
    );
    Ok(Run { ours, theirs, missed, moving_share: work.moving_share() })
}
