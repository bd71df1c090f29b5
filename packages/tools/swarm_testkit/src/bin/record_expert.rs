//! Records what the expert would do in insertions that others steer: the training data of the insertion policy.
//!
//! Every seed is a run of the simulated cell: the parts are picked and brought together, then the peg goes in several times, each
//! time with a new error of the estimates. Who steers changes with the attempt: the expert, a compliant law of random softness,
//! or the policy that was trained before (`--policy`, so that the next one learns from its mistakes).
//!
//! The file is rows of 24 little-endian `f32`: observation (18), the expert's action (6).

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_cell::CellConfig;
use swarm_skill_core::{MeanWrench, Policy};
use swarm_testkit::expert::{Situation, compliant, expert, insert};
use swarm_testkit::policy::{ask, load_policy};
use swarm_testkit::script::{Approach, FOLLOWER, ScriptedCell};
use swarm_testkit::{parse_seeds, repository};

#[derive(Debug, Parser)]
#[command(about = "Records the insertion expert's answers in the simulated cell.")]
struct Arguments {
    /// Seeds A..B of the simulated cell, B not included.
    #[arg(long, value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    /// Insertions per seed.
    #[arg(long, default_value_t = 8)]
    attempts: u64,
    /// An ONNX policy that steers every other attempt.
    #[arg(long)]
    policy: Option<PathBuf>,
}

/// Who steers an attempt.
enum Steering {
    Expert,
    Compliant { give: f64 },
    Policy,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = repository();
    let declaration = root.join("config/cell.yaml");
    let text =
        fs::read_to_string(&declaration).with_context(|| format!("cannot read {}", declaration.display()))?;
    let mut cell = ScriptedCell::new(&CellConfig::parse(&text)?, &root)?;
    let mut policy = arguments.policy.as_deref().map(load_policy).transpose()?;
    let mut out = BufWriter::new(
        File::create(&arguments.out).with_context(|| format!("cannot write {}", arguments.out.display()))?,
    );
    for seed in arguments.seeds.clone() {
        let mut random = StdRng::seed_from_u64(seed);
        cell.reset(seed);
        let seen = cell.bring_together(0.015)?;
        let (mut rows, mut seated) = (0_u64, 0_u64);
        for attempt in 0..arguments.attempts {
            let approach = start(&mut cell, &seen, &mut random)?;
            let steering = match (attempt % 4, &policy) {
                (0, _) => Steering::Expert,
                (1 | 3, Some(_)) => Steering::Policy,
                _ => Steering::Compliant { give: 0.0004 * 8_f64.powf(random.random()) },
            };
            let mut jitter = Jitter::default();
            let mut written = Ok(());
            let ending = insert(&mut cell, &approach, |situation| {
                let right = expert(situation);
                written = write_row(&mut out, situation, &right);
                rows += 1;
                let mut action = match (&steering, policy.as_mut()) {
                    (Steering::Compliant { give }, _) => compliant(situation, *give),
                    (Steering::Policy, Some(policy)) => answer(policy, situation),
                    _ => right,
                };
                jitter.shake(&mut action, &mut random);
                action.map(|value| value as f32)
            })?;
            written?;
            seated += u64::from(ending.is_success());
        }
        println!("seed {seed}: {rows} rows, {seated} of {} insertions seated", arguments.attempts);
    }
    out.flush()?;
    Ok(())
}

fn answer(policy: &mut swarm_onnx::OnnxPolicy, situation: &Situation) -> [f64; 6] {
    debug_assert_eq!(policy.observation_len(), situation.observation.len());
    // A policy that fails is none that can be learned from: stand still.
    ask(policy, &situation.observation).map_or([0.0; 6], |action| action.map(f64::from))
}

fn write_row(out: &mut impl std::io::Write, situation: &Situation, action: &[f64; 6]) -> std::io::Result<()> {
    for value in situation.observation {
        out.write_all(&value.to_le_bytes())?;
    }
    for value in action {
        out.write_all(&(*value as f32).to_le_bytes())?;
    }
    Ok(())
}

/// Slow random disturbance of an action, so that the same attempt never takes quite the same way.
#[derive(Default)]
struct Jitter([f64; 6]);

impl Jitter {
    fn shake(&mut self, action: &mut [f64; 6], random: &mut StdRng) {
        for (index, (value, jitter)) in action.iter_mut().zip(&mut self.0).enumerate() {
            let strength = if index < 3 { 0.001 } else { 0.01 };
            *jitter += 0.1 * (random.random_range(-4.0..4.0) * strength - *jitter);
            *value += *jitter;
        }
    }
}

/// Pulls the peg out if it is in, invents a new error of the estimates, and goes to where an insertion starts.
fn start(cell: &mut ScriptedCell, seen: &Approach, random: &mut StdRng) -> Result<Approach> {
    let tcp = cell.tcp_in_world(FOLLOWER);
    cell.go(&[(FOLLOWER, Isometry3::translation(0.0, 0.0, 0.045) * tcp)], 0.05)?;
    let truth = cell.last.parts;
    let mut draw = |bound: f64| random.random_range(-bound..bound);
    let error = Isometry3::from_parts(
        Vector3::new(draw(0.0016), draw(0.0016), draw(0.0010)).into(),
        UnitQuaternion::from_scaled_axis(Vector3::new(draw(0.010), draw(0.010), draw(0.012))),
    );
    let offset = Isometry3::from_parts(
        Vector3::new(draw(0.002), draw(0.002), 0.015 + draw(0.005)).into(),
        UnitQuaternion::from_scaled_axis(Vector3::new(draw(0.006), draw(0.006), draw(0.010))),
    );
    let mut approach = Approach {
        pocket_in_world: truth.pocket_in_world * error,
        tip_in_tcp: cell.tcp_in_world(FOLLOWER).inverse() * truth.tip_in_world,
        ..*seen
    };
    // The peg is square: of the four ways to hold it the estimate means the nearest.
    let yaw = (approach.pocket_in_world.inverse() * truth.tip_in_world).rotation.euler_angles().2;
    let quarter = Vector3::z() * (yaw / std::f64::consts::FRAC_PI_2).round() * std::f64::consts::FRAC_PI_2;
    let goal =
        approach.pocket_in_world * offset * Isometry3::rotation(quarter) * approach.tip_in_tcp.inverse();
    cell.go(&[(FOLLOWER, goal)], 0.08)?;
    let mut tare = MeanWrench::default();
    for _ in 0..10 {
        cell.tick(&[])?;
        tare.add(&cell.last.robots[FOLLOWER].wrench);
    }
    approach.wrench_tare = tare.get().context("ten wrenches were added")?;
    Ok(approach)
}
