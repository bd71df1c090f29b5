//! The measurement: record, repeat, and run beside a person.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow, ensure};
use swarm_cell::CellConfig;
use swarm_kinematics::ArmModel;
use swarm_safety_core::{Config, EnvelopeFile, SafetyState, Timing, Tolerances};
use swarm_skill_core::Outcome;

use super::people::{Passed, Passer, Policy, watched};
use super::recording::{Moment, Recorder};
use super::replay::{Noise, Repetition, Setting, repeat};
use crate::arms::load_arms;
use crate::lockstep::{Bystander, Disturbance, LockstepCell};

/// Under what a recording is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Share of messages that are lost.
    pub drops: f64,
    /// Noise against that of real arms.
    pub noise: f64,
}

impl Conditions {
    /// What the figures are claimed for.
    pub const NOMINAL: Self = Self { drops: 0.01, noise: 2.0 };
}

/// One run of the skill, nobody near.
#[derive(Clone, Debug)]
pub struct Recording {
    pub seed: u64,
    pub duration_s: f64,
    pub moments: Vec<Moment>,
}

/// Period of the gate as the declaration has it, s.
const PERIOD_S: f64 = 1e-3;

/// The demo cell and its skill.
#[derive(Debug)]
pub struct Demo {
    root: PathBuf,
    skill: PathBuf,
    declared: CellConfig,
    arms: Vec<ArmModel>,
    ceiling: String,
}

/// What the repetitions came to.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    pub repetitions: u64,
    pub cycles: u64,
    pub slow: u64,
    pub deviation_rad: f64,
    /// Seed of the recording, number of the repetition, s since the run's start, state, cause.
    pub false_stops: Vec<(u64, u64, f64, SafetyState, String)>,
}

/// Runs under one policy, all seeds together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughput {
    /// Of the runs that succeeded; and how long the same ones take with nobody near.
    pub duration_s: f64,
    pub unrestricted_s: f64,
    /// Runs that the skill or the gate gave up.
    pub failed: u64,
    pub passed: Passed,
}

impl Availability {
    pub fn hours(&self) -> f64 {
        self.cycles as f64 * PERIOD_S / 3600.0
    }

    fn add(&mut self, seed: u64, number: u64, done: Repetition) {
        self.repetitions += 1;
        self.cycles += done.cycles;
        self.slow += done.slow;
        self.deviation_rad = self.deviation_rad.max(done.deviation_rad);
        if let Some((at, state, cause)) = done.stopped {
            self.false_stops.push((seed, number, at as f64 * 2.0 * PERIOD_S, state, cause));
        }
    }
}

impl Demo {
    /// Of the repository at `root`.
    pub fn load(root: &Path) -> Result<Self> {
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let declared = CellConfig::parse(&read(&root.join("config/cell.yaml"))?)?;
        let arms = load_arms(&declared, root)?;
        let ceiling = read(&root.join(&declared.safety.file))?;
        let (root, skill) = (root.to_owned(), root.join("tests/data/cooperative_assembly"));
        Ok(Self { root, skill, declared, arms, ceiling })
    }

    /// Runs the skill for each seed, nobody near, and writes down what happens.
    pub fn record(&self, seeds: Range<u64>) -> Result<Vec<Recording>> {
        let mut cell = LockstepCell::new(&self.declared, &self.root, &self.skill)?;
        let mut recordings = Vec::new();
        for seed in seeds {
            let mut recorder = Recorder::default();
            let duration_s = run_well(&mut cell, seed, &mut recorder)?;
            recordings.push(Recording { seed, duration_s, moments: recorder.moments });
        }
        Ok(recordings)
    }

    /// Repeats the recordings in turn until `hours` of work are done, on `threads` threads. The same `seed` gives the same figures.
    pub fn repeat(
        &self,
        recordings: &[Recording],
        conditions: Conditions,
        hours: f64,
        threads: usize,
        seed: u64,
    ) -> Result<Availability> {
        let setting = self.setting(conditions)?;
        let moments: usize = recordings.iter().map(|recording| recording.moments.len()).sum();
        ensure!(moments > 0, "nothing was recorded");
        let mean_s = moments as f64 / recordings.len() as f64 * 2.0 * PERIOD_S;
        let needed = (hours * 3600.0 / mean_s).ceil() as u64;
        let next = AtomicU64::new(0);
        let sum = Mutex::new(Availability::default());
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= needed {
                            break;
                        }
                        let Recording { seed: of, moments, .. } =
                            &recordings[(number % recordings.len() as u64) as usize];
                        let done = repeat(&setting, moments, seed.wrapping_add(number));
                        sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(*of, number, done);
                    }
                });
            }
        });
        sum.into_inner().map_err(|_| anyhow!("a repetition panicked"))
    }

    /// Runs each recorded seed again, beside somebody who walks past.
    pub fn throughput(&self, recordings: &[Recording], policy: Policy) -> Result<Throughput> {
        let ceiling = EnvelopeFile::parse(&watched(&self.ceiling)?)?;
        let mut cell = LockstepCell::under(&self.declared, &ceiling, &self.root, &self.skill)?;
        let config = cell.safety_config().clone();
        let mut sum = Throughput {
            passed: Passed { nearest_m: f64::INFINITY, ..Passed::default() },
            ..Throughput::default()
        };
        for Recording { seed, duration_s, .. } in recordings {
            let mut passer = Passer::new(policy, &config, *seed);
            match run_well(&mut cell, *seed, &mut passer) {
                Ok(took_s) => {
                    sum.duration_s += took_s;
                    sum.unrestricted_s += duration_s;
                }
                Err(_) => sum.failed += 1,
            }
            sum.passed.add(&passer.passed());
        }
        Ok(sum)
    }

    /// The gate as it is shipped, under the skill's envelope, people being looked for.
    fn setting(&self, conditions: Conditions) -> Result<Setting> {
        let ceiling = EnvelopeFile::parse(&watched(&self.ceiling)?)?;
        let path = self.skill.join("safety_envelope.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let timing = Timing::every(PERIOD_S);
        let config: Config = swarm_safety_setup::config(
            &self.declared,
            self.arms.clone(),
            &ceiling,
            timing,
            Tolerances::default(),
        )?
        .with_envelope(
            Some(&EnvelopeFile::parse(&text)?),
            &swarm_safety_setup::roles(&self.declared),
            1,
        )?;
        let flange_frames = self.declared.robots.iter().map(swarm_cell::RobotConfig::flange_frame).collect();
        Ok(Setting {
            config,
            flange_frames,
            noise: Noise::REAL.times(conditions.noise),
            drops: conditions.drops,
        })
    }
}

/// A run that has to succeed; its duration, s.
fn run_well(cell: &mut LockstepCell, seed: u64, bystander: &mut dyn Bystander) -> Result<f64> {
    let report = cell.run_beside(seed, Disturbance::None, bystander)?;
    let well = report.outcome == Outcome::Succeeded && report.mated;
    ensure!(well, "seed {seed}: the demo skill did not succeed: {report:#?}");
    Ok(report.duration_s)
}
