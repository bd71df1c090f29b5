//! What one verdict of the safety decision costs: three arms of the declared cell with all their capsules, every check, people
//! being looked for.
//!
//! 1. A thread as the safety monitor's (`SCHED_FIFO`, one CPU), where it is granted; `real_time` says so.
//! 2. In each cycle every input is new: joint states that follow the last verdict, wrenches, commands, ranges to a person who
//!    comes near enough to slow the arms down now and then. Only `step` is timed.
//! 3. Beside each verdict, in the same cycle: fixed work that takes as long as the median verdict, and two readings of the
//!    clock with nothing between. What the machine adds to a verdict now and then, it adds to that work as often; the part of
//!    a quantile that the work has too is not ours.
//! 4. `step` is a function, so that the same verdict can be asked for again: twice more, and the least of the three times is
//!    kept. The machine hardly ever disturbs all three, so what varies from verdict to verdict in `verdict_least_us` is ours:
//!    other pairs of links that are near, a person who has come.
//!
//! Caches are warm, as verdicts come back to back; in a cell there is a millisecond between them.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use nalgebra::Vector3;
use serde_json::{Value, json};
use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_rt::latency::Latencies;
use swarm_rt::reference::FixedWork;
use swarm_rt::{ThreadWish, prepare_thread};
use swarm_safety_core::{
    CommandSample, Config, Inputs, JointSample, PresenceSample, ResetRequest, SafetyState, State, Tolerances,
    Verdict, WrenchSample, step,
};

use crate::cell_file::{declared_timing, sources};

const PERIOD: Duration = Duration::from_millis(1);
const PERIOD_S: f64 = 1e-3;
/// Cycles before the measurement: the reset, and caches and branches that learn.
const WARM_UP: u64 = 20_000;
/// The line of the shipped ceiling that is replaced, and the zone that takes its place.
const UNWATCHED: &str = "  humans: unmonitored";
const WATCHED: &str = "  humans: {provenance: \"evidence\", zones: [{name: middle, point_m: [0, 0, 0]}], timeout_s: 0.1, \
    speed_m_s: 1.6, intrusion_m: 0.208, sensor_uncertainty_m: 0.05, robot_uncertainty_m: 0.01}";
/// Distance of the person from the nearest robot: middle and amplitude, m, and angular frequency, rad/s. At the least the arms
/// are slowed down; 0.32 m is what the formula asks for where they stand.
const PERSON: (f64, f64, f64) = (0.9, 0.53, 0.4);
/// Each joint to and fro about the rest pose: amplitude, rad, and angular frequency, rad/s.
const SWING: (f64, f64) = (0.06, 4.0);

/// How long verdicts took.
#[derive(Debug)]
pub struct Cost {
    pub verdicts: u64,
    /// Verdicts in SLOW: the formula for people decided the speed.
    pub slow: u64,
    /// Capsules of each arm.
    pub capsules: Vec<usize>,
    /// `SCHED_FIFO` was granted.
    pub real_time: bool,
    verdict: Latencies,
    /// Of each verdict the least of three times.
    least: Latencies,
    sum: Latencies,
    nothing: Latencies,
}

/// Times `verdicts` decisions of the cell that `declaration` declares.
pub fn measure(declaration: &Path, verdicts: u64) -> anyhow::Result<Cost> {
    let work = Work::start(declaration)?;
    // A thread of its own: scheduling and CPU stay with it.
    match std::thread::spawn(move || timed(work, verdicts)).join() {
        Ok(cost) => cost,
        Err(_) => bail!("timing verdicts panicked"),
    }
}

/// The figures as `{figures, reference, ratios}`; times in microseconds.
pub fn as_json(cost: &Cost) -> Value {
    let us = |duration: Duration| duration.0 as f64 * 1e-3;
    let (verdict, least, sum) = (&cost.verdict, &cost.least, &cost.sum);
    json!({
        "figures": {
            "verdict_us_p50": us(verdict.p50()),
            "verdict_us_p99": us(verdict.p99()),
            "verdict_us_p999": us(verdict.p999()),
            "verdict_us_max": us(verdict.max()),
            "verdict_least_us_p50": us(least.p50()),
            "verdict_least_us_p999": us(least.p999()),
            "verdict_least_us_max": us(least.max()),
            "verdicts": cost.verdicts,
            "verdicts_slow": cost.slow,
            "verdict_capsules_least": cost.capsules.iter().min(),
            "verdict_capsules_most": cost.capsules.iter().max(),
            "verdict_real_time": u8::from(cost.real_time),
        },
        "reference": {
            "sum_us_p50": us(sum.p50()),
            "sum_us_p99": us(sum.p99()),
            "sum_us_p999": us(sum.p999()),
            "sum_us_max": us(sum.max()),
            "clock_us_p50": us(cost.nothing.p50()),
            "clock_us_p999": us(cost.nothing.p999()),
        },
        "ratios": {
            "verdict_to_sum_p999": us(verdict.p999()) / us(sum.p999()),
        },
    })
}

fn timed(mut work: Work, verdicts: u64) -> anyhow::Result<Cost> {
    let cpu = std::thread::available_parallelism().map_or(0, |cpus| cpus.get() as u16 - 1);
    let lacks = prepare_thread(&ThreadWish { priority: 80, cpu: Some(cpu), stack_bytes: 256 << 10 });
    for lack in &lacks {
        eprintln!("verdicts are timed without real time: {lack}");
    }
    let [mut warm, mut verdict, mut least, mut sum, mut nothing] = [(); 5].map(|()| Latencies::new());
    for _ in 0..WARM_UP {
        warm.record(work.cycle()?.0[0]);
    }
    let fixed = FixedWork::lasting(warm.p50());
    let mut slow = 0;
    for _ in 0..verdicts {
        let (took, state) = work.cycle()?;
        let [first, second, third] = took;
        verdict.record(first);
        least.record(first.min(second).min(third));
        slow += u64::from(state == SafetyState::Slow);
        sum.record(duration_of(|| fixed.carry_out()).0);
        nothing.record(duration_of(|| ()).0);
    }
    let capsules = work.config.arms().iter().map(|arm| arm.model.link_capsules().len()).collect();
    Ok(Cost { verdicts, slow, capsules, real_time: lacks.is_empty(), verdict, least, sum, nothing })
}

fn duration_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let result = work();
    let took = Duration(began.elapsed().as_nanos() as u64);
    (took, black_box(result))
}

/// The cell at work.
struct Work {
    config: Config,
    state: State,
    inputs: Inputs,
    homes: Vec<JointVector>,
    positions: Vec<JointVector>,
    told: Vec<JointVector>,
    /// How far the robots reached from the zone's point in the last verdict, m, and the range that was said for it.
    reach_m: f64,
    range_m: f64,
    now: Time,
    cycle: u64,
}

impl Work {
    fn start(declaration: &Path) -> anyhow::Result<Self> {
        let mut sources = sources(declaration)?;
        let cell = sources.cell()?;
        let ceiling = sources.files.get_mut(&cell.safety.file).context("the cell names no safety ceiling")?;
        let line = ceiling.lines().find(|line| line.starts_with(UNWATCHED));
        let line =
            line.with_context(|| format!("{} has no line '{UNWATCHED}'", cell.safety.file))?.to_owned();
        *ceiling = ceiling.replace(&line, WATCHED);
        let config = sources.config(declared_timing(&cell), Tolerances::default())?;
        let homes = cell.robots.iter().zip(config.arms()).map(|(robot, arm)| {
            arm.model.joint_vector(&robot.home_rad).with_context(|| format!("home_rad of {}", robot.name))
        });
        let homes = homes.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            state: State::new(&config, 1),
            config,
            inputs: Inputs::default(),
            positions: homes.clone(),
            told: vec![JointVector::zeros(); homes.len()],
            homes,
            reach_m: 1.5,
            range_m: 10.0,
            now: Time::ZERO,
            cycle: 0,
        })
    }

    /// The next cycle: how long its verdict took each time that it was asked for, and the state.
    fn cycle(&mut self) -> anyhow::Result<([Duration; 3], SafetyState)> {
        self.cycle += 1;
        self.now = self.now + PERIOD;
        self.inputs.forget_events();
        self.say();
        let decide = || step(&self.config, &self.state, black_box(&self.inputs), self.now);
        let (first, (state, verdict)) = duration_of(decide);
        let took = [first, duration_of(decide).0, duration_of(decide).0];
        self.state = state;
        self.obey(&verdict);
        let cause = || verdict.cause.map_or_else(String::new, |cause| cause.detail(&self.config));
        let works = self.cycle < 100 || verdict.state.moves();
        ensure!(works, "the cell whose verdicts are timed stands still: {:?}, {}", verdict.state, cause());
        Ok((took, verdict.state))
    }

    /// Everything that a cell says in one cycle.
    fn say(&mut self) {
        let t = self.cycle as f64 * PERIOD_S;
        let (sent, stamp_ns, sequence) = (self.now, self.now.0, self.cycle);
        let epoch = self.state.epoch();
        for (i, (robot, arm)) in self.inputs.robots.iter_mut().zip(self.config.arms()).enumerate() {
            let (q, qd) = (self.positions[i], self.told[i]);
            robot.joints = Some(JointSample { q, qd, effort: Some(qd * 10.0), stamp_ns, sent, sequence });
            let weight = arm.payload.weight(&arm.model.flange(&arm.model.forward(&q)));
            let touch = (t + i as f64).sin();
            robot.wrench = Some(WrenchSample {
                force: Vector3::new(weight[0] + touch, weight[1], weight[2]),
                torque: Vector3::new(weight[3], weight[4], weight[5]),
                stamp_ns,
                sent,
                sequence,
            });
            let dof = arm.model.dof();
            let velocity = JointVector::from_fn(|joint, _| {
                let phase = SWING.1 * t + (i * 7 + joint) as f64;
                let wish = self.homes[i][joint] + SWING.0 * phase.sin() - q[joint];
                if joint < dof { SWING.0 * SWING.1 * phase.cos() + 2.0 * wish } else { 0.0 }
            });
            if self.cycle > 10 {
                let artifact_matches = true;
                robot.command =
                    Some(CommandSample { velocity, epoch, run: 1, sequence, artifact_matches, sent });
            }
        }
        self.range_m = self.reach_m + PERSON.0 + PERSON.1 * (PERSON.2 * t).cos();
        self.inputs.presence[0] = Some(PresenceSample { range_m: self.range_m, stamp_ns, sent });
        self.inputs.reset = (self.cycle == 5).then_some(ResetRequest { epoch });
    }

    /// Ideal arms.
    fn obey(&mut self, verdict: &Verdict) {
        for ((q, told), robot) in self.positions.iter_mut().zip(&mut self.told).zip(&verdict.robots) {
            *q += (*told + robot.velocity) * (PERIOD_S / 2.0);
            *told = robot.velocity;
        }
        let robots = verdict.robots.iter().take(self.homes.len());
        let nearest = robots.map(|robot| robot.measures.human_separation_m).fold(f64::INFINITY, f64::min);
        self.reach_m = self.range_m - nearest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_a_cell_at_work_are_timed() {
        let declaration = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let mut work = Work::start(&declaration).unwrap();
        let states: Vec<SafetyState> = (0..20_000).map(|_| work.cycle().unwrap().1).collect();
        let share = |of| states.iter().filter(|state| **state == of).count();
        // Both at work and slowed down by the person; a stop would have ended it.
        assert!(share(SafetyState::Run) > 1_000 && share(SafetyState::Slow) > 500, "{states:?}");
        assert!(work.config.arms().iter().all(|arm| arm.model.link_capsules().len() >= 8));
    }
}
