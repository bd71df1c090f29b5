//! How late the whole loop wakes (three arms, all checks, every cycle into the queue), beside `cyclictest` on the same CPU.

use clap::Args;
use serde_json::{Value, json};
use swarm_base::{Clock as _, Duration, Shutdown};
use swarm_rt::KernelClock;
use swarm_rt::latency::Latencies;
use swarm_rt::periodic::Occasion;
use swarm_rt::reference::cyclictest::{Reference, Settings};
use swarm_rt::reference::load::Load;
use swarm_safety_monitor::deciding::{self, Said, Terms};

use crate::cell::{Bench, Place, median};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Length of one run, s
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Runs idle, and as many under load
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

const PERIOD: Duration = Duration::from_millis(1);
/// Time between two samples of the cell.
const SAMPLE_PERIOD: Duration = Duration::from_millis(2);
/// Workers of the load: one per CPU of the smallest machine this is measured on.
const WORKERS: u32 = 2;

/// A figure of a run.
type Column = fn(&Latencies) -> Duration;

struct Run {
    ours: Latencies,
    theirs: Latencies,
}

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
        figures.insert(format!("{name}_cycles"), json!(runs.iter().map(|run| run.ours.count()).sum::<u64>()));
    }
    // The worse of idle and load, each the median of its runs.
    for (name, value) in ["ratio_p999", "ratio_p9999", "ratio_max"].into_iter().zip(worst) {
        figures.insert(name.to_owned(), json!(value));
    }
    Ok(json!({"figures": figures, "reference": reference, "ratios": ratios}))
}

fn one(seconds: u64, place: Place) -> anyhow::Result<Run> {
    let mut bench = Bench::new(PERIOD, 1024, None)?;
    let shutdown = Shutdown::new();
    let terms = Terms { priority: Some(place.priority), cpu: Some(place.cpu), guarded: true };
    let decider = bench.decider.take().expect("made with one");
    let (thread, lacks) = deciding::start(decider, &terms, || true, shutdown.clone())?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    let epoch = bench.run_up()?;
    let settings = Settings {
        cpu: place.cpu,
        priority: place.priority,
        period: PERIOD,
        phase: Duration(PERIOD.0 / 2),
        seconds,
    };
    let reference = Reference::start(&settings)?;
    let mut ours = Latencies::new();
    let end = KernelClock.now() + Duration::from_millis(seconds * 1_000);
    while KernelClock.now() < end {
        bench.feed(Some(epoch));
        bench.listening.sleep_until(KernelClock.now() + SAMPLE_PERIOD);
        while let Some(said) = bench.hear() {
            if let Said::Cycle(cycle) = said
                && let Occasion::Tick(tick) = cycle.occasion
            {
                ours.record(tick.late);
            }
        }
    }
    shutdown.request();
    let theirs = reference.finish()?;
    // A panic in it has been printed.
    let _ = thread.join();
    Ok(Run { ours, theirs })
}
