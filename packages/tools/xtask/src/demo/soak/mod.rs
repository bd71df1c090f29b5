//! The measured series behind `cargo xtask evidence soak`: the demo's skill again and again in one running cell, while the memory
//! of every node is sampled.
//!
//! 1. Start the cell as the demo does, and beside it the reference: a node that hears what the skill runtime hears, and does
//!    nothing (`listener_node`).
//! 2. Until the time is over: parts back to where the next seed puts them, reset, execute; again if one of them is refused, which
//!    is counted. A run in progress is waited for.
//!    A thread on each CPU that only sleeps says how late this machine wakes anybody (`metronome`).
//! 3. A straight line through each node's samples after the [`warm_up`]; the steepest one is the figure.
//!
//! A *missed barrier* is one that the roles of a run did not pass together, whatever ended the run: so many as its runs have
//! barriers, less those that the skill runtime has counted.

mod counters;
mod memory;
mod metronome;
mod trend;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::interrupt::Interrupt;
use super::session::Session;
use super::trials::SEEDS;
use super::{Options, Viewers};
use crate::compile::Profile;
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::ros::RosEnv;
use crate::ui::Task;

use counters::Counters;
use memory::{Course, Process, Sampler};
use metronome::{Lateness, Metronome};
use trend::Trend;

/// Name of the reference's process.
const REFERENCE: &str = "listener_node";

/// Samples over which the deviations of a node's memory from its trend may hang together: two runs.
const TOGETHER: usize = 60;

/// What was measured, by name.
#[derive(Debug, Default, PartialEq)]
pub struct Soaked {
    pub figures: BTreeMap<String, f64>,
    pub reference: BTreeMap<String, f64>,
}

/// Executes the skill for `time`, and to the end of the run that is in progress then.
pub fn measure(
    layout: &Layout,
    ros: &RosEnv,
    executables: &Path,
    interrupt: Interrupt,
    task: &Task,
    time: Duration,
) -> Result<Soaked> {
    let port = counters::free_port().doing("find a free port for metrics on", "127.0.0.1")?;
    let options = Options {
        seed: 1,
        profile: Profile::Release,
        view: false,
        record: false,
        viewers: Viewers::MetricsAt(port),
    };
    let mut cell = Session::start(layout, ros, executables, interrupt, &options)?;
    let artifact = cell.package("1.0.0")?;
    cell.deploy(&artifact)?;
    cell.start_listener(REFERENCE)?;
    let barriers = cell.phases()?;

    let before = Counters::read(port)?;
    let processes = cell.processes().into_iter().map(|(name, id)| Process { name, id }).collect();
    let sampler = Sampler::start(processes)?;
    let metronome = Metronome::start()?;
    let began = Instant::now();
    task.set_length(time.as_secs());
    let (mut runs, mut succeeded, mut refused) = (0_u64, 0_u64, 0_u64);
    while began.elapsed() < time {
        let seed = runs % SEEDS + 1;
        cell.reset_simulation(seed)?;
        let execution = loop {
            refused += cell.reset_patiently()?;
            let execution = cell.execute(|_| ())?;
            if execution.has_run() || began.elapsed() > time {
                break execution;
            }
            // The gate has stopped the cell between reset and start.
            refused += 1;
        };
        runs += u64::from(execution.has_run());
        succeeded += u64::from(execution.succeeded());
        task.line(&format!(
            "  {:>6.1} s  run {runs}, seed {seed}: {execution}",
            began.elapsed().as_secs_f64()
        ));
        task.advance_to(began.elapsed().as_secs());
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let counted = Counters::read(port)?.since(before);
    let courses = sampler.finish()?;
    let Lateness { longest, long } = metronome.finish()?;
    let table = cell.folder().join("memory.csv");
    fs::write(&table, memory::csv(&courses)).doing("write", &table)?;
    task.line(&format!("  memory of every node, second by second: {}", table.display()));
    cell.stop()?;

    let warm_up = warm_up(Duration::from_secs_f64(minutes * 60.0));
    let mut soaked = slopes(&courses, warm_up)?;
    soaked.figures.extend(
        [
            ("minutes", minutes),
            ("warm_up_minutes", warm_up.as_secs_f64() / 60.0),
            ("runs", runs as f64),
            ("succeeded", succeeded as f64),
            ("refused", refused as f64),
            ("barriers", counted.barriers),
            ("missed_barriers", runs as f64 * barriers as f64 - counted.barriers),
            ("turns", counted.turns),
            ("overruns", counted.overruns),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    soaked.reference.extend([
        ("machine_late_ms_max".to_owned(), longest.as_secs_f64() * 1e3),
        ("machine_late_over_100_ms".to_owned(), f64::from(long)),
    ]);
    if counted.runs != runs as f64 {
        let counted = counted.runs;
        return Err(Error::Failed(format!(
            "{runs} runs were asked for, and the runtime has counted {counted}"
        )));
    }
    Ok(soaked)
}

/// The time at the beginning that the trends leave out: five minutes, but no more than a third. In its first runs a node still
/// takes memory once and for all: its code is paged in, queues and histories fill up to their bounds, each thread's allocator
/// grows to the largest need (which differs from seed to seed), and the black box comes to hold its ten seconds.
fn warm_up(time: Duration) -> Duration {
    Duration::from_mins(5).min(time / 3)
}

/// The trends of nodes and reference, in kB/min.
fn slopes(courses: &[Course], warm_up: Duration) -> Result<Soaked> {
    let mut soaked = Soaked::default();
    let mut steepest: Option<Trend> = None;
    for Course { name, samples } in courses {
        let from = samples.partition_point(|(seconds, _)| *seconds < warm_up.as_secs_f64());
        let late: Vec<(f64, f64)> = samples[from..].iter().map(|(at, kb)| (at / 60.0, *kb)).collect();
        let trend = Trend::of(&late, TOGETHER).ok_or_else(|| {
            Error::Failed(format!(
                "{name} was sampled {} times after a warm-up of {:.0} s, which is too few for a trend",
                late.len(),
                warm_up.as_secs_f64()
            ))
        })?;
        let is_reference = name == REFERENCE;
        let values = if is_reference { &mut soaked.reference } else { &mut soaked.figures };
        values.extend([
            (format!("rss_slope_kb_per_min_{name}"), trend.slope),
            (format!("rss_slope_error_kb_per_min_{name}"), trend.standard_error),
            (format!("rss_kb_{name}"), late.last().map_or(0.0, |(_, kb)| *kb)),
        ]);
        if !is_reference && steepest.is_none_or(|steepest| trend.slope > steepest.slope) {
            steepest = Some(trend);
        }
    }
    let steepest = steepest.ok_or_else(|| Error::Failed("no node was sampled".to_owned()))?;
    soaked.figures.insert("rss_slope_kb_per_min".to_owned(), steepest.slope);
    soaked.figures.insert("rss_slope_error_kb_per_min".to_owned(), steepest.standard_error);
    Ok(soaked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(name: &str, kb: impl Fn(f64) -> f64) -> Course {
        let samples = (0..600).map(|second| (f64::from(second), kb(f64::from(second)))).collect();
        Course { name: name.to_owned(), samples }
    }

    #[test]
    fn the_figure_is_the_steepest_node_after_the_warm_up_and_never_the_reference() {
        let courses = [
            course("swarm_sim", |second| 50_000.0 + (second * 100.0).min(20_000.0)),
            course("skill_runtime", |second| 30_000.0 + second * 0.05),
            course(REFERENCE, |second| 20_000.0 + second * 2.0),
        ];
        let Soaked { figures, reference } = slopes(&courses, warm_up(Duration::from_mins(10))).unwrap();
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-6;
        assert!(near(figures["rss_slope_kb_per_min"], 3.0), "{figures:?}");
        assert!(near(figures["rss_slope_kb_per_min_swarm_sim"], 0.0), "{figures:?}");
        assert!(near(figures["rss_kb_swarm_sim"], 70_000.0), "{figures:?}");
        assert!(near(reference["rss_slope_kb_per_min_listener_node"], 120.0), "{reference:?}");
        assert!(!figures.contains_key("rss_slope_kb_per_min_listener_node"));
    }

    #[test]
    fn the_warm_up_is_five_minutes_or_a_third() {
        assert_eq!(warm_up(Duration::from_mins(30)), Duration::from_mins(5));
        assert_eq!(warm_up(Duration::from_secs(90)), Duration::from_secs(30));
    }

    #[test]
    fn too_few_samples_are_an_error() {
        let short = Course { name: "n".to_owned(), samples: vec![(0.0, 1.0), (1.0, 1.0)] };
        let error = slopes(&[short], Duration::ZERO).unwrap_err().to_string();
        assert_eq!(error, "n was sampled 2 times after a warm-up of 0 s, which is too few for a trend");
    }
}
